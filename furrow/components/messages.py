"""Conversations as datasets write them: `messages` with role and content, or ShareGPT's `from` and `value`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from furrow.components.errors import RequestError, shortened
from furrow.components.prompt_template import Message

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""What datasets call a speaker -> the role."""

_UNSUPPORTED = ("tool_calls", "function_call", "tool_call_id", "images", "audio")
"""Keys that carry part of what is said beyond the text: leaving them out would train on something else."""


def read_messages(value: Any, *, where: str, column: str) -> list[Message]:
    """The messages of one conversation: an optional system message, then user and assistant by turns, assistant last.

    Raises RequestError that numbers the message (from 1) and says what is wrong with it.
    """
    if not isinstance(value, list):
        raise RequestError(f"column {column!r} is {json_kind(value)}, a list of messages is wanted", where=where)
    messages = [_message(item, f"message {number} of {column!r}", where) for number, item in enumerate(value, 1)]
    _verify_order([message["role"] for message in messages], where)
    return messages


def with_system(messages: list[Message], system: str | None, *, where: str) -> list[Message]:
    """The conversation with `system` as its system message. Raises RequestError if it has another one already."""
    if not system:
        return messages
    if messages[0]["role"] != "system":
        return [{"role": "system", "content": system}, *messages]
    if messages[0]["content"] != system:
        raise RequestError("column 'system' and the system message of the conversation differ", where=where)
    return messages


def json_kind(value: Any) -> str:
    """What a JSON value is, in words: 'null', 'a number', …"""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)


def _message(item: Any, name: str, where: str) -> Message:
    if not isinstance(item, Mapping):
        raise RequestError(f"{name} is {json_kind(item)}, an object is wanted", where=where)
    role_key, content_key = ("from", "value") if "from" in item else ("role", "content")
    for key in (role_key, content_key):
        if not isinstance(item.get(key), str):
            state = f"has {json_kind(item[key])} as {key!r}" if key in item else f"has no {key!r}"
            raise RequestError(f"{name} {state}, text is wanted", where=where)
    for key in _UNSUPPORTED:
        if item.get(key):
            raise RequestError(f"{name} has {key!r}, which cannot be trained on", where=where)
    role = ROLES.get(item[role_key])
    if role is None:
        raise RequestError(
            f"{name} has the role {shortened(item[role_key])!r}", where=where, remedy=f"known: {', '.join(ROLES)}"
        )
    return {"role": role, "content": item[content_key]}


def _verify_order(roles: list[str], where: str) -> None:
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if "assistant" not in turns:
        raise RequestError("the conversation has no assistant message: there is nothing to learn", where=where)
    for number, (role, wanted) in enumerate(zip(turns, ("user", "assistant") * len(turns), strict=False)):
        if role != wanted:
            position = number + 1 + len(roles) - len(turns)
            raise RequestError(
                f"message {position} is by {role}, {wanted} is next",
                where=where,
                remedy="after an optional system message, user and assistant take turns",
            )
    if turns[-1] != "assistant":
        raise RequestError("the conversation ends with the user, the assistant has the last word", where=where)
