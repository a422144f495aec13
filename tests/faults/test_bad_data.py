"""Bad data: named by file and line and refused, or set aside and counted; never a traceback, never silently nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from furrow.components.errors import RequestError
from furrow.components.events import RowsSetAside
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.training_data import prepare
from furrow.strategies.files import load
from tests.faults.bad_files import FINE, GOOD, ROWS, UNREADABLE, BadFile, lines
from tests.reading import read_rows

CHAT = (
    "{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


class Letters:
    """A tokenizer that knows letters: id of a letter is its code."""

    chat_template, bos_token, bos_token_id, eos_token, eos_token_id, model_max_length = CHAT, None, None, "</s>", 0, 512
    all_special_tokens = ("</s>",)

    def __call__(self, text, add_special_tokens=True):
        return type("Encoded", (), {"input_ids": [ord(letter) for letter in text]})

    def convert_ids_to_tokens(self, number):
        return "</s>"

    def get_vocab(self):
        return {}


def written(folder: Path, file: BadFile) -> Path:
    path = folder / f"data{file.ending}"
    path.write_bytes(file.data)
    return path


def prepared(folder, path, template="chat", **settings):
    """Reads and renders the rows of a file as a run does: (data, events)."""
    strategy = {
        "dataset": {"train_file": str(path), **settings},
        "prompt_template": {"type": "chat"} if template == "chat" else {"format": template},
        "components": {"fine_tuner": {"type": "pytorch", "config": {"base_model": {"path": "nowhere"}}}},
    }
    (folder / "s.yaml").write_text(yaml.safe_dump({"s": strategy}))
    events = []
    return prepare(load("s", folder / "s.yaml"), Letters(), events.append), events


def assert_named(error: RequestError, file: BadFile, path: Path) -> None:
    told = str(error)
    assert file.said in told
    assert error.where == (str(path) if file.line is None else f"{path}:{file.line}")
    assert len(told) < 4000


@pytest.mark.parametrize("file", UNREADABLE, ids=str)
def test_a_bad_file_is_refused_by_file_and_line(tmp_path, file):
    path = written(tmp_path, file)
    with pytest.raises(RequestError) as error:
        read_rows(path)
    assert_named(error.value, file, path)


@pytest.mark.parametrize("file", UNREADABLE, ids=str)
def test_a_bad_row_is_set_aside_and_a_bad_file_is_refused_even_then(tmp_path, file):
    path, bad = written(tmp_path, file), BadRows(skip=True)
    if file.ends == "file" or file.kind in ("pretty_printed", "arrays"):  # most of its rows are bad
        with pytest.raises(RequestError):
            read_rows(path, bad=bad)
        return
    rows = read_rows(path, bad=bad)
    [one] = bad.found
    assert one.where == f"{path}:{file.line}" and file.said.partition("\n")[0] in f"{one.what} {one.remedy}"
    assert len(rows) == bad.seen - 1 == (1 if file.kind == "cut_last_line" else 2) and 0 < len(one.text) <= 1000


@pytest.mark.parametrize("file", FINE, ids=str)
def test_what_only_looks_bad_is_read(tmp_path, file):
    assert len(read_rows(written(tmp_path, file))) == file.line


@pytest.mark.parametrize("file", ROWS, ids=str)
def test_a_row_that_cannot_be_learned_is_refused_by_file_and_line_or_set_aside(tmp_path, file):
    path = written(tmp_path, file)
    with pytest.raises(RequestError) as error:
        prepared(tmp_path, path)
    assert_named(error.value, file, path)
    data, events = prepared(tmp_path, path, on_bad_row="skip")
    [bad] = data.rows.bad.found
    assert (len(data.train.examples), len(data.rows.train), bad.where) == (2, 2, f"{path}:{file.line}")
    assert file.said in bad.what or len(bad.what) == 500
    assert data.rows.bad.event().first == [f"{path}:{file.line} ({bad.what})"] and not events_of(events)


def events_of(events):
    return [event for event in events if isinstance(event, RowsSetAside)]


@pytest.mark.parametrize("system", [["be kind"], {"a": 1}, 7, True])
def test_a_system_prompt_that_is_no_text_is_a_bad_row_of_a_format_template_too(tmp_path, system):
    path = tmp_path / "data.jsonl"
    path.write_bytes(lines(json.dumps({"system": system, "prompt": "a", "completion": "b"}).encode()))
    with pytest.raises(RequestError, match=r"data\.jsonl:2: column 'system' is"):
        prepared(tmp_path, path, "{prompt} {completion}")
    data, _ = prepared(tmp_path, path, "{prompt} {completion}", on_bad_row="skip")
    assert len(data.train.examples) == 2


@pytest.mark.parametrize("kind", ["folder", "dangling", "loop", "pipe", "device", "socket", "unreadable", "gone"])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, kind):
    path = tmp_path / "data.jsonl"
    match kind:
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "loop":
            path.symlink_to(path)
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))
        case "unreadable":
            path.write_bytes(GOOD)
            path.chmod(0)
    said = {
        "folder": "is a folder", "dangling": "is a link to", "loop": "cannot be read", "pipe": "is a pipe",
        "device": "is a device", "socket": "is a socket", "unreadable": "cannot be read: Permission denied",
        "gone": "there is no file",
    }[kind]  # fmt: skip
    for reader in ("jsonl", "json", "csv", "parquet"):
        assert said in (ended := child(READING, reader, path)) or (os.getuid() == 0 and "Permission denied" in ended)


READING = """
import os, sys
from pathlib import Path
from furrow.components.errors import RequestError
from furrow.components.registry import factory, find
component = find("dataset_reader", sys.argv[1])
reader = factory(component)(component.config())
if os.getuid() == 0:  # who may read everything
    os.setuid(65534)
