"""Every kind of bad file that is known, for each reader: what stands in it, and what is to come of it."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from typing import NamedTuple

GOOD = b'{"prompt": "a", "completion": "b"}'


class BadFile(NamedTuple):
    """`ends`: 'row' (one row is bad, and can be set aside), 'file' (nothing of it can be used) or 'fine'. `line` and
    `said` are the place and a part of the message; a `fine` one gives so many good rows as `line` says."""

    kind: str
    ending: str
    data: bytes
    ends: str
    line: int | None
    said: str = ""

    def __str__(self) -> str:
        return f"{self.kind}{self.ending}"


def lines(row: bytes) -> bytes:
    """The row on line 2 of JSON lines, good ones before and behind."""
    return b"\n".join((GOOD, row, GOOD, b""))


def array(row: bytes) -> bytes:
    """The row on line 2 of a JSON array."""
    return b"[" + b",\n".join((GOOD, row, GOOD)) + b"]"


def table(row: bytes) -> bytes:
    """The row on line 3 of a CSV table."""
    return b"prompt,completion\na,b\n" + row + b"\nc,d\n"


def _json(kind: str, row: bytes, said: str) -> list[BadFile]:
    """A row of well-formed JSON that is none of ours: both readers of JSON know where it ends."""
    return [BadFile(kind, ".jsonl", lines(row), "row", 2, said), BadFile(kind, ".json", array(row), "row", 2, said)]


def _malformed(kind: str, row: bytes, said: str, in_array: str = "") -> list[BadFile]:
    """A row of malformed JSON: behind it a line is whole again, and nobody knows where an element begins."""
    return [
        BadFile(kind, ".jsonl", lines(row), "row", 2, said),
        BadFile(kind, ".json", array(row), "file", 2, in_array or said),
    ]


def _everywhere(kind: str, data: bytes, said: str, line: int | None = 1) -> list[BadFile]:
    """A file that is no text, whatever its name says."""
    return [BadFile(kind, ending, data, "file", line, said) for ending in (".jsonl", ".json", ".csv")]


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


def _text(row: dict[str, object]) -> bytes:
    return json.dumps(row).encode()


_UNREADABLE = [
    *_everywhere("empty", b"", "the file is empty"),
    *_everywhere("gzip_cut_off", gzip.compress(GOOD)[:20], "the gzip archive ends too early"),
    *_everywhere("gzip_twice", gzip.compress(gzip.compress(GOOD)), "the file is gzip, packed twice"),
    *_everywhere("zip", _zip(), "a zip archive"),
    *_everywhere("bzip2", b"BZh91AY&SY" + bytes(9), "bzip2"),
    *_everywhere("xz", b"\xfd7zXZ\0\0\4", "xz"),
    *_everywhere("zstd", b"\x28\xb5\x2f\xfd\x24", "zstd"),
    *_everywhere("parquet_of_nothing", b"PAR1" + bytes(20) + b"PAR1", "the Parquet file cannot be read"),
    *_everywhere("arrow", b"ARROW1\0\0", "Arrow"),
    *_everywhere("sqlite", b"SQLite format 3\0", "SQLite"),
    *_everywhere("pdf", b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
    *_everywhere("old_excel", b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Office document"),
    *_everywhere("pickle", pickle.dumps([{"prompt": "a"}]), "a Python pickle"),
    *_everywhere("lfs_pointer", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    *_everywhere("utf16", GOOD.decode().encode("utf-16"), "UTF-16"),
    *_everywhere("utf16_be_bom", b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), "UTF-16"),
    *_everywhere("utf16_without_bom", lines(GOOD).decode().encode("utf-16-le"), "UTF-16"),
    *_everywhere("nul_bytes_only", bytes(1000), "NUL"),
    BadFile("blank_lines_only", ".jsonl", b"\n \n\t\n", "file", None, "the file holds no rows"),
    BadFile("blank_lines_only", ".json", b"\n \n\t\n", "file", 4, "the file holds no rows"),
    BadFile("blank_lines_only", ".csv", b"\n \n\t\n", "file", 1, "no header"),
    BadFile("bom_only", ".jsonl", b"\xef\xbb\xbf", "file", None, "the file holds no rows"),
    BadFile("bom_only", ".json", b"\xef\xbb\xbf", "file", 1, "the file holds no rows"),
    BadFile("bom_only", ".csv", b"\xef\xbb\xbf", "file", 1, "no header"),
]

_BYTES = [
    file
    for kind, raw, said in (
        ("latin_1", b"caf\xe9", "is not UTF-8; in Windows-1252 (Latin-1) it would be 'é'"),
        ("nul", b"a\0", "NUL"),
        ("raw_surrogate", b"\xed\xa0\x80", "is not UTF-8"),
        ("overlong_utf8", b"\xc0\xaf", "is not UTF-8"),
        ("cut_character", b"\xf0\x9f\x8c", "is not UTF-8"),
    )
    for file in (
        BadFile(kind, ".jsonl", lines(b'{"prompt": "%s", "completion": "b"}' % raw), "row", 2, said),
        BadFile(kind, ".json", array(b'{"prompt": "%s", "completion": "b"}' % raw), "file", 2, said),
        BadFile(kind, ".csv", table(raw + b",b"), "file", 3, said),
    )
]

_MILLION_KEYS = b"{%s}" % b",".join(b'"%d":0' % n for n in range(1_000_001))
_JSON = [
    *_malformed("not_json", b"prompt: a", "invalid JSON at column 1", "an object is wanted, not 'p'"),
    *_malformed("single_quotes", b"{'prompt': 'a'}", "invalid JSON at column 2"),
    *_malformed("trailing_comma", b'{"prompt": "a",}', "invalid JSON"),
    *_malformed("comment", b"// a row", "invalid JSON at column 1", "an object is wanted, not '/'"),
    *_malformed("control_character", b'{"prompt": "\x1b[2J"}', "Invalid control character"),
    *_malformed("tab_in_text", b'{"prompt": "a\tb"}', "Invalid control character"),
    *_malformed("unquoted_key", b'{prompt: "a"}', "invalid JSON at column 2"),
    *_malformed("missing_comma", b'{"prompt": "a" "completion": "b"}', "Expecting ',' delimiter"),
    *_malformed("bad_escape", rb'{"prompt": "\x41"}', "Invalid \\escape"),
    *_malformed("python_constants", b'{"prompt": None}', "Expecting value"),
    *_malformed("leading_zero", b'{"prompt": 01}', "Expecting ',' delimiter"),
    BadFile("two_rows_on_a_line", ".jsonl", lines(GOOD + GOOD), "row", 2, "more text after the object"),
    BadFile("two_rows_without_comma", ".json", array(GOOD + GOOD), "file", 2, "a comma or ] is wanted"),
    BadFile(
        "bom_within", ".jsonl", lines(b"\xef\xbb\xbf" + GOOD), "row", 2, "a byte-order mark stands within the file"
    ),
    BadFile("bom_within", ".json", array(b"\xef\xbb\xbf" + GOOD), "file", 2, "not '\\ufeff'"),
    BadFile("cut_last_line", ".jsonl", GOOD + b'\n{"prompt": "a", "compl', "row", 2, "the file ends within this row"),
    BadFile("cut_last_line", ".json", b"[" + GOOD + b',\n{"prompt": "a", "compl', "file", 2, "Unterminated string"),
    BadFile(
        "cut_after_a_row", ".json", b"[" + GOOD + b",\n" + GOOD, "file", 2, "a comma or ] is wanted, not 'the end'"
    ),
    BadFile("pretty_printed", ".jsonl", b'{\n  "prompt": "a"\n}\n', "row", 1, "one object a line is wanted"),
    BadFile("arrays", ".jsonl", b"[" + GOOD + b"]\n[" + GOOD + b"]\n", "row", 1, "the line is a list"),
    BadFile("one_object", ".json", GOOD, "file", 1, "begins with '{'"),
    BadFile("trailing_comma_of_the_array", ".json", b"[" + GOOD + b",\n]", "file", 2, "an object is wanted, not ']'"),
    BadFile("text_after_the_array", ".json", b"[" + GOOD + b"]\n[]", "file", 2, "more text after the array"),
    BadFile("empty_array", ".json", b"[]", "file", 1, "holds no rows"),
    *_json("text", b'"prompt"', "an object is wanted"),
    *_json("number", b"3", "an object is wanted"),
    *_json("null", b"null", "an object is wanted"),
    *_json("list", b'["a", "b"]', "an object is wanted"),
    *_json("duplicate_keys", b'{"prompt": "a", "prompt": "b"}', "the key 'prompt' is there twice"),
    *_json("duplicate_keys_within", b'{"messages": [{"role": "user", "role": "system"}]}', "the key 'role' is there"),
    *_json("nan", b'{"prompt": NaN}', "NaN is no JSON number"),
    *_json("infinity", b'{"prompt": [-Infinity]}', "-Infinity is no JSON number"),
    *_json("huge_exponent", b'{"prompt": 1e999}', "1e999 is too large"),
    *_json("huge_integer", b'{"prompt": %s}' % (b"9" * 100_000), "a number of 100000 digits is too large"),
    *_json("lone_surrogate", rb'{"prompt": "\ud800"}', r"lone surrogate \ud800"),
    *_json("escaped_nul", rb'{"prompt": "\u0000"}', "escaped NUL"),
    *_json("nested_200_deep", b'{"prompt": %s%s}' % (b"[" * 200, b"]" * 200), "nested too deep"),
    BadFile("nested_100000_deep", ".jsonl", lines(b"[" * 100_000), "row", 2, "nested too deep"),
    BadFile("nested_100000_deep", ".json", array(b"[" * 100_000), "file", 2, "nested too deep"),
    BadFile("objects_100000_deep", ".jsonl", lines(b'{"a":' * 100_000), "row", 2, "nested too deep"),
    BadFile("objects_100000_deep", ".json", array(b'{"a":' * 100_000), "file", 2, "nested too deep"),
    BadFile("million_keys", ".jsonl", lines(_MILLION_KEYS), "row", 2, "more than 1,000,000 values in one row"),
]

_CSV = [
    BadFile("too_many_fields", ".csv", table(b"a,b,c"), "row", 3, "the row has 3 fields, the header names 2"),
    BadFile("too_few_fields", ".csv", table(b"a"), "row", 3, "the row has 1 fields"),
    BadFile("text_after_a_quote", ".csv", table(b'"a"b,c'), "row", 3, "invalid CSV in the row that begins here"),
    BadFile("unpaired_quote", ".csv", table(b'"a,b'), "file", 3, "a quote that opens a field is not closed"),
    BadFile("cut_within_quotes", ".csv", b'a,b\n1,"x\ny', "file", 2, "a quote that opens a field is not closed"),
    BadFile("lone_carriage_return", ".csv", table(b"a\rb,c"), "row", 3, "new-line character"),
    BadFile("old_mac_lines", ".csv", b"prompt,completion\ra,b\r", "file", 1, "new-line character"),
    BadFile("header_twice", ".csv", b"prompt,prompt\na,b\n", "file", 1, "names the column 'prompt' twice"),
    BadFile("header_without_name", ".csv", b",prompt\n0,a\n", "file", 1, "column 1 of the header has no name"),
    BadFile("header_only", ".csv", b"prompt,completion\n", "file", None, "no rows under its header"),
    BadFile("unclear_delimiter", ".csv", b"prompt;completion\na;b;c\n", "file", 1, "the delimiter may be ';'"),
    BadFile("columns_without_end", ".csv", b",".join(b"c%d" % n for n in range(10_001)), "file", 1, "10,001 columns"),
    BadFile("fields_without_end", ".csv", table(b"," * 1_000_001), "file", 3, "more than 1,000,000 fields"),
    BadFile("bom_within", ".csv", table(b"\xef\xbb\xbfa,b,c"), "row", 3, "3 fields"),
]

FINE = [
    *(
        BadFile(kind, ending, change(data), "fine", 3)
        for kind, change in (("bom", b"\xef\xbb\xbf".__add__), ("crlf", lambda data: data.replace(b"\n", b"\r\n")))
        for ending, data in ((".jsonl", lines(GOOD)), (".json", array(GOOD)), (".csv", table(b"x,y")))
    ),
    BadFile("no_last_newline", ".jsonl", GOOD, "fine", 1),
    BadFile("array", ".jsonl", b"[\n" + GOOD + b"\n]\n", "fine", 1),
    BadFile("array_on_a_line", ".jsonl", b"[" + GOOD + b"]\n", "fine", 1),
    BadFile("lines", ".json", lines(GOOD), "fine", 3),
    BadFile("lines", ".csv", lines(GOOD), "fine", 3),
    BadFile("other_delimiter", ".csv", b"prompt;completion\na;b\n", "fine", 1),
    BadFile("no_delimiter", ".tsv", b"prompt,completion\na,b\n", "fine", 1),
    *(
        BadFile("gzip", ending, gzip.compress(data), "fine", 3)
        for ending, data in ((".jsonl", lines(GOOD)), (".json", array(GOOD)), (".csv", table(b"x,y")))
    ),
    BadFile("blank_lines", ".jsonl", b"\n" + lines(b" \t"), "fine", 2),
    BadFile("blank_lines", ".csv", table(b"\n  "), "fine", 2),
    BadFile("line_separator", ".jsonl", lines('{"prompt": "a\u2028b\u0085", "completion": "c"}'.encode()), "fine", 3),
    BadFile("line_separator", ".csv", table("a\u2028b,c".encode()), "fine", 3),
    BadFile("formula", ".csv", table(b"\"=cmd|' /C calc'!A0\",@SUM(A1)"), "fine", 3),
    BadFile("mixed_layouts", ".jsonl", lines(b'{"messages": [{"role": "user", "content": "a"}]}'), "fine", 3),
    BadFile("brackets_in_text", ".jsonl", lines(_text({"prompt": "[" * 500, "completion": "{" * 500})), "fine", 3),
]
"""Looks bad, and is not."""

UNREADABLE = [*_UNREADABLE, *_BYTES, *_JSON, *_CSV]
"""What a reader refuses."""


def _said(*turns: tuple[str, str]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


_ROWS: list[tuple[str, dict[str, object], str]] = [
    ("empty_object", {}, "no known set of columns among: none"),
    ("missing_key", {"prompt": "a"}, "no known set of columns among: prompt"),
    ("unknown_keys", {"frage": "a", "antwort": "b"}, "no known set of columns among: frage, antwort"),
    ("null_answer", {"prompt": "a", "completion": None}, "the answer is null"),
    ("null_question", {"prompt": None, "completion": "b"}, "prompt (null)"),
    ("number_for_text", {"prompt": 3, "completion": "b"}, "column 'prompt' is a number, text is wanted"),
    ("list_for_text", {"prompt": "a", "completion": ["b"]}, "column 'completion' is a list, text is wanted"),
    ("object_for_text", {"prompt": {"a": 1}, "completion": "b"}, "column 'prompt' is an object, text is wanted"),
    ("truth_for_text", {"prompt": "a", "completion": True}, "column 'completion' is true or false"),
    ("empty_answer", {"prompt": "a", "completion": ""}, "the answer is empty"),
    ("blank_answer", {"prompt": "a", "completion": " \n"}, "the answer is empty"),
    ("system_no_text", {"system": ["be", "kind"], "prompt": "a", "completion": "b"}, "column 'system' is a list"),
    ("system_number", {"system": 7, "prompt": "a", "completion": "b"}, "column 'system' is a number"),
    ("two_answers", {"prompt": "a", "completion": "b", "answer": "c"}, "could each be the answer"),
    ("no_messages", {"messages": []}, "no assistant message"),
    ("messages_as_text", {"messages": "hello"}, "column 'messages' is text, a list of messages is wanted"),
    ("message_as_text", {"messages": ["hello"]}, "message 1 of 'messages' is text, an object is wanted"),
    ("message_without_role", {"messages": [{"content": "a"}]}, "message 1 of 'messages' has no 'role'"),
    ("null_content", {"messages": [{"role": "user", "content": None}]}, "has null as 'content'"),
    ("parts_as_content", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "has parts in 'content'"),
    ("call_without_name", {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "a call of a tool has no name"),
    ("call_by_user", {"messages": [{"role": "user", "content": "a", "tool_calls": [{"name": "f"}]}]}, "calls a tool"),
    ("call_of_a_tool", {"messages": [{"role": "assistant", "tool_calls": [{"name": "f"}]}]}, "no place for the calls"),
    ("arguments_no_json", {"messages": [{"from": "function_call", "value": "f(x)"}]}, "its call is no JSON"),
    ("tools_as_text", {"tools": "rake", **_said(("user", "a"), ("assistant", "b"))}, "column 'tools' is no JSON"),
    ("tools_beside", {"tools": [{"name": "f"}], **_said(("user", "a"), ("assistant", "b"))}, "no place for the column"),
    ("weight_of_two", {"messages": [{"role": "assistant", "content": "a", "weight": 2}]}, "0 to 1 is wanted"),
    ("unknown_role", _said(("wizard", "a"), ("assistant", "b")), "has the role 'wizard'"),
    ("system_in_the_middle", _said(("user", "a"), ("system", "b"), ("assistant", "c")), "message 2 is by system"),
    ("tool_has_the_last_word", _said(("user", "a"), ("assistant", "b"), ("tool", "c")), "ends with the tool"),
    ("user_has_the_last_word", _said(("user", "a"), ("assistant", "b"), ("user", "c")), "ends with the user"),
    ("question_only", _said(("user", "a")), "no assistant message"),
    ("system_only", _said(("system", "a")), "no assistant message"),
    ("empty_message", _said(("user", "a"), ("assistant", "")), "the answer is empty"),
    ("system_twice", {"system": "x", **_said(("system", "y"), ("user", "a"), ("assistant", "b"))}, "differ"),
    ("role_of_a_megabyte", _said(("w" * 1_000_000, "a"), ("assistant", "b")), "…"),
    ("ten_thousand_columns", {f"c{n}": "x" for n in range(10_000)}, "and 9,980 more"),
]  # fmt: skip

ROWS = [
    BadFile(kind, ending, wrap(_text(row)), "row", 2, said)
    for kind, row, said in _ROWS
    for ending, wrap in ((".jsonl", lines), (".json", array))
] + [
    BadFile("empty_answer", ".csv", table(b"a,"), "row", 3, "the answer is empty"),
    BadFile("blank_answer", ".csv", table(b"a,  "), "row", 3, "the answer is empty"),
]
"""What is read, and is no row to learn from."""
