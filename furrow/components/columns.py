"""What the columns of a row mean: which of them is the question, which the answer, whatever the file calls them.

A column that is null counts as absent, because exports of tables write null where a row has nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from furrow.components.errors import RequestError, several
from furrow.components.messages import json_kind, read_messages, with_system
from furrow.components.prompt_template import Message
from furrow.components.records import Row

Shape = Literal["messages", "pair", "text"]

MESSAGES = ("messages", "conversations")
QUESTION = ("input", "prompt", "question")
ANSWER = ("output", "completion", "answer", "response")
PARTS = ("instruction", *QUESTION, "context")
"""What the user says, in the order in which it is joined (Alpaca: instruction, input; Dolly: instruction, context)."""

_KNOWN = "instruction/input/output, prompt/completion, question/answer, messages, text"


def known_shape(row: Row) -> Shape | None:
    """How the row is to be read: a conversation, a question with its answer, or plain text.

    None for columns that only a template with placeholders of those names knows.
    """
    if _given(row, MESSAGES):
        return "messages"
    if _given(row, PARTS) and _given(row, ANSWER):
        return "pair"
    return "text" if _given(row, ("text",)) else None


def shape_of(row: Row) -> Shape:
    """`known_shape`; raises RequestError with `file:line` and the columns that are there where it knows none."""
    shape = known_shape(row)
    if shape is None:
        raise RequestError(
            f"no known set of columns among: {listed(row)}", where=row.where, remedy=f"wanted is one of {_KNOWN}"
        )
    return shape


def conversation(row: Row) -> list[Message]:
    """The row as messages: an optional system message first, then user and assistant by turns, the assistant last.

    A column `system` becomes the system message. Raises RequestError for plain text, and for messages that are no
    such conversation.
    """
    match shape_of(row):
        case "messages":
            name = _the_one(row, MESSAGES, "conversation")
            messages = read_messages(row.columns[name], where=row.where, column=name)
        case "pair":
            question = "\n".join(_question_parts(row).values())
            answer = _text_of(row, _the_one(row, ANSWER, "answer"))
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        case "text":
            raise RequestError(
                "the row is plain text, a question with an answer is wanted",
                where=row.where,
                remedy="give columns such as prompt and completion, or train with the objective pretrain",
            )
    return with_system(messages, system_of(row), where=row.where)


def system_of(row: Row) -> str | None:
    """The column `system`; None where there is none. Raises RequestError for one that is no text."""
    return _text_of(row, "system") if _given(row, ("system",)) else None


def text(row: Row) -> str:
    """The column `text`. Raises RequestError where there is none."""
    if not _given(row, ("text",)):
        raise _missing(row, "text")
    return _text_of(row, "text")


def field(row: Row, name: str, placeholders: Sequence[str]) -> str:
    """What the placeholder `{name}` stands for in this row; `placeholders` are all of the template's, in its order.

    The column of that name; else the one that means the same (QUESTION and `instruction`, or ANSWER). Parts of the
    question that no placeholder names are joined to the first one that asks for the question, so that nothing the user
    said is left out: `{input}` alone gives instruction + newline + input. A part that this row leaves empty is ''.
    `messages` of one question and one answer serve `{input}`, `{output}` and `{system}` too.

    Raises RequestError with `file:line` and the columns that are there.
    """
    if _given(row, MESSAGES) and not _given(row, (name,)):
        row = _single_exchange(row)
    if name in PARTS:
        parts = _question_parts(row, named=placeholders)
        return "\n".join(parts[part] for part in _dealt(parts, placeholders)[name])
    if name in ANSWER and not _given(row, (name,)):
        return _text_of(row, _the_one(row, ANSWER, "answer"))
    if not _given(row, (name,)):
        raise _missing(row, name)
    return _text_of(row, name)


def _dealt(parts: Collection[str], placeholders: Sequence[str]) -> dict[str, list[str]]:
    """Deals the question's parts out to the placeholders that ask for it: to each its own, else the next that nobody
    names; what is left goes to the first."""
    asking = [name for name in dict.fromkeys(placeholders) if name in PARTS]
    dealt = {name: [name] if name in parts else [] for name in asking}
    unnamed = [part for part in parts if part not in asking]
    for share in dealt.values():
        if not share and unnamed:
            share.append(unnamed.pop(0))
    first = asking[0]
    dealt[first] = [part for part in parts if part in dealt[first] or part in unnamed]
    return dealt


def _question_parts(row: Row, named: Collection[str] = ()) -> dict[str, str]:
    """What the user says, by column, without the parts that are empty; of several QUESTION columns, those `named`."""
    given = _given(row, PARTS)
    if not given:
        raise RequestError(f"no column with the question among: {listed(row)}", where=row.where)
    questions = [name for name in given if name in QUESTION]
    if len(questions) > 1:
        given = [name for name in given if name not in questions or name in named]
    if len(questions) > 1 and not set(questions) & set(named):
        raise _ambiguous(row, questions, "question")
    parts = {name: _text_of(row, name) for name in PARTS if name in given}
    return {name: part for name, part in parts.items() if part.strip()}


def _single_exchange(row: Row) -> Row:
    """A conversation of one question and one answer, as question and answer columns."""
    turns = conversation(row)
    said = {turn["role"]: turn["content"] for turn in turns}
    if len(said) != len(turns):
        raise RequestError(
            f"the row has {len(turns)} messages, a template with placeholders takes one question and one answer",
            where=row.where,
            remedy="use prompt_template.type: chat",
        )
    names = {"system": "system", "user": "prompt", "assistant": "completion"}
    return Row({names[role]: content for role, content in said.items()}, row.where)


def _given(row: Row, names: Sequence[str]) -> list[str]:
    return [name for name in names if row.columns.get(name) is not None]


def _the_one(row: Row, names: Sequence[str], meaning: str) -> str:
    given = _given(row, names)
    if not given:
        raise RequestError(f"no column with the {meaning} among: {listed(row)}", where=row.where)
    if len(given) > 1:
        raise _ambiguous(row, given, meaning)
    return given[0]


def _text_of(row: Row, name: str) -> str:
    value = row.columns[name]
    if not isinstance(value, str):
        raise RequestError(f"column {name!r} is {json_kind(value)}, text is wanted", where=row.where)
    return value


def _missing(row: Row, name: str) -> RequestError:
    state = "is null" if name in row.columns else "is not there"
    return RequestError(f"column {name!r} {state}; columns: {listed(row)}", where=row.where)


def _ambiguous(row: Row, given: Sequence[str], meaning: str) -> RequestError:
    return RequestError(
        f"columns {' and '.join(map(repr, given))} could each be the {meaning}",
        where=row.where,
        remedy="name the one that is meant in prompt_template.format, or drop the others",
    )


def listed(row: Row) -> str:
    """Its columns, as many as a message has room for."""
    return several([name + " (null)" * (value is None) for name, value in row.columns.items()]) or "none"
