"""The stage `split`: one dataset file becomes a file to learn and a file to evaluate on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from furrow.components.disk.publish import publishing_together, refuse_existing
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.components.registry import factory, find
from furrow.stages.data.dataset_files import READERS, read_rows


@dataclass(frozen=True)
class SplitResult:
    """The files that were written, and how many rows each has."""

    train_file: Path
    eval_file: Path
    train_rows: int
    eval_rows: int


def split(input: Path, eval_percent: float, output_dir: Path | None, seed: int, overwrite: bool) -> SplitResult:
    """Writes `<stem>_train.jsonl` and `<stem>_eval.jsonl` beside the input or into `output_dir`, both or neither.

    Lines of a .jsonl file are copied byte for byte; rows of other files become JSON lines. Equal rows stay together.
    Raises RequestError for a percentage out of (0, 50], a bad row by file:line, and a file that is there already.
    """
    if not 0 < eval_percent <= 50:
        raise RequestError(
            f"{eval_percent:g} percent is not more than 0 and at most 50", where="--eval-percent", remedy="10 is usual"
        )
    folder = output_dir if output_dir is not None else input.parent
    train_file, eval_file = (folder / f"{input.stem}_{side}.jsonl" for side in ("train", "eval"))
    for destination in (train_file, eval_file):
        refuse_existing(destination, overwrite)
    rows = read_rows(input)
    component = find("dataset_splitter", "random")
    splitter = factory(component)(component.config.model_validate({"seed": seed}))
    train, evaluation = splitter.split(rows, eval_percent / 100)
    if not evaluation:
        raise RequestError(
            "there are no two different rows to split", where=str(input), remedy="add rows, or name another file"
        )
    _write(input, {train_file: train, eval_file: evaluation}, overwrite)
    return SplitResult(train_file, eval_file, len(train), len(evaluation))


def _write(source: Path, sides: dict[Path, Sequence[Row]], overwrite: bool) -> None:
    """Both files or neither."""
    as_it_was = READERS[source.suffix.lower()][0] == "jsonl"
    with publishing_together(list(sides), overwrite=overwrite) as stagings:
        for staging, rows in zip(stagings, sides.values(), strict=True):
            with staging.open("wb") as file:
                file.writelines(_original_lines(source, rows) if as_it_was else map(_as_line, rows))


def _original_lines(source: Path, rows: Sequence[Row]) -> Iterable[bytes]:
    """The lines of these rows as they stand in the file; a BOM goes, a missing last newline comes."""
    wanted = {int(row.where.rpartition(":")[2]) for row in rows}
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number in wanted:
                line = line.removeprefix(b"\xef\xbb\xbf")
                yield line if line.endswith(b"\n") else line + b"\n"


def _as_line(row: Row) -> bytes:
    return json.dumps(dict(row.columns), ensure_ascii=False).encode() + b"\n"
