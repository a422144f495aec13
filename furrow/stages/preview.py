"""The stage `preview`: rows of a strategy as its model will see them, and nothing is trained."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from furrow.components.errors import RequestError
from furrow.components.events import Emit
from furrow.components.records import Row
from furrow.stages import wire
from furrow.stages.data.examples import ExampleMaker, maker_for
from furrow.stages.data.rows import Rows, load_rows
from furrow.stages.data.shown import Shown, shown
from furrow.stages.data.training_data import read_rows
from furrow.strategies.files import Loaded

Side = Literal["train", "eval"]


@dataclass(frozen=True)
class Preview:
    """What there is to see, and of how much it is a part."""

    rows: list[Shown]
    train_rows: int
    eval_rows: int
    max_length: int


def preview(loaded: Loaded, emit: Emit, *, asked: Sequence[str] = (), count: int = 3, side: Side = "train") -> Preview:
    """The first `count` rows of the side, or those asked for: by `file:line` (on either side), or by their number on
    that side, from 1 on. Raises RequestError for a row that is not there."""
    asks = loaded.strategy.dataset.augmentation  # a model may be asked for the rows of a run, and not for looking
    rows = load_rows(loaded, emit, ask=False) if asks else read_rows(loaded, emit)
    maker = maker_for(loaded.strategy, wire.fine_tuner(loaded.strategy).tokenizer, rows)
    rows.leave_out_bad()
    return preview_of(rows, maker, asked=asked, count=count, side=side)


def preview_of(
    rows: Rows, maker: ExampleMaker, *, asked: Sequence[str] = (), count: int = 3, side: Side = "train"
) -> Preview:
    """The same of rows that are read already."""
    there = rows.evaluation if side == "eval" else rows.train
    if not there:
        raise RequestError("there is no row to evaluate on", where="--side eval", remedy="name dataset.eval_file")
    chosen = _asked(asked, rows, there, side) if asked else itertools.islice(there, count)
    found = [each for row in chosen for each in shown(row, maker)]
    return Preview(found, len(rows.train), len(rows.evaluation), maker.max_length)


def _asked(asked: Sequence[str], rows: Rows, there: Sequence[Row], side: Side) -> Iterator[Row]:
    places = [place for place in asked if not place.isdecimal()]
    by_place = dict(_found(places, [*rows.train, *rows.evaluation]))
    for each in asked:
        if each in by_place:
            yield by_place[each]
        elif each.isdecimal() and 1 <= int(each) <= len(there):
            yield there[int(each) - 1]
        elif each.isdecimal():
            raise RequestError(f"there are {len(there):,} rows to {_VERB[side]}", where=f"--row {each}")
        else:
            raise RequestError(
                f"no row to learn or to evaluate on stands at {each}",
                where="--row",
                remedy="it is written file:line; what became of a row that was dropped, `data inspect` says",
            )


def _found(places: Sequence[str], rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    """(place, row) of each row that is asked for; the folders of its file may be left out."""
    if places:
        for row in rows:
            yield from ((place, row) for place in places if row.where == place or row.where.endswith(f"/{place}"))


_VERB = {"train": "learn", "eval": "evaluate on"}
