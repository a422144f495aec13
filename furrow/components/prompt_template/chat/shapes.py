"""What a template makes of conversations of one shape: who speaks when, whatever they say.

A conversation of marks is rendered once for each shape. It shows whether the template has a place for every message,
and where the template is plain (see `plain.py`) it is a form into which the contents of all others are filled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from furrow.components.errors import RequestError
from furrow.components.prompt_template import Message
from furrow.components.records import Segment
from furrow.components.tool_calls import name_of

MOST_SHAPES = 4096
"""Shapes that are remembered: conversations of up to 40 messages have 80 where user and assistant take turns."""
_EDGE = "\x1f"
"""White space to `strip`, and in no template: where it is gone the template takes white space off that end."""
_MARK = re.compile(_EDGE + r"?Qmark(\d+)q" + _EDGE + "?")

NO_TOOLS = (
    "the built-in templates qwen and llama3 have a place for tools, e.g. prompt_template: {type: qwen}, where the "
    "tokenizer has their tokens; or take them out of the data"
)

Rendering = Callable[[Sequence[Message], Sequence[Mapping[str, Any]], str], list[Segment]]
"""(messages, tools, where) -> segments."""


class _Said(NamedTuple):
    """The content of a message, as a template writes it."""

    number: int
    strips_left: bool
    strips_right: bool

    def of(self, contents: Sequence[str]) -> str:
        text = contents[self.number]
        if self.strips_left:
            return text.strip() if self.strips_right else text.lstrip()
        return text.rstrip() if self.strips_right else text


class _Form(NamedTuple):
    """The segments of a shape: each with what its text is put together from (texts, and numbers of what is `said`)."""

    said: list[_Said]
    pieces: list[tuple[list[str | int], Segment]]


class Shapes:
    """Renders conversations; `render` is how one is rendered from scratch, `plain` whether that looks at contents."""

    def __init__(self, render: Rendering, *, plain: bool, name: str) -> None:
        self._render, self._plain, self._name = render, plain, name
        self._forms: dict[Hashable, _Form | None] = {}

    def segments(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], where: str) -> list[Segment]:
        """Raises RequestError where the template leaves out a message, a call of a tool, or the tools."""
        shape = (*map(_shape_of, messages), bool(tools))
        if shape in self._forms:
            form = self._forms[shape]
        else:
            form = self._learned(messages, tools, where)
            if len(self._forms) < MOST_SHAPES:
                self._forms[shape] = form
        if form is not None and (filled := _filled(form, messages)) is not None:
            return filled
        return self._render(messages, tools, where)

    def _learned(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], where: str) -> _Form | None:
        marked = [_marked(message, number) for number, message in enumerate(messages)]
        marked_tools = [_renamed(tool, f"Qtool{number}q") for number, tool in enumerate(tools)]
        segments = self._render(marked, marked_tools, where)
        text = "".join(segment.text for segment in segments)
        for number, message in enumerate(marked):
            if message["content"] is not None and f"Qmark{number}q" not in text:
                raise self._left_out(f"what message {number + 1} ({message['role']}) says", where)
            calls = range(len(message.get("tool_calls", ())))
            if any(_call_mark(number, call) not in text for call in calls):
                raise self._left_out(f"the calls of tools in message {number + 1}", where)
        if tools and "Qtool0q" not in text:
            raise self._left_out("the column 'tools'", where)
        is_talk = all(message.keys() <= {"role", "content", "weight"} for message in messages)
        if not self._plain or tools or not is_talk or any(message["role"] == "tool" for message in messages):
            return None
        said: list[_Said] = []
        return _Form(said, [(_parts(segment.text, said), segment) for segment in segments])

    def _left_out(self, what: str, where: str) -> RequestError:
        return RequestError(
            f"{self._name} has no place for {what}",
            where=where,
            remedy=NO_TOOLS if "tool" in what else "choose a template that has one, or take it out of the data",
        )


def _shape_of(message: Message) -> Hashable:
    if len(message) == 2 and message["content"] is not None:
        return message["role"]
    calls = message.get("tool_calls", ())
    return message["role"], message["content"] is None, len(calls), message.get("weight"), "name" in message


def _marked(message: Message, number: int) -> Message:
    marked = dict(message)
    if marked["content"] is not None:
        marked["content"] = f"{_EDGE}Qmark{number}q{_EDGE}"
    if "tool_calls" in marked:
        marked["tool_calls"] = [
            _renamed(call, _call_mark(number, position)) for position, call in enumerate(marked["tool_calls"])
        ]
    return marked


def _call_mark(message: int, call: int) -> str:
    return f"Qcall{message}x{call}q"


def _renamed(tool: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The same tool, or call of one, under another name."""
    if name_of(tool) is None:
        return tool
    inner = tool.get("function")
    return {**tool, "function": {**inner, "name": name}} if isinstance(inner, Mapping) else {**tool, "name": name}


def _parts(text: str, said: list[_Said]) -> list[str | int]:
    """The text cut at its marks; what each stands for is put into `said`."""
    parts: list[str | int] = []
    at = 0
    for mark in _MARK.finditer(text):
        left, right = mark.group().startswith(_EDGE), mark.group().endswith(_EDGE)
        parts += [text[at : mark.start()], len(said)]
        said.append(_Said(int(mark[1]), not left, not right))
        at = mark.end()
    return [part for part in (*parts, text[at:]) if part != ""]


def _filled(form: _Form, messages: Sequence[Message]) -> list[Segment] | None:
    """The form with these contents; None where one is blank (templates may ask whether there is any) or no text."""
    contents = [message["content"] for message in messages]
    for content in contents:
        if not content or content.isspace():
            return None
        if not content.isascii():
            try:
                content.encode()
            except UnicodeEncodeError:
                return None
    said = [contents[each[0]] if not (each[1] or each[2]) else each.of(contents) for each in form.said]
    return [
        Segment(
            "".join([said[part] if isinstance(part, int) else part for part in parts]), segment[1], False, segment[3]
        )
        if parts
        else segment
        for parts, segment in form.pieces
    ]
