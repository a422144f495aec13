"""Which reader a file asks for: by its ending, and by what stands in it where the two differ, which is then said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from furrow.components.data_files.recognition import Held, held_by
from furrow.components.errors import RequestError

READERS: dict[str, tuple[str, dict[str, str]]] = {
    ".jsonl": ("jsonl", {}),
    ".ndjson": ("jsonl", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"delimiter": "\t"}),
    ".parquet": ("parquet", {}),
    ".txt": ("text", {}),
    ".md": ("text", {}),
    ".markdown": ("text", {}),
}
"""A file's ending -> the reader's type and its settings."""
PACKED_ENDINGS = {".gz": "gzip", ".zst": "zstd"}
_NAMED = {
    "jsonl": "JSON lines",
    "json": "a JSON array",
    "csv": "a table",
    "parquet": "Parquet",
    "text": "text",
}
_ESCAPED = {"\t": "\\t"}
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class Chosen(NamedTuple):
    """A reader by its type and settings, and what is to be said where a name says otherwise."""

    type: str
    settings: Mapping[str, Any]
    note: str | None = None


def ending_of(path: Path) -> str:
    """The ending that says what stands in the file, in small letters and without `.gz` or `.zst`; '' for none."""
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    while endings and endings[-1] in PACKED_ENDINGS:
        endings.pop()
    return endings[-1] if endings else ""


def by_ending(path: Path) -> Chosen | None:
    """What the name alone says; None where it says nothing."""
    return Chosen(*READERS[ending]) if (ending := ending_of(path)) in READERS else None


def by_content(path: Path) -> Chosen:
    """What the name says and the content confirms, or corrects.

    Raises RequestError where there is no such file, and where neither tells what it is.
    """
    if not os.path.lexists(path):
        raise missing_file(path)
    said, held = by_ending(path), held_by(path)
    if said is None:
        if held.content not in ("jsonl", "json", "parquet"):
            raise RequestError(
                f"the ending of {path.name} does not say how to read it",
                where=str(path),
                remedy=f"known: {', '.join(READERS)}, also with .gz or .zst behind; or choose a reader with "
                "dataset.reader",
            )
        return _with_note(Chosen(held.content, {}), path, f"{path.name} is read as {_NAMED[held.content]}, which it is")
    if said.type == "text":
        return _text(said, path, held)
    if said.type != held.content and held.content in ("jsonl", "json", "parquet"):
        note = f"{path.name} is {_NAMED[held.content]}, whatever its ending says, and is read as such"
        return _with_note(Chosen(held.content, {}), path, note)
    if said.type == "csv":
        return _table(said, path, held)
    if held.content == "text" and said.type != held.content:
        _refuse_another(said, path, held)
    return said._replace(note=_packing(path, held))


def missing_file(path: Path, remedy: str | None = None) -> RequestError:
    """What is said of a file that is not there."""
    looked = "" if path.is_absolute() else f" (looked in {Path.cwd()})"
    usual = "a relative path counts from where the command runs; a data set of the hub is read with "
    return RequestError(f"there is no file {path}{looked}", remedy=remedy or f"{usual}dataset.reader: datasets")


def _text(said: Chosen, path: Path, held: Held) -> Chosen:
    if held.content in ("text", "object"):
        return said._replace(note=_packing(path, held))
    raise RequestError(
        f"the file is {_NAMED[held.content]}, and its ending says text",
        where=str(path),
        remedy="for its rows, name the reader, `dataset.reader: " + held.content + "`; to learn the file as it stands, "
        "`dataset.reader: text`",
    )


def _table(said: Chosen, path: Path, held: Held) -> Chosen:
    usual = said.settings.get("delimiter", ",")
    delimiter = held.delimiter(usual)
    if delimiter is None or delimiter == usual:
        return said._replace(note=_packing(path, held))
    note = f"the fields of {path.name} are divided by {_DELIMITERS[delimiter]}, not by {_DELIMITERS[usual]}"
    return _with_note(Chosen("csv", {"delimiter": delimiter}), path, f"{note}, and are read so")


def _refuse_another(said: Chosen, path: Path, held: Held) -> None:
    """Raises RequestError for a table or a text whose name says JSON or Parquet: nothing in it would be read."""
    delimiter = held.delimiter(",") if held.is_no_json else None
    if delimiter is not None:
        ending = ".tsv" if delimiter == "\t" else ".csv"
        raise RequestError(
            f"this looks like a table divided by {_DELIMITERS[delimiter]} (CSV), and its ending says "
            f"{_NAMED[said.type]}",
            where=str(path),
            remedy=f"name it {path.name.partition('.')[0]}{ending}, or say dataset.reader: "
            f'{{type: csv, delimiter: "{_ESCAPED.get(delimiter, delimiter)}"}}',
        )
    if said.type == "parquet" and held.is_readable:
        raise RequestError(
            f"this looks like plain text, and its ending says {_NAMED[said.type]}",
            where=str(path),
            remedy="give it the ending of what it is, or name the reader: dataset.reader: text",
        )


def _packing(path: Path, held: Held) -> str | None:
    """What there is to say where the name and the content differ in how the file is packed."""
    named = PACKED_ENDINGS.get(path.suffix.lower())
    if held.packed == named:
        return None
    if held.packed is None:
        return f"{path.name} is not packed, whatever its ending says, and is read as it stands"
    return f"{path.name} is packed by {held.packed}, and is unpacked as it is read"


def _with_note(chosen: Chosen, path: Path, note: str) -> Chosen:
    return chosen._replace(note=f"{note}; `dataset.reader` says it without this note")
