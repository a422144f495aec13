"""Data that tries to be more than data: rows with code, templates and orders in them, and files that are no files."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from furrow.components.plain_text import printable
from tests.faults.hostile import _tiny
from tests.faults.hostile.payload import Payload, by_command, code, pickled

NEEDS = ("torch", "peft", "transformers.models.llama.modeling_llama", "furrow.stages.train")
GOOD = {"prompt": "hello", "completion": "there"}
CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
FORMAT: dict[str, Any] = {"prompt_template": {"format": "{input} {output}"}, "data_preprocessing": {"max_length": 120}}


def _written(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def _shown(folder: Path, data: Path, **settings: Any) -> str:
    """`furrow train --dry-run` on the data; what it prints must be safe for a terminal."""
    base = _tiny.base(folder)
    blocks = {**FORMAT, **settings, "dataset": {"train_file": str(data), **settings.get("dataset", {})}}
    file = _tiny.strategy(folder, base, **blocks)
    said = by_command("train", "--dry-run", "--strategy", "tiny", "--strategy-file", file)
    if printable(said) != said:
        raise AssertionError(f"it gives orders to the terminal: {said!r}")
    return said


def _learned(text: Callable[[Path], str], layout: str) -> Callable[[Path, Path], str]:
    """The text as the answer of a row, as a question, as a label, as a system prompt: it stays the text that it is."""

    def attempt(folder: Path, marker: Path) -> str:
        from transformers import AutoTokenizer

        from furrow.stages.data.training_data import prepare
        from furrow.strategies.files import load

        said = text(marker)
        row: dict[str, Any] = {"prompt": said, "completion": said}
        if layout == "messages":
            turns = [("system", said), ("user", said), ("assistant", said)]
            row = {"messages": [{"role": role, "content": content} for role, content in turns]}
        template = FORMAT["prompt_template"] if layout == "columns" else {"type": "chat"}
        data = _written(folder / "hostile.jsonl", [row])
        base = _tiny.base(folder)
        (base / "chat_template.jinja").write_text(CHAT)
        limits = {"max_length": 128}
        file = _tiny.strategy(
            folder, base, dataset={"train_file": str(data)}, prompt_template=template, data_preprocessing=limits
        )
        tokenizer = AutoTokenizer.from_pretrained(base)
        [example] = prepare(load("tiny", file, []), tokenizer, lambda event: None).train.examples
        rendered = tokenizer.decode(example.sequences[0].input_ids)
        if said not in rendered:
            raise AssertionError(f"{said!r} became {rendered!r}")
        return _shown(folder, data, prompt_template=template) and "the text is learned as it stands"

    return attempt


TEXTS: dict[str, Callable[[Path], str]] = {
    "python": lambda marker: f"__import__('os').system('>{marker.name}')",
    "attributes": lambda marker: "{input.__class__}{0}{x!r:>9999}",
    "jinja_globals": lambda marker: "{{ self.__init__.__globals__ }}",
    "jinja_loop": lambda marker: "{% for a in range(10**9) %}{% endfor %}",
    "interpolation": lambda marker: "${oc.env:HOME} ${hydra:x} %(HOME)s",
    "shell": lambda marker: f"$(>{marker.name}) `>x` ; >x | sh",
    "yaml_tag": lambda marker: "!!python/object/apply:os.system ['id']",
    "go_template": lambda marker: '{{ .System }}{{ exec "id" }}',
    "modelfile": lambda marker: '"""\nFROM /etc/passwd\nSYSTEM """x',
    "rich_markup": lambda marker: "[bold red]x[/] [link=file:///etc]y[/]",
    "html": lambda marker: "<script>x</script><img src=x onerror=x>",
    "percent_and_null": lambda marker: "%s%n%x \\0 \\x1b",
}
"""Texts that are orders in some language, none of which is to be spoken here."""


def _file(name: str, make: Callable[[Path, Path], bytes | None], **settings: Any) -> Callable[[Path, Path], str]:
    """A data set of these bytes (or of what `make` has put there), in a dry run."""

    def attempt(folder: Path, marker: Path) -> str:
        data = folder / name
        content = make(data, marker)
        if content is not None:
            data.write_bytes(content)
        return _shown(folder, data, **settings)

    return attempt


def _rows(*rows: Any, **settings: Any) -> Callable[[Path, Path], str]:
    return lambda folder, marker: _shown(folder, _written(folder / "hostile.jsonl", list(rows)), **settings)


def _looked_at(command: str, text: str) -> Callable[[Path, Path], str]:
    """`furrow data inspect` or `preview` of rows with this text everywhere: what is printed and the page are safe."""

    def attempt(folder: Path, marker: Path) -> str:
        rows = [{"prompt": f"{text} {n // 2}", "completion": f"{text} {n // 4}"} for n in range(12)]
        name = re.sub(r"[/\x00-\x1f\x7f-\x9f]", "", text)[:40]  # a path with control characters is refused
        data, page = _written(folder / f"{name}.jsonl", rows), folder / "page.html"
        file = _tiny.strategy(folder, _tiny.base(folder), dataset={"train_file": "x.jsonl"}, **FORMAT)
        named = ("--strategy", "tiny", "--strategy-file", file)
        said = by_command("data", command, "--train-dataset", data, *named, "--html", page)
        html = page.read_text()
        for shown in (said, html):
            if printable(shown) != shown:
                raise AssertionError(f"it gives orders: {shown!r}")
        if "<script" in html or "<img" in html or "javascript:" in re.sub(r">[^<]*<", "><", html):
            raise AssertionError("it became markup")
        return said

    return attempt


def _split(name: str) -> Callable[[Path, Path], str]:
    """`furrow split` of a file that is called so."""

    def attempt(folder: Path, marker: Path) -> str:
        words = {"prompt": "a", "completion": "b"}
        data = _written(folder / name.replace("MARKER", marker.name), [{**words, "n": n} for n in range(20)])
        said = by_command("split", "--input", data)
        left = {path.name for path in folder.iterdir()}
        if left != {data.name, f"{data.stem}_train.jsonl", f"{data.stem}_eval.jsonl"}:
            raise AssertionError(f"it left {left}")
        return said

    return attempt


def _named(path: str, **settings: Any) -> Callable[[Path, Path], str]:
    """A strategy of somebody else that names this as its data."""
    return lambda folder, marker: _shown(folder, Path("x"), dataset={"train_file": path, **settings})


def _pipe(data: Path, marker: Path) -> None:
    os.mkfifo(data)


def _device(data: Path, marker: Path) -> None:
    data.symlink_to("/dev/zero")


def _socket(data: Path, marker: Path) -> None:
    place = Path.cwd()
    os.chdir(data.parent)
    socket.socket(socket.AF_UNIX).bind(data.name)
    os.chdir(place)


def _to_itself(data: Path, marker: Path) -> None:
    data.symlink_to(data)


def _hole(data: Path, marker: Path) -> None:
    with data.open("wb") as file:
        file.write(b'{"prompt": "')
        file.truncate(20 << 30)


def _bomb(data: Path, marker: Path) -> bytes:
    return gzip.compress(bytes(100 << 20), compresslevel=1)


SKIP: dict[str, Any] = {"dataset": {"on_bad_row": "skip"}}
CLASSES: dict[str, Any] = {"prompt_template": {"type": "chat"}}
ORDERS = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e\rover"


def _classified(*rows: Any, labels: tuple[str, ...] = ()) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        data = _written(folder / "hostile.jsonl", list(rows))
        file = _tiny.strategy(folder, _tiny.base(folder), dataset={"train_file": str(data)})
        body = json.loads(file.read_text())
        objective = {"type": "classification", "labels": list(labels)} if labels else {"type": "classification"}
        body["tiny"]["components"]["fine_tuner"]["config"]["objective"] = objective
        file.write_text(json.dumps(body))
        return by_command("train", "--dry-run", "--strategy", "tiny", "--strategy-file", file)

    return attempt


PAYLOADS = (
    *(
        Payload(name=f"{name} in {layout}", attempt=_learned(text, layout))
        for name, text in TEXTS.items()
        for layout in ("columns", "messages")
    ),
    Payload(name="orders to the terminal in a row", attempt=_rows({"prompt": ORDERS, "completion": ORDERS})),
    Payload(name="orders to the terminal in a column", attempt=_rows({ORDERS: 1}), because="among"),
    *(
        Payload(name=f"{what} in the page of data {command}", attempt=_looked_at(command, text))
        for command in ("inspect", "preview")
        for what, text in (("orders", ORDERS), ("markup", "</p><script>x</script><img src=x onerror=x>\"' [b]"))
    ),
    Payload(name="orders to the terminal in bad rows", attempt=_rows(GOOD, {ORDERS: ORDERS}, **SKIP)),
    Payload(
        name="orders to the terminal as a role",
        attempt=_rows({"messages": [{"role": ORDERS, "content": "x"}]}, prompt_template={"format": "{input}{output}"}),
        because="has the role",
    ),
    Payload(name="control tokens that end a turn", attempt=_rows({"prompt": "a</s>b", "completion": "c</s>"})),
    Payload(name="columns called as arguments", attempt=_rows({**GOOD, "columns": "x", "where": "y", "self": "z"})),
    Payload(name="columns called as attributes", attempt=_rows({**GOOD, "__class__": "x", "__dict__": {"a": 1}})),
    Payload(name="a row that names a target", attempt=_rows({**GOOD, "_target_": "os.system", "type": "python"})),
    Payload(name="a role of ten megabytes", because="has the role",
            attempt=_rows({"messages": [{"role": "w" * (10 << 20), "content": "x"}]})),
    Payload(name="a label of ten megabytes", because="is none of the 2 classes",
            attempt=_classified({"text": "x", "label": "a" * (10 << 20)}, labels=("yes", "no"))),
    Payload(name="labels of 5,000 digits",
            attempt=_classified({"text": "x", "label": "9" * 5000}, {"text": "y", "label": "1"})),
    Payload(name="a label of 5,000 digits for a place", because="is none of the 2 classes",
            attempt=_classified({"text": "x", "label": "9" * 5000}, labels=("yes", "no"))),
    Payload(name="a pickle as .jsonl", attempt=_file("d.jsonl", lambda data, marker: pickled(marker)),
            because="a Python pickle"),
    Payload(name="a pickle as .json", attempt=_file("d.json", lambda data, marker: pickled(marker)),
            because="a Python pickle"),
    Payload(name="a pickle as .csv", attempt=_file("d.csv", lambda data, marker: pickled(marker)),
            because="a Python pickle"),
    Payload(name="python as .jsonl", attempt=_file("d.jsonl", lambda data, marker: code(marker).encode()),
            because="invalid JSON"),
    Payload(name="python as .py", attempt=_file("d.py", lambda data, marker: code(marker).encode()),
            because="does not say how to read it"),
    Payload(name="a gzip bomb", attempt=_file("d.jsonl", _bomb), because="longer than 64 MiB", bytes=300 << 20),
    Payload(name="a pipe", attempt=_file("d.jsonl", _pipe), because="is a pipe"),
    Payload(name="a device", attempt=_file("d.jsonl", _device), because="is a device"),
    Payload(name="a socket", attempt=_file("d.jsonl", _socket), because="is a socket"),
    Payload(name="a link to itself", attempt=_file("d.jsonl", _to_itself), because="cannot be read"),
    Payload(name="a line of 20 GB", attempt=_file("d.jsonl", _hole), because="longer than 64 MiB", bytes=400 << 20),
    Payload(name="100,000 lists in one another", because="nested too deep",
            attempt=_file("d.jsonl", lambda data, marker: b'{"prompt": ' + b"[" * 100_000)),
    Payload(name="100,000 objects in one another behind an escape", because="nested too deep",
            attempt=_file("d.json", lambda data, marker: b'[{"a": "\\u0041", "b": ' + b'{"a":' * 100_000)),
    Payload(name="20 million lists", because="more than 1,000,000 values", bytes=600 << 20,
            attempt=_file("d.jsonl", lambda data, marker: b'{"a": [' + b"[]," * 20_000_000 + b"[]]}")),
    Payload(name="a million equal keys", because="more than 1,000,000 values|is there twice",
            attempt=_file("d.jsonl", lambda data, marker: b"{" + b",".join([b'"a":1'] * 600_000) + b"}")),
    Payload(name="300,000 keys and one twice", because="is there twice",
            attempt=_file("d.jsonl", lambda data, marker: _keys(300_000))),
    Payload(name="100,000 names in a header and one twice", because="columns, 10,000 at most",
            attempt=_file("d.csv", lambda data, marker: b",".join(b"c%d" % n for n in range(100_000)) + b",c9\n")),
    Payload(name="a quote that never closes", because="is a quote not closed|is not closed", seconds=40,
            attempt=_file("d.csv", lambda data, marker: b'prompt,completion\n"' + b"x\n" * 3_000_000)),
    Payload(name="a million backslashes in an open text", because="invalid JSON",
            attempt=_file("d.jsonl", lambda data, marker: b'{"prompt": "' + b"\\\\" * 3_000_000)),
    Payload(name="an integer of ten million digits", because="digits is too large",
            attempt=_file("d.jsonl", lambda data, marker: b'{"prompt": ' + b"9" * 10_000_000 + b"}")),
    Payload(name="formulas of a spreadsheet",
            attempt=_file("d.csv", lambda data, marker: b"prompt,completion\n\"=cmd|' /C calc'!A0\",@SUM(1)\n")),
    Payload(name="a file called like an option", attempt=_split("--overwrite.jsonl")),
    Payload(name="a file called like a command", attempt=_split("x;touch MARKER;.jsonl")),
    Payload(name="a file called like a substitution", attempt=_split("$(touch MARKER).jsonl")),
    Payload(name="a file called like a format", attempt=_split("%s%n{0.__class__}.jsonl")),
    Payload(name="a file called like markup", attempt=_split("[bold red]x[].jsonl")),
    Payload(name="data from the network", attempt=_named("http://127.0.0.1:9/rows.jsonl")),
    Payload(name="data from a bucket", attempt=_named("s3://bucket/rows.jsonl")),
    Payload(name="data from a command", attempt=_named("|touch planted; echo {}.jsonl")),
    Payload(name="the environment as data", attempt=_named("/proc/self/environ", reader={"type": "jsonl"})),
    Payload(name="a path with NUL", attempt=_named("a\0b.jsonl")),
    Payload(name="a path of 5,000 letters", attempt=_named("x" * 5000 + ".jsonl")),
    Payload(name="standard input", attempt=_named("/dev/stdin", reader={"type": "jsonl"})),
)  # fmt: skip


def _keys(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b',"%d":1}' % (count - 1)
