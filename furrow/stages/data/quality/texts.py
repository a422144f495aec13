"""What is said in a row, by whom: found once for all rows with the same columns, since millions of rows have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from furrow.components.columns import ANSWER, PARTS, QUESTION, conversation, known_shape, text
from furrow.components.messages import said_in
from furrow.components.preferences import CHOSEN, REJECTED, VERDICT, is_judged, is_pair
from furrow.components.records import Row

Role = Literal["text", "question", "answer", "message"]
"""`message` is what a system or a tool says."""
Said = list[tuple[Role, str]]
_ROLES: dict[str, Role] = {"user": "question", "assistant": "answer"}

_MOST_PLANS = 1_000
"""Sets of columns that are remembered: a file whose every row has other columns must not fill the memory."""


class Texts:
    """Knows the columns it has seen."""

    def __init__(self) -> None:
        self._plans: dict[tuple[str, ...], Callable[[Row], Said]] = {}

    def said(self, row: Row) -> Said | None:
        """Every text of the row in its order; None for a row that judges answers, which `components/preferences.py`
        takes apart. Raises RequestError for messages that are no conversation."""
        names = tuple([name for name, value in row.columns.items() if value is not None])
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) == _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[names] = _plan(row, names)
        if plan is _judging:
            return None if is_pair(row) or is_judged(row) else _slowly(row)
        return plan(row)


def _plan(row: Row, names: tuple[str, ...]) -> Callable[[Row], Said]:
    if any(name in names for name in (*CHOSEN, *REJECTED, *VERDICT)):
        return _judging
    parts = [name for name in PARTS if name in names]
    answers = [name for name in ANSWER if name in names]
    questions = [name for name in parts if name in QUESTION]
    if known_shape(row) != "pair" or len(answers) > 1 or len(questions) > 1:
        return _slowly
    [answer], has_system = answers, "system" in names

    def quickly(row: Row) -> Said:
        columns = row.columns
        given = [columns[name] for name in parts]
        said = columns[answer]
        if type(said) is not str or has_system or not all(map(_is_text, given)):
            return _slowly(row)
        question = "\n".join([each for each in given if each.strip()])
        return [("question", question), ("answer", said)]

    return quickly


def _is_text(value: object) -> bool:
    return type(value) is str


def _judging(row: Row) -> Said:
    raise AssertionError("never called: it marks columns that may judge an answer")


def _slowly(row: Row) -> Said:
    """As the templates read it, with everything that they refuse."""
    match known_shape(row):
        case "text":
            return [("text", text(row))]
        case None:
            return [("text", value) for value in row.columns.values() if isinstance(value, str)]
        case _:
            return [(_ROLES.get(turn["role"], "message"), said_in(turn)) for turn in conversation(row)]
