"""A window that moves over a long text file: what was passed is forgotten, and line and column are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from furrow.components.data_files.opening import read
from furrow.components.dataset_reader.lines import LONGEST, not_utf8
from furrow.components.errors import RequestError

_PIECE = 1 << 20
"""Bytes read at first; each time that one element needs more, as much again as is already there."""

_SPACE = re.compile(r"[ \t\r\n]*+")


class Window:
    """`text` from `position` on is what was read and not yet passed."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.text = ""
        self.position = 0
        self.column = 1
        self.ended = False
        self._line = 1
        self._file, self._path = file, path
        self._rest = b""

    def where(self) -> str:
        """`file:line` of the position."""
        return f"{self._path}:{self._line}"

    def advance_to(self, position: int) -> None:
        """Passes the text up to `position`, an index into `text`."""
        newlines = self.text.count("\n", self.position, position)
        if newlines:
            self._line += newlines
            self.column = position - self.text.rfind("\n", self.position, position)
        else:
            self.column += position - self.position
        self.position = position

    def next_character(self) -> str:
        """Passes white space; the character that follows it, or '' at the end of the file."""
        while True:
            start = _SPACE.match(self.text, self.position).end()  # type: ignore[union-attr]  # it matches nothing too
            self.advance_to(start)
            if start < len(self.text) or self.ended:
                return self.text[start : start + 1]
            self.read_on()

    def read_on(self) -> None:
        """Forgets what was passed and reads more; `ended` when there is no more.

        Raises RequestError for what is not UTF-8, and when more than LONGEST is waiting already.
        """
        self.text = self.text[self.position :]
        self.position = 0
        if len(self.text) > LONGEST:
            raise RequestError(f"an element is longer than {LONGEST >> 20} MiB", where=self.where())
        more = read(self._file, max(_PIECE, min(len(self.text), LONGEST - len(self.text))), self._path)
        self.ended = not more
        self.text += self._decoded(self._rest + more)

    def _decoded(self, data: bytes) -> str:
        self._rest = b""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            if self.ended or error.reason != "unexpected end of data":
                raise self._not_utf8(data, error.start) from error
            self._rest = data[error.start :]  # the piece ended within a character
            text = data[: error.start].decode("utf-8")
        if "\0" in text:
            raise self._not_utf8(data, data.index(0))
        return text

    def _not_utf8(self, data: bytes, position: int) -> RequestError:
        line = self._line + self.text.count("\n") + data.count(b"\n", 0, position)
        offset = self._file.tell() - len(data) + position
        return not_utf8(data, position, f"byte {offset} of the file", f"{self._path}:{line}")
