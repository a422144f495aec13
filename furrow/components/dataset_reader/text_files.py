"""Plain text and Markdown: a file, or a folder of them, becomes rows with one column `text`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from furrow.components.config import Config
from furrow.components.data_files.folder import files_below
from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.lines import LONGEST, numbered_lines
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.components.registry import Component

_ENDINGS = (".txt", ".md", ".markdown")
_PACKED = (".gz", ".zst")


class TextConfig(Config):
    """What becomes a row of its own."""

    row: Literal["document", "paragraph", "line"] = "document"
    """document: each file, as it stands (a long one becomes several examples when it is learned); paragraph: what
    stands between blank lines; line: each line that is not blank."""


class TextFiles:
    """Reads one file, or every .txt, .md and .markdown below a folder, in the order of their names."""

    def __init__(self, config: TextConfig) -> None:
        self._row = config.row

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every text, `where` = file:line where it begins; of a folder, a file that is no text is a BadRow.

        Raises RequestError for one file that is none, and for a folder without any.
        """
        if not path.is_dir():
            yield from self._of_file(path)
            return
        files = text_files(path)
        if not files:
            raise RequestError(f"there is no file with {', '.join(_ENDINGS)} below the folder", where=str(path))
        for file in files:
            try:
                yield from self._of_file(file)
            except RequestError as error:
                yield BadRow(error.what, error.where or str(file), error.remedy)

    def _of_file(self, path: Path) -> Iterator[Row | BadRow]:
        begun, lines, size, empty = 1, list[str](), 0, True
        for number, line in numbered_lines(path):
            if isinstance(line, BadRow):
                if self._row == "document":
                    raise line.error()
                yield line
                continue
            if self._row == "paragraph" and line.isspace() and lines:
                yield _row(lines, f"{path}:{begun}")
                lines, size = [], 0
            if not line.isspace() or lines:
                begun = begun if lines else number
                lines.append(line)
                size += len(line)
                empty = False
            if size > LONGEST:
                raise RequestError(
                    f"the {self._row} is longer than {LONGEST >> 20} MiB",
                    where=f"{path}:{begun}",
                    remedy="dataset.reader: {type: text, row: paragraph} makes a row of each paragraph; or line",
                )
            if self._row == "line" and lines:
                yield _row(lines, f"{path}:{number}")
                lines, size = [], 0
        if lines:
            yield _row(lines, f"{path}:{begun}")
        if empty:
            raise RequestError("the file holds no text", where=str(path))


def text_files(folder: Path) -> list[Path]:
    """Those of `files_below` that are text, packed or not."""
    return [file for file in files_below(folder) if _bare(file.name).endswith(_ENDINGS)]


def _bare(name: str) -> str:
    bare = name.lower()
    for packed in _PACKED:
        bare = bare.removesuffix(packed)
    return bare


def _row(lines: list[str], where: str) -> Row:
    return Row({"text": "".join(lines).rstrip()}, where)


COMPONENT = Component(
    summary="plain text and Markdown: a file, or a folder of them (.txt, .md)",
    config=TextConfig,
    factory="furrow.components.dataset_reader.text_files:TextFiles",
)
