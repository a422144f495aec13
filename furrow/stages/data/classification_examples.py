"""Rows for a classifier: the text up to where an answer would begin, and the number of its class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from furrow.components.columns import ANSWER, MESSAGES, text
from furrow.components.errors import RequestError
from furrow.components.events import ClassesCounted, Event, Warned
from furrow.components.records import AnyExample, Classified, Example, Row, Run, Segment
from furrow.components.stored.examples import StoredExamples
from furrow.stages.data.labels import Labels, label_of
from furrow.stages.data.limits import example_of
from furrow.stages.data.making import Making, Renders, Uncut
from furrow.stages.data.prepared import Appends, Prepared


@dataclass(frozen=True)
class Classes:
    """`keeps_end`: which side of a text that is too long stays. The template's cue to answer is its end; of plain text
    the beginning stays, as everywhere."""

    labels: Labels
    keeps_end: bool

    def answered(self, row: Row) -> Row:
        """The row as the template knows it: the text as the question, its label as the answer."""
        label = label_of(row, self.labels.column)
        columns = {name: value for name, value in row.columns.items() if value is not None}
        for name in ANSWER:
            if name in columns and name != self.labels.column:
                raise RequestError(
                    f"column {name!r} is an answer, and would not be read",
                    where=row.where,
                    remedy="put all that is to be classified into a column `text`, or name objective.label_column",
                )
        if "text" in columns:
            system = {"system": columns["system"]} if "system" in columns else {}
            return replace(row, columns={**system, "prompt": text(row), "completion": label})
        for name in MESSAGES:
            if isinstance(columns.get(name), list):
                answered = [*columns[name], {"role": "assistant", "content": label}]
                return replace(row, columns={**columns, name: answered})
        answer = self.labels.column if self.labels.column in ANSWER else "output"
        return replace(row, columns={**columns, answer: label})


class Texts(Making):
    """Texts with a class; no token of them is learned."""

    def __init__(self, maker: Renders, prepared: Prepared, into: Appends | None, classes: Classes) -> None:
        super().__init__(maker, prepared, into)
        self._classes = classes

    def parts(self, row: Row) -> list[list[Segment]]:
        """Up to where the answer would begin."""
        self._classes.labels.number(row)
        segments = self.maker.segments(self._classes.answered(row))
        answer = max(number for number, segment in enumerate(segments) if segment.learned and not segment.end)
        while answer and segments[answer - 1].learned and not segments[answer - 1].end:
            answer -= 1
        return [segments[:answer]]

    def take(self, row: Row, wholes: list[list[Run]]) -> None:
        whole = example_of(wholes[0], row.where)
        if not whole.input_ids:
            raise RequestError("the text is empty: there is nothing to classify", where=row.where)
        kept = self._kept(whole)
        if len(kept) < len(whole.input_ids):
            self.prepared.truncated.add(row.where)
        ids = [whole.input_ids[at] for at in kept]
        text = Example(ids, [False] * len(ids), row.where)
        self.put(Classified(text, self._classes.labels.number(row), row.where), row)

    def uncut(self, row: Row, wholes: list[list[Run]]) -> Uncut:
        ids = example_of(wholes[0], row.where).input_ids
        whole = Example(ids, [False] * len(ids), row.where)
        return [(whole, self._kept(whole))]

    def _kept(self, whole: Example) -> list[int]:
        positions = list(range(len(whole.input_ids)))
        return within(positions, self.maker.max_length, keeps_end=self._classes.keeps_end)


def within(ids: list[int], limit: int, *, keeps_end: bool) -> list[int]:
    """The part of a text that the limit allows. The first token stays in any case: it may be the one that begins every
    text."""
    if len(ids) <= limit or not keeps_end:
        return ids[:limit]
    return [ids[0], *ids[len(ids) - limit + 1 :]]


def counted(labels: Labels, train: Sequence[AnyExample], evaluation: Sequence[AnyExample]) -> list[Event]:
    """How many rows each class has on either side, and which ones have none to learn from."""
    sides = [_count(rows, len(labels.names)) for rows in (train, evaluation)]
    missing = [name for name, count in zip(labels.names, sides[0], strict=True) if not count]
    events: list[Event] = [ClassesCounted(labels=list(labels.names), train_rows=sides[0], eval_rows=sides[1])]
    if missing:
        message = f"{len(missing)} of {len(labels.names)} classes have no row to learn from: {', '.join(missing[:5])}"
        events.append(Warned(message=message, remedy="add rows of them, or take them out of objective.labels"))
    return events


def _count(rows: Sequence[AnyExample], classes: int) -> list[int]:
    if isinstance(rows, StoredExamples):
        counts: list[int] = np.bincount(rows.values.astype(np.int64), minlength=classes).tolist()
        return counts
    found = Counter(row.label for row in rows if isinstance(row, Classified))
    return [found[number] for number in range(classes)]
