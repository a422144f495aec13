"""Lines of a text file, with everything that makes a file unreadable refused by file:line. Knows no data format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from furrow.components.data_files.opening import open_text, read
from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.errors import RequestError

LONGEST = 64 << 20
"""Bytes that one line (or one element of an array) may have: the bound on memory."""
_PIECE = 64 << 10
"""Bytes passed over at once: each megabyte would be mapped and given back, which takes three times as long."""
_LOOKED_AT = 1000
"""Bytes from the first NUL on that tell whether it is UTF-16."""


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


def _pass_over(file: BinaryIO, path: Path) -> None:
    """The rest of the line, without keeping it."""
    while (piece := read(file, _PIECE, path, by_line=True)) and not piece.endswith(b"\n"):
        pass
