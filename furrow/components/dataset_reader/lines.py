"""Lines of a text file, with everything that makes a file unreadable refused by file:line. Knows no data format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from furrow.components.errors import RequestError

LONGEST = 64 << 20
"""Bytes that one line (or one element of an array) may have: the bound on memory."""

_MAGIC = {
    b"\x1f\x8b": ("gzip", "gunzip it first"),
    b"PK\x03\x04": ("a zip archive", "unzip it first"),
    b"\xfd7zXZ": ("xz", "unxz it first"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd it first"),
    b"PAR1": ("Parquet", "convert it to JSON lines"),
    b"\xff\xfe": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
}
"""How files begin that are not UTF-8 text -> what they are, what to do."""

_BOM = b"\xef\xbb\xbf"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line with its number from 1, ended by `\\n` whatever ended it in the file; a BOM is taken off.

    Raises RequestError for what is no readable text: no file, empty, compressed, not UTF-8, NUL, a line over LONGEST.
    """
    with open_text(path) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            where = f"{path}:{number}"
            if len(line) > LONGEST:
                raise RequestError(f"the line is longer than {LONGEST >> 20} MiB", where=where)
            text = decoded(line, where)
            yield number, text[:-2] + "\n" if text.endswith("\r\n") else text


def open_text(path: Path) -> BinaryIO:
    """The file, open for reading bytes and standing after a BOM. Raises RequestError for what cannot be text."""
    if path.is_dir():
        raise RequestError(f"{path} is a folder, a file is wanted")
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    try:
        file = path.open("rb")
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    start = file.read(8)
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    if kind or not start:
        file.close()
        what, remedy = kind or ("empty", None)
        raise RequestError(f"the file is {what}", where=f"{path}:1", remedy=remedy)
    file.seek(len(_BOM) if start.startswith(_BOM) else 0)
    return file


def decoded(line: bytes, where: str) -> str:
    """The bytes as UTF-8 text without NUL. Raises RequestError with the byte, its column and the likely encoding."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(line, error.start, f"column {error.start + 1}", where) from error
    if "\0" in text:
        raise not_utf8(line, line.index(0), f"column {line.index(0) + 1}", where)
    return text


def not_utf8(data: bytes, position: int, place: str, where: str) -> RequestError:
    """The error for the byte at `position` of `data`: which it is, at what `place`, and what encoding it looks like."""
    letter = data[position : position + 1].decode("cp1252", errors="replace")
    if data[position] == 0:
        what, likely = f"there is a NUL at {place}", "; the file looks like UTF-16" if data.count(0) > 1 else ""
    else:
        what = f"byte 0x{data[position]:02X} at {place} is not UTF-8"
        likely = f"; in Windows-1252 (Latin-1) it would be {letter!r}" if letter.isalpha() else ""
    return RequestError(what + likely, where=where, remedy="save the file as UTF-8")
