"""Slot `dataset_reader`: a file becomes rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from furrow.components.errors import RequestError
from furrow.components.records import Row

TEXT_KEPT = 1000
"""Characters of a bad row that are kept: enough to find out what it is, and a million bad rows fit into memory."""


@dataclass(frozen=True)
class BadRow:
    """Stands in the place of a row that cannot be used, where the reader can go on behind it. `what` and `remedy` as in
    an error; `where` it begins (`file:line`); `text`: what stands there, at most TEXT_KEPT characters of it."""

    what: str
    where: str
    remedy: str | None = None
    text: str = ""

    def error(self) -> RequestError:
        """What is raised where bad rows end the run."""
        return RequestError(self.what, where=self.where, remedy=self.remedy)


class DatasetReader(Protocol):
    """The factory takes the config and returns one of these."""

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every row of the file, in order, and in the place of each that cannot be used a BadRow.

        What becomes of a BadRow is not the reader's business: it ends the run, or is set aside and counted
        (`dataset.on_bad_row`). Raises RequestError, with `file:line` where there is one, for what is wrong with the
        whole file (no such file, not this format, not UTF-8) and for a row behind which nobody knows where the next
        one begins; such an error ends the run in any case.
        """
        ...