try:
    list(reader.read(Path(sys.argv[2])))
except RequestError as error:
    print(error)
"""


def child(program: str, *arguments: str | Path, seconds: float = 60.0) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True).stdout


MEASURED = """
import re, sys
from pathlib import Path
from furrow.components.errors import RequestError
from furrow.stages.data.bad_rows import BadRows
from tests.reading import read_rows
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10
before = highest()
try:
    print(len(read_rows(Path(sys.argv[1]), bad=BadRows(skip=sys.argv[2] == "skip"))), "rows")
except RequestError as error:
    print(error)
print(highest() - before)
"""
AROUND = {
    ".jsonl": (b"", GOOD, b"\n", b""),
    ".json": (b"[", GOOD, b",\n", b"]"),
    ".csv": (b"a,b\n", b"1,2", b"\n", b""),
}


def huge(path: Path, kind: str) -> None:
    """Two good rows, one that is huge, two good ones."""
    begin, row, between, end = AROUND[path.suffix]
    quote = (b'"', b'",2') if path.suffix == ".csv" else (b'{"prompt": "', b'"}')
    with path.open("wb") as file:
        file.write(begin + row + between + row + between)
        match kind:
            case "holes":  # a gigabyte that takes no room
                file.write(quote[0])
                file.seek(1 << 30)
                file.write(quote[1])
            case "letters":
                file.write(quote[0])
                file.writelines(b"x" * (1 << 20) for _ in range(80))
                file.write(quote[1])
            case "lists":
                file.write(b'{"a": [' + b"[]," * (20 << 20) + b"[]]}")
            case "lines":  # a quote that is open
                file.write(quote[0] + b"x\n" * 200_000)
        file.write(between + row + between + row + end)


@pytest.mark.parametrize(
    ("kind", "ending", "on_bad_row", "said", "megabytes"),
    [
        pytest.param("holes", ".jsonl", "stop", "longer than 64 MiB", 200, marks=pytest.mark.slow),
        ("holes", ".jsonl", "skip", "4 rows", 200),
        ("holes", ".json", "skip", "NUL at byte", 50),
        pytest.param("holes", ".csv", "skip", "longer than 64 MiB", 200, marks=pytest.mark.slow),
        pytest.param("letters", ".json", "skip", "longer than 64 MiB", 300, marks=pytest.mark.slow),
        ("letters", ".csv", "skip", "longer than 64 MiB", 200),
        pytest.param("lists", ".jsonl", "skip", "4 rows", 200, marks=pytest.mark.slow),
        pytest.param("lists", ".json", "skip", "more than 1,000,000 values", 200, marks=pytest.mark.slow),
        ("lines", ".csv", "skip", "more than 100,000 lines", 100),
    ],
)
def test_a_row_without_end_takes_bounded_memory(tmp_path, kind, ending, on_bad_row, said, megabytes):
    path = tmp_path / f"data{ending}"
    huge(path, kind)
    told, taken = child(MEASURED, path, on_bad_row).rsplit(maxsplit=1)
    assert said in told
    assert int(taken) < megabytes


def test_more_than_half_of_the_rows_bad_is_an_error_even_where_they_are_set_aside(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\n".join([GOOD, b"{", GOOD, b"{"]))
    assert len(read_rows(path, bad=BadRows(skip=True))) == 2
    path.write_bytes(b"\n".join([GOOD, b"{", b"{"]))
    with pytest.raises(RequestError, match=r"data.jsonl:2: 2 of 3 rows are bad, too many to set aside") as error:
        read_rows(path, bad=BadRows(skip=True))
    assert error.value.exit_code == 2
    path.write_bytes(b"\n".join([GOOD, b'{"prompt": 1}', b'{"prompt": 2}']))
    with pytest.raises(RequestError, match=r"data.jsonl:2: 2 of 3 rows are bad, too many to set aside"):
        prepared(tmp_path, path, on_bad_row="skip")


def test_rows_of_a_minified_array_are_told_apart_though_they_stand_on_one_line(tmp_path):
    path = tmp_path / "data.json"
    path.write_bytes(b"[" + b",".join([GOOD, b'{"prompt": 1}', GOOD, b'{"prompt": 2}', GOOD]) + b"]")
    data, _ = prepared(tmp_path, path, on_bad_row="skip")
    assert (len(data.train.examples), len(data.rows.train), len(data.rows.bad.found)) == (3, 3, 2)


def test_fail_is_another_word_for_stop(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(lines(b"{"))
    for word in ("fail", "stop"):
        with pytest.raises(RequestError, match=r"data\.jsonl:2"):
            prepared(tmp_path, path, on_bad_row=word)
