"""Lines of a text file, with everything that makes a file unreadable refused by file:line. Knows no data format."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.errors import RequestError

LONGEST = 64 << 20
"""Bytes that one line (or one element of an array) may have: the bound on memory."""
_AT_ONCE = 1 << 20
"""Bytes that are read at a time."""
_LOOKED_AT = 1000
"""Bytes from the first NUL on that tell whether it is UTF-16."""

_MAGIC = {
    b"\x1f\x8b": ("gzip", "gunzip it first"),
    b"PK\x03\x04": ("a zip archive", "unzip it first; a table of Excel (.xlsx) is saved as CSV there"),
    b"\xfd7zXZ": ("xz", "unxz it first"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd it first"),
    b"BZh": ("bzip2", "bunzip2 it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"PAR1": ("Parquet", "convert it to JSON lines"),
    b"ARROW1": ("Arrow", "convert it to JSON lines"),
    b"Obj\x01": ("Avro", "convert it to JSON lines"),
    b"SQLite format": ("an SQLite database", "export the table as CSV"),
    b"%PDF-": ("a PDF document", "a data set is a table of rows: JSON lines, JSON or CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Office document", "save the table as CSV"),
    b"\x80\x02": (
        "a Python pickle",
        "it is not opened, since a pickle can run any program; save the rows as JSON lines",
    ),
    b"\x80\x03": (
        "a Python pickle",
        "it is not opened, since a pickle can run any program; save the rows as JSON lines",
    ),
    b"\x80\x04": (
        "a Python pickle",
        "it is not opened, since a pickle can run any program; save the rows as JSON lines",
    ),
    b"\x80\x05": (
        "a Python pickle",
        "it is not opened, since a pickle can run any program; save the rows as JSON lines",
    ),
    b"version https": ("a pointer of Git LFS, and the data is elsewhere", "fetch it with git lfs pull"),
    b"\xff\xfe": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
}
"""How files begin that are not UTF-8 text -> what they are, what to do."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What a path may lead to that is no file. None of these is opened: a pipe waits for ever, a device never ends."""

_BOM = b"\xef\xbb\xbf"


def numbered_lines(path: Path) -> Iterator[tuple[int, str | BadRow]]:
    """Every line with its number from 1, ended by `\\n` whatever ended it in the file; a BOM is taken off. In the place
    of a line over LONGEST, and of a later one than the first that is not UTF-8 or has a NUL, stands a BadRow.

    Raises RequestError for what is no readable text: no file, empty, compressed, the first line not UTF-8 or with NUL.
    """
    with open_text(path) as file:
        number = 0
        while line := read(file, LONGEST + 1, path, by_line=True):
            number += 1
            where = f"{path}:{number}"
            if len(line) > LONGEST:
                begins = line[:TEXT_KEPT].decode("utf-8", errors="replace")
                del line  # before the next one comes
                yield number, BadRow(f"the line is longer than {LONGEST >> 20} MiB", where, text=begins)
                _pass_over(file, path)
                continue
            try:
                text = decoded(line, where)
            except RequestError as error:
                if number == 1:  # it is the file that is in another encoding
                    raise
                yield number, BadRow(error.what, where, error.remedy, _escaped(line))
                continue
            yield number, text[:-2] + "\n" if text.endswith("\r\n") else text


def open_text(path: Path) -> BinaryIO:
    """The file, open for reading bytes and standing after a BOM. Raises RequestError for what cannot be text."""
    _refuse_no_file(path)
    try:
        file = path.open("rb", buffering=_AT_ONCE)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        start = read(file, 16, path)
        kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
        if kind or not start:
            what, remedy = kind or ("empty", None)
            raise RequestError(f"the file is {what}", where=f"{path}:1", remedy=remedy)
        file.seek(len(_BOM) if start.startswith(_BOM) else 0)
    except BaseException:
        file.close()
        raise
    return file


def read(file: BinaryIO, size: int, path: Path, *, by_line: bool = False) -> bytes:
    """At most so many bytes. Raises RequestError where the device fails."""
    try:
        return file.readline(size) if by_line else file.read(size)
    except OSError as error:
        raise RequestError(f"{path} cannot be read to its end: {error.strerror}") from error


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
        what, likely = (
            f"there is a NUL at {place}",
            "; the file looks like UTF-16" if _every_second(data[position:]) else "",
        )
    else:
        what = f"byte 0x{data[position]:02X} at {place} is not UTF-8"
        likely = f"; in Windows-1252 (Latin-1) it would be {letter!r}" if letter.isalpha() else ""
    return RequestError(what + likely, where=where, remedy="save the file as UTF-8")


def _every_second(data: bytes) -> bool:
    """Whether every second byte, from the first on, is NUL, as in UTF-16 of letters that ASCII has."""
    nuls, others = data[:_LOOKED_AT:2], data[1:_LOOKED_AT:2]
    return nuls.count(0) > max(1, len(nuls) // 2) and others.count(0) <= len(others) // 10


def _escaped(line: bytes) -> str:
    """Its beginning, with `\\x..` for each byte that is not UTF-8 or NUL."""
    return line[:TEXT_KEPT].decode("utf-8", errors="backslashreplace").replace("\0", "\\x00")[:TEXT_KEPT]


def _refuse_no_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        if path.is_symlink():
            raise RequestError(f"{path} is a link to {path.readlink()}, which is not there") from error
        raise RequestError(f"there is no file {path}") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RequestError(f"{str(path)!r} can be no file: {error}") from error
    if kind := next((name for is_kind, name in _KINDS if is_kind(mode)), None):
        raise RequestError(f"{path} is {kind}, a file is wanted")


def _pass_over(file: BinaryIO, path: Path) -> None:
    """The rest of the line, without keeping it."""
    while (piece := read(file, _AT_ONCE, path, by_line=True)) and not piece.endswith(b"\n"):
        pass
