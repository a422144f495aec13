"""A data file is opened for reading bytes, unpacked where it is packed. What can be no data file is refused."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, cast

from furrow.components.data_files.unpacking import PACKED, Unpacked
from furrow.components.errors import RequestError

AT_ONCE = 1 << 20
"""Bytes that are read at a time."""
PARQUET = b"PAR1"
_LONGEST_MAGIC = 16
_PICKLE = (
    "a Python pickle",
    "it is not opened, since a pickle can run any program; save the rows as JSON lines",
)
_MAGIC = {
    b"\x1f\x8b": ("gzip, packed twice", "gunzip it first"),
    b"\x28\xb5\x2f\xfd": ("zstd, packed twice", "unzstd it first"),
    b"PK\x03\x04": ("a zip archive", "unzip it first; a table of Excel (.xlsx) is saved as CSV there"),
    b"\xfd7zXZ": ("xz", "unxz it first"),
    b"BZh": ("bzip2", "bunzip2 it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    PARQUET: ("Parquet", "read it with dataset.reader: parquet"),
    b"PARE": ("encrypted Parquet", "write it without encryption"),
    b"ARROW1": ("Arrow", "convert it to Parquet or JSON lines"),
    b"Obj\x01": ("Avro", "convert it to JSON lines"),
    b"SQLite format": ("an SQLite database", "export the table as CSV"),
    b"%PDF-": ("a PDF document", "a data set is a table of rows: JSON lines, JSON or CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Office document", "save the table as CSV"),
    b"\x80\x02": _PICKLE,
    b"\x80\x03": _PICKLE,
    b"\x80\x04": _PICKLE,
    b"\x80\x05": _PICKLE,
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


def open_text(path: Path) -> BinaryIO:
    """The file, open for reading the bytes of its text and standing after a BOM. Raises RequestError for what cannot be
    text."""
    file = open_bytes(path)
    try:
        start = beginning(file, path)
        kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
        if kind or not start:
            what, remedy = kind or ("empty", None)
            raise RequestError(f"the file is {what}", where=f"{path}:1", remedy=remedy)
        if start.startswith(_BOM):
            file.read(len(_BOM))
    except BaseException:
        file.close()
        raise
    return file


def open_bytes(path: Path) -> io.BufferedReader[Any]:
    """The file, open for reading, unpacked where it is gzip or zstd. Raises RequestError for what is no file."""
    refuse_no_file(path)
    try:
        file: io.BufferedReader[Any] = io.BufferedReader(io.FileIO(path, "rb"), AT_ONCE)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        start = beginning(file, path)
        packed = next((kind for magic, kind in PACKED.items() if start.startswith(magic)), None)
        if packed is None:
            return file
        return io.BufferedReader(cast(io.RawIOBase, Unpacked(file, path, packed)), AT_ONCE)
    except BaseException:
        file.close()
        raise


def beginning(file: io.BufferedReader[Any], path: Path, size: int = _LONGEST_MAGIC) -> bytes:
    """The first bytes, fewer where the file is shorter; they are read once more by whoever reads on."""
    try:
        return file.peek(size)[:size]
    except OSError as error:
        raise _broken_device(path, error) from error


def read(file: BinaryIO, size: int, path: Path, *, by_line: bool = False) -> bytes:
    """At most so many bytes. Raises RequestError where the device fails."""
    try:
        return file.readline(size) if by_line else file.read(size)
    except OSError as error:
        raise _broken_device(path, error) from error


def refuse_no_file(path: Path) -> None:
    """Raises RequestError where the path leads to nothing, or to what is no file."""
    refuse_no_text_name(path)
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


def refuse_no_access(path: Path) -> None:
    """Raises RequestError where nobody may look whether there is a file. There may be none."""
    try:
        path.exists()
    except PermissionError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error


def refuse_no_text_name(path: Path) -> None:
    """Raises RequestError for a name that is not UTF-8: rows are named by it, in files that are."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", errors="backslashreplace")
        raise RequestError(f"the name of the file {shown} is not UTF-8", remedy="rename it") from error


def _broken_device(path: Path, error: OSError) -> RequestError:
    return RequestError(f"{path} cannot be read to its end: {error.strerror}")
