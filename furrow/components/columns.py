"""What the columns of a row mean: which of them is the question, which the answer, whatever the file calls them.

A column that is null counts as absent, because exports of tables write null where a row has nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from furrow.components.errors import RequestError, several, shortened
from furrow.components.messages import json_kind, read_messages, with_system
from furrow.components.prompt_template import Message
from furrow.components.records import Row
from furrow.components.tool_calls import tools_in

Shape = Literal["messages", "pair", "text"]

MESSAGES = ("messages", "conversations")
QUESTION = ("input", "prompt", "question")
ANSWER = ("output", "completion", "answer", "response")
PARTS = ("instruction", *QUESTION, "context")
"""What the user says, in the order in which it is joined (Alpaca: instruction, input; Dolly: instruction, context)."""

_ANSWERS = "where another column holds it, name that in dataset.columns"
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
        if answer_is_null(row):
            raise RequestError("the answer is null", where=row.where, remedy=_ANSWERS)
        raise RequestError(
            f"no known set of columns among: {listed(row)}", where=row.where, remedy=_what_to_do_about(row)
        )
    return shape


def _what_to_do_about(row: Row) -> str:
    """For a row of no known shape."""
    if _given(row, ("chosen",)) and _given(row, ("rejected",)):
        return "these are two answers to one question: set objective to dpo, orpo, simpo or reward"
    known = (*MESSAGES, *PARTS, *ANSWER, "system", "text", "tools")
    others = [name for name, value in row.columns.items() if isinstance(value, str) and name not in known]
    meanings = (("prompt", PARTS), ("completion", ANSWER))
    lacking = [meaning for meaning, names in meanings if not _given(row, names)]
    example = ", ".join(f"{meaning}: {shortened(name)}" for meaning, name in zip(lacking, others, strict=False))
    if len(others) < len(lacking):
        return f"wanted is one of {_KNOWN}; dataset.columns says what other columns mean"
    return f"say what they mean, e.g. dataset.columns: {{{example}}}; without that, wanted is one of {_KNOWN}"


def answer_is_null(row: Row) -> bool:
    """Whether it asks something, and of the columns for an answer all that are there are null. Rows that compare two
    answers, or have a class, need none."""
    needs_none = (*MESSAGES, *ANSWER, "text", "chosen", "rejected", "label", "labels")
    return not _given(row, needs_none) and bool(_given(row, PARTS)) and any(name in row.columns for name in ANSWER)


def conversation(row: Row) -> list[Message]:
    """The row as messages: an optional system message first, the assistant's last; see `read_messages`.

    A column `system` becomes the system message. Raises RequestError for plain text, and for messages that are no
    such conversation.
    """
    if (messages := _usual(row)) is not None:
        return messages
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


def _usual(row: Row) -> list[Message] | None:
    """The same for most rows of most files in a fifth of the time: one answer, and no text that is null or blank."""
    columns = row.columns
    plan = _plan(tuple(columns))
    if plan is None:
        return None
    *asked, answer = [columns[name] for name in plan]
    for text in asked:
        if type(text) is not str or not text or text.isspace():
            return None
    if type(answer) is not str:
        return None
    question = asked[0] if len(asked) == 1 else "\n".join(asked)
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@functools.lru_cache(maxsize=256)
def _plan(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """The columns of the question in their order, then that of the answer; None where more is to be looked at."""
    answers, parts = [name for name in names if name in ANSWER], [name for name in PARTS if name in names]
    questions = sum(name in QUESTION for name in parts)
    plain = not any(name in names for name in ("system", *MESSAGES))
    return (*parts, answers[0]) if plain and parts and len(answers) == 1 and questions <= 1 else None


def system_of(row: Row) -> str | None:
    """The column `system`; None where there is none. Raises RequestError for one that is no text."""
    return _text_of(row, "system") if _given(row, ("system",)) else None


def tools_of(row: Row) -> Sequence[Mapping[str, Any]]:
    """The column `tools`: what the assistant may call.

    Raises RequestError where it stands beside messages and is no list of objects; beside other columns it is a column
    of that name (a gardener's tools) then, and no tools for a model.
    """
    if row.columns.get("tools") is None:
        return ()
    try:
        return tools_in(row.columns["tools"], row.where)
    except RequestError:
        if _given(row, MESSAGES):
            raise
        return ()


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


def own_fields(row: Row, placeholders: tuple[str, ...]) -> list[str] | None:
    """`field` of all of them at once where each has a column of its own and nothing is left over, as in most rows of
    most files; None where more is to be looked at."""
    columns = row.columns
    names = _own_columns(tuple(columns), placeholders)
    if names is None:
        return None
    texts = [columns[name] for name in names]
    for name, text in zip(names, texts, strict=True):
        if type(text) is not str or (name in PARTS and (not text or text.isspace())):
            return None
    return texts


@functools.lru_cache(maxsize=256)
def _own_columns(names: tuple[str, ...], placeholders: tuple[str, ...]) -> tuple[str, ...] | None:
    answers = [name for name in names if name in ANSWER]
    parts = [name for name in names if name in PARTS]
    if any(name in names for name in ("system", "tools", *MESSAGES)) or not set(parts) <= set(placeholders):
        return None
    if sum(name in QUESTION for name in parts) > 1 or len(answers) > 1:
        return None
    own = [answers[0] if name in ANSWER and answers else name for name in placeholders]
    return tuple(own) if set(own) <= set(names) else None


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
    names = {"system": "system", "user": "prompt", "assistant": "completion"}
    if len(said) != len(turns) or not said.keys() <= names.keys() or None in said.values():
        raise RequestError(
            f"the row has {len(turns)} messages, a template with placeholders takes one question and one answer",
            where=row.where,
            remedy="use prompt_template.type: chat",
        )
    return Row({names[role]: content for role, content in said.items()}, row.where)


def _given(row: Row, names: Sequence[str]) -> list[str]:
    return [name for name in names if row.columns.get(name) is not None]


def _the_one(row: Row, names: Sequence[str], meaning: str) -> str:
    given = _given(row, names)
    if not given and any(name in row.columns for name in names):
        raise RequestError(f"the {meaning} is null", where=row.where, remedy=_ANSWERS if meaning == "answer" else None)
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
