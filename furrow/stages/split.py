"""The stage `split`: one dataset file becomes a file to learn and one to evaluate on, or such a pair for each fold."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from furrow.components.disk.publish import publishing_together, refuse_existing
from furrow.components.errors import RequestError
from furrow.components.events import Event, Noted, Warned
from furrow.components.plural import plural
from furrow.components.stored.rows import RowWriter, StoredRows
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.gather import Source, rows_in
from furrow.stages.data.original_rows import as_line, beside, is_lines, original_lines
from furrow.stages.data.split_advice import advice
from furrow.stages.data.splitting import Sides, sides_of
from furrow.strategies.defaults import EVAL_SPLIT
from furrow.strategies.schema import DatasetConfig
from furrow.strategies.wiring import Wired


@dataclass(frozen=True)
class SplitResult:
    """The files that were written, and how many rows each has."""

    train_file: Path
    eval_file: Path
    train_rows: int
    eval_rows: int
    fold: int | None = None
    left_out_file: Path | None = None
    """Rows of neither side, where the splitter `file` is told of such (a test set)."""
    left_out_rows: int = 0
    notes: list[str] = field(default_factory=list)
    """What is other than was asked for."""


def split(
    input: Path,
    dataset: DatasetConfig,
    eval_percent: float | str | None = None,
    output_dir: Path | None = None,
    overwrite: bool = False,
) -> SplitResult:
    """Writes `<stem>_train.jsonl` and `<stem>_eval.jsonl` beside the input or into `output_dir`, both or neither.

    `dataset` says how the file is read and split. `eval_percent`: a number, a ratio such as 90/10, or `auto` for what
    suits the number of rows. Lines of a .jsonl file are copied byte for byte; rows of other files become JSON lines.
    Equal rows stay together. Raises RequestError for a percentage out of (0, 50], a bad row by file:line, and a file
    that is there already.
    """
    names = {side: beside(input, output_dir, side) for side in ("train", "eval", "left_out")}
    share = _share(eval_percent)
    if eval_percent is not None and getattr(dataset.splitter.config, "own_share", False):
        what = f"the splitter {dataset.splitter.type!r} decides itself how much is evaluated on"
        raise RequestError(what, where="--eval-percent", remedy="leave --eval-percent and --ratio out")
    for side in ("train", "eval"):
        refuse_existing(names[side], overwrite)
    with tempfile.TemporaryDirectory(prefix="furrow-split-") as folder:
        rows = _read(input, dataset, Path(folder))
        sides, notes = _sides(rows, dataset.splitter, share, input)
        parts = {names["train"]: sides.train, names["eval"]: sides.evaluation}
        if len(sides.left_out):
            refuse_existing(names["left_out"], overwrite)
            parts[names["left_out"]] = sides.left_out
        _write(input, dataset, rows, parts, overwrite)
        left_out = names["left_out"] if len(sides.left_out) else None
        made = SplitResult(names["train"], names["eval"], len(sides.train), len(sides.evaluation), notes=notes)
        return dataclasses.replace(made, left_out_file=left_out, left_out_rows=len(sides.left_out))


def split_folds(
    input: Path, dataset: DatasetConfig, output_dir: Path | None = None, overwrite: bool = False
) -> list[SplitResult]:
    """Writes `<stem>_fold1_train.jsonl`, `<stem>_fold1_eval.jsonl` and so on for every fold of the splitter, all of
    them or none. Raises RequestError as `split` does, and for a splitter that makes no folds."""
    splitter = dataset.splitter
    folds = getattr(splitter.config, "folds", None)
    if folds is None:
        raise RequestError(f"the splitter {splitter.type!r} makes no folds", where="--folds", remedy="leave it out")
    names = [
        [beside(input, output_dir, f"fold{fold}_{side}") for side in ("train", "eval")] for fold in range(1, folds + 1)
    ]
    for name in (name for pair in names for name in pair):
        refuse_existing(name, overwrite)
    made: list[SplitResult] = []
    with tempfile.TemporaryDirectory(prefix="furrow-split-") as folder:
        rows, parts = _read(input, dataset, Path(folder)), dict[Path, np.ndarray]()
        for fold, (train, evaluation) in enumerate(names, 1):
            config = splitter.config.model_copy(update={"fold": fold})
            sides, notes = _sides(rows, dataclasses.replace(splitter, config=config), 0.0, input)
            parts |= {train: sides.train, evaluation: sides.evaluation}
            said = [note for note in notes if not any(note in earlier.notes for earlier in made)]
            made.append(SplitResult(train, evaluation, len(sides.train), len(sides.evaluation), fold, notes=said))
        _write(input, dataset, rows, parts, overwrite)
    return made


def _share(asked: float | str | None) -> float | None:
    """The share to evaluate on; None for the one that suits the size."""
    if asked is None:
        return EVAL_SPLIT
    if asked == "auto":
        return None
    where = "--eval-percent"
    if isinstance(asked, str):
        where, ratio = "--ratio", re.fullmatch(r"(\d+(?:\.\d+)?)\s*[/:]\s*(\d+(?:\.\d+)?)", asked.strip())
        if ratio is None or abs(float(ratio[1]) + float(ratio[2]) - 100) > 1e-6:
            raise RequestError(
                f"{asked!r} is no ratio of 100 percent",
                where=where,
                remedy="write 90/10, or auto for what suits the size",
            )
        asked = float(ratio[2])
    if not 0 < asked <= 50:
        raise RequestError(f"{asked:g} percent is not more than 0 and at most 50", where=where, remedy="10 is usual")
    return asked / 100


def _read(input: Path, dataset: DatasetConfig, folder: Path) -> StoredRows:
    writer = RowWriter(folder)
    for row in rows_in(Source("train_file", input, dataset), BadRows()):
        writer.append(row)
    return writer.finish()


def _sides(rows: StoredRows, splitter: Wired, share: float | None, input: Path) -> tuple[Sides, list[str]]:
    notes: list[str] = []
    if share is None:
        suits = advice(len(rows))
        share = suits.eval_percent / 100
        notes.append(f"{plural(len(rows), 'row')}: {suits.told}")

    def note(event: Event) -> None:
        if isinstance(event, Noted | Warned) and event.message not in notes:
            notes.append(event.message)

    sides = sides_of(rows, [(splitter, share)], note)
    if not len(sides.evaluation):
        raise RequestError(notes[-1], where=str(input), remedy="add rows, name another file, or another --splitter")
    return sides, notes


def _write(
    input: Path, dataset: DatasetConfig, rows: StoredRows, parts: dict[Path, np.ndarray], overwrite: bool
) -> None:
    """All files or none."""
    as_it_was = is_lines(input, dataset)
    with publishing_together(list(parts), overwrite=overwrite) as stagings:
        for staging, places in zip(stagings, parts.values(), strict=True):
            part = rows.only(places)
            with staging.open("wb") as file:
                file.writelines(original_lines(input, part) if as_it_was else map(as_line, part))
