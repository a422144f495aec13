"""Rows that judge answers: two answers of which one is better, or one with a verdict, made into rows as sft knows them.

Read are the columns of TRL's preference formats (prompt, chosen, rejected; prompt, completion, label; each as text or
as messages, the prompt possibly within both answers) and those that LLaMA-Factory and Axolotl know beside them: the
question in parts, `messages` or `conversations` up to the user, an answer as one message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from furrow.components.columns import ANSWER, MESSAGES, PARTS, conversation, listed
from furrow.components.errors import RequestError
from furrow.components.messages import json_kind, read_messages, said_in
from furrow.components.records import Row

CHOSEN = ("chosen", "chosen_response")
REJECTED = ("rejected", "rejected_response")
VERDICT = ("label", "kto_tag")
_COMPLETION = "completion"
_VERDICTS = {"true": True, "1": True, "false": False, "0": False}
_DROPS = "take the row out, or set data_preprocessing.filter_quality, which drops such rows"


def is_pair(row: Row) -> bool:
    """Whether the row has a better and a worse answer."""
    return _named(row, CHOSEN) is not None and _named(row, REJECTED) is not None


def is_judged(row: Row) -> bool:
    """Whether the row has one answer, and true or false about it."""
    verdict = _named(row, VERDICT)
    answer = _named(row, (*ANSWER, *MESSAGES))
    return verdict is not None and _verdict(row.columns[verdict]) is not None and answer is not None


def pair_of(row: Row) -> tuple[Row, Row]:
    """`pair_as_given`; raises RequestError also where an answer is empty or both are the same."""
    chosen, rejected = pair_as_given(row)
    for answered, names in ((chosen, CHOSEN), (rejected, REJECTED)):
        _refuse_empty(answered, _the(row, names))
    if answer_of(chosen) == answer_of(rejected):
        raise RequestError("the chosen and the rejected answer are the same", where=row.where, remedy=_DROPS)
    return chosen, rejected


def pair_as_given(row: Row) -> tuple[Row, Row]:
    """(the row with the better answer, the row with the worse one): the same prompt, and nothing else.

    Raises RequestError with `file:line` where a column lacks, or where they differ before their last message.
    """
    better, worse = _the(row, CHOSEN), _the(row, REJECTED)
    chosen, rejected = _with_answer(row, better), _with_answer(row, worse)
    if _before_the_answer(chosen) != _before_the_answer(rejected):
        raise RequestError(
            f"{better!r} and {worse!r} differ before their last message",
            where=row.where,
            remedy="both must answer the same prompt: keep the messages up to where they part, and one answer each",
        )
    return chosen, rejected


def judged_of(row: Row) -> list[tuple[Row, bool]]:
    """The row with its verdict; a pair is two of them, the better answer true. Raises RequestError as `pair_of`."""
    if is_pair(row):
        chosen, rejected = pair_of(row)
        return [(chosen, True), (rejected, False)]
    answered, verdict = judged_as_given(row)
    _refuse_empty(answered, "the answer")
    return [(answered, verdict)]


def judged_as_given(row: Row) -> tuple[Row, bool]:
    """The row as sft knows it, and whether its answer is one to give. Raises RequestError with `file:line`."""
    name = _the(row, VERDICT)
    value = row.columns[name]
    verdict = _verdict(value)
    if verdict is None:
        shown = repr(value) if isinstance(value, int | str) else json_kind(value)
        raise RequestError(f"column {name!r} is {shown}, true or false is wanted", where=row.where)
    if _named(row, MESSAGES) is not None and _named(row, ANSWER) is None:
        columns = {name: value for name, value in row.columns.items() if name not in VERDICT}
        return replace(row, columns=columns), verdict
    return _with_answer(row, _the(row, ANSWER)), verdict


def answer_of(row: Row) -> str:
    """The last answer of a row as these functions make them."""
    return str(row.columns[_COMPLETION]) if _COMPLETION in row.columns else said_in(conversation(row)[-1])


def is_verdict(value: Any) -> bool:
    """Whether this value of a column of VERDICT says that an answer is one to give, or that it is not."""
    return _verdict(value) is not None


def _verdict(value: Any) -> bool | None:
    """As files write it: a truth value, 0 or 1, or either as the text of a table."""
    return _VERDICTS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None


def _with_answer(row: Row, name: str) -> Row:
    """The prompt of the row with the answer in the column `name`, and without all other answers."""
    given = row.columns[name]
    ours = {*CHOSEN, *REJECTED, *VERDICT, *ANSWER}
    prompt = {column: value for column, value in row.columns.items() if column not in ours and value is not None}
    if not isinstance(given, str) or _column_of_messages(prompt):
        return replace(row, columns=_conversation(prompt, _as_messages(given, name, row.where), name, row.where))
    if not any(column in prompt for column in PARTS):
        raise RequestError(
            f"there is no prompt beside {name!r} among: {listed(row)}",
            where=row.where,
            remedy="give a column prompt, or write the answers as lists of messages that begin with the user",
        )
    return replace(row, columns={**prompt, _COMPLETION: given})


def _conversation(prompt: Mapping[str, Any], answer: list[Any], name: str, where: str) -> dict[str, Any]:
    """The messages up to the user, from wherever they stand, and the answer behind them."""
    if answer and _role(answer[0]) not in ("assistant", "gpt"):  # the whole conversation stands in the answer's column
        messages = read_messages(answer, where=where, column=name)
        asked = prompt.get("prompt")
        if isinstance(asked, str) and asked.strip() not in [said_in(message).strip() for message in messages]:
            raise RequestError(f"{name!r} is a conversation in which nobody says what 'prompt' says", where=where)
    else:
        messages = read_messages([*_earlier(prompt, where), *answer], where=where, column=name)
    beside = {name: prompt[name] for name in ("system", "tools") if name in prompt}
    return {**beside, "messages": messages}


def _earlier(prompt: Mapping[str, Any], where: str) -> Sequence[Any]:
    """The messages before an answer: a column of them, or what the question's columns say, as one message."""
    if column := _column_of_messages(prompt):
        return list(prompt[column])
    question = {column: value for column, value in prompt.items() if column in PARTS}
    return conversation(Row({**question, _COMPLETION: "-"}, where))[:-1]


def _column_of_messages(prompt: Mapping[str, Any]) -> str | None:
    return next((column for column in (*MESSAGES, "prompt") if isinstance(prompt.get(column), list)), None)


def _as_messages(given: Any, name: str, where: str) -> list[Any]:
    if isinstance(given, list):
        return given
    if isinstance(given, Mapping):
        return [given]
    if isinstance(given, str):
        return [{"role": "assistant", "content": given}]
    raise RequestError(f"column {name!r} is {json_kind(given)}, text or messages are wanted", where=where)


def _role(message: Any) -> Any:
    return message.get("role", message.get("from")) if isinstance(message, Mapping) else None


def _before_the_answer(row: Row) -> Any:
    return None if _COMPLETION in row.columns else row.columns["messages"][:-1]


def _refuse_empty(row: Row, name: str) -> None:
    if not answer_of(row).strip():
        raise RequestError(f"{name} is empty: there is nothing to compare", where=row.where, remedy=_DROPS)


def _named(row: Row, names: Sequence[str]) -> str | None:
    return next((name for name in names if row.columns.get(name) is not None), None)


def _the(row: Row, names: Sequence[str]) -> str:
    """The one of these columns that is there."""
    if name := _named(row, names):
        return name
    raise RequestError(f"column {names[0]!r} is not there; columns: {listed(row)}", where=row.where)
