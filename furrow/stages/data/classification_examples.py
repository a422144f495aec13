"""Rows for a classifier: the text up to where an answer would begin, and the number of its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furrow.components.columns import ANSWER, MESSAGES, text
from furrow.components.errors import RequestError
from furrow.components.events import ClassesCounted, Event, Warned
from furrow.components.records import AnyExample, Classified, Example, Row
from furrow.stages.data.labels import Labels, label_of
from furrow.stages.data.prepared import Prepared, Renders


@dataclass(frozen=True)
class Classes:
    """`keeps_end`: which side of a text that is too long stays. The template's cue to answer is its end; of plain text
    the beginning stays, as everywhere."""

    labels: Labels
    keeps_end: bool

    def prepare(self, rows: Sequence[Row], maker: Renders) -> Prepared:
        """Raises RequestError with `file:line` for a row without a label, with an unknown one, or without text."""
        prepared = Prepared()
        for row in rows:
            with maker.bad.looking_at(row):
                number = self.labels.number(row)
                whole = maker.answer(self.answered(row))
                ids = whole.input_ids[: whole.learned.index(True)]
                if not ids:
                    raise RequestError("the text is empty: there is nothing to classify", where=row.where)
                kept = within(ids, maker.max_length, keeps_end=self.keeps_end)
                if len(kept) < len(ids):
                    prepared.truncated.append(row.where)
                prepared.examples.append(Classified(Example(kept, [False] * len(kept), row.where), number, row.where))
        return prepared

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
            return Row({**system, "prompt": text(row), "completion": label}, row.where)
        for name in MESSAGES:
            if isinstance(columns.get(name), list):
                return Row({**columns, name: [*columns[name], {"role": "assistant", "content": label}]}, row.where)
        return Row({**columns, self.labels.column if self.labels.column in ANSWER else "output": label}, row.where)


def within(ids: list[int], limit: int, *, keeps_end: bool) -> list[int]:
    """The part of a text that the limit allows. The first token stays in any case: it may be the one that begins every
    text."""
    if len(ids) <= limit or not keeps_end:
        return ids[:limit]
    return [ids[0], *ids[len(ids) - limit + 1 :]]


def counted(labels: Labels, train: Sequence[AnyExample], evaluation: Sequence[AnyExample]) -> list[Event]:
    """How many rows each class has on either side, and which ones have none to learn from."""
    sides = [[0] * len(labels.names) for _ in range(2)]
    for side, rows in zip(sides, (train, evaluation), strict=True):
        for row in rows:
            if isinstance(row, Classified):
                side[row.label] += 1
    missing = [name for name, count in zip(labels.names, sides[0], strict=True) if not count]
    events: list[Event] = [ClassesCounted(labels=list(labels.names), train_rows=sides[0], eval_rows=sides[1])]
    if missing:
        message = f"{len(missing)} of {len(labels.names)} classes have no row to learn from: {', '.join(missing[:5])}"
        events.append(Warned(message=message, remedy="add rows of them, or take them out of objective.labels"))
    return events
