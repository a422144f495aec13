"""Conversations as datasets write them: `messages` with role and content, or ShareGPT's `from` and `value`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from furrow.components.errors import RequestError, did_you_mean, shortened
from furrow.components.prompt_template import Message
from furrow.components.tool_calls import call_as_text, calls_of

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""What datasets call a speaker -> the role. `function_call` (ShareGPT) is an assistant whose text is a call."""
_PLAIN = frozenset(("system", "user", "assistant"))
_UNSUPPORTED = ("images", "audio")
"""Keys that carry part of what is said beyond the text: leaving them out would train on something else."""
_KEPT = ("name", "tool_call_id")


def read_messages(value: Any, *, where: str, column: str) -> list[Message]:
    """The messages of one conversation: an optional system message first, and the assistant's last.

    In between they stand in any order: whether a template has a place for two questions in a row, or for an assistant
    who speaks first, is its own affair. What `Message` says of the keys holds for all of them.

    Raises RequestError that numbers the message (from 1) and says what is wrong with it.
    """
    if not isinstance(value, list):
        raise RequestError(f"column {column!r} is {json_kind(value)}, a list of messages is wanted", where=where)
    messages = [
        item if _is_plain(item) else _message(item, f"message {number} of {column!r}", where)
        for number, item in enumerate(value, 1)
    ]
    _verify_order(messages, where)
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


def said_in(message: Message) -> str:
    """All that a message says, for looking at: its text, and the calls of tools beneath it."""
    calls = [call_as_text(call) for call in message.get("tool_calls", ())]
    return "\n".join([*([message["content"]] if message["content"] else []), *calls])


def json_kind(value: Any) -> str:
    """What a JSON value is, in words: 'null', 'a number', …"""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)


def _is_plain(item: Any) -> bool:
    """Whether it is a message already: most are, and a million of them need not be copied."""
    if type(item) is not dict or len(item) != 2:
        return False
    role = item.get("role")
    return type(role) is str and role in _PLAIN and type(item.get("content")) is str


def _message(item: Any, name: str, where: str) -> Message:
    if not isinstance(item, Mapping):
        raise RequestError(f"{name} is {json_kind(item)}, an object is wanted", where=where)
    role_key, content_key = ("from", "value") if "from" in item else ("role", "content")
    role = _role(item, role_key, name, where)
    for key in _UNSUPPORTED:
        if item.get(key):
            raise RequestError(f"{name} has {key!r}, which cannot be trained on", where=where)
    calls = calls_of(item, content_key, name, where)
    if calls and role != "assistant":
        raise RequestError(f"{name} is by {role} and calls a tool: only the assistant does", where=where)
    content = None if item[role_key] == "function_call" else _content(item, content_key, bool(calls), name, where)
    message: dict[str, Any] = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = calls
    for key in _KEPT:
        if item.get(key) is not None:
            message[key] = item[key]
    weight = _weight(item, role, name, where)
    return message if weight == 1 else {**message, "weight": weight}


def _role(item: Mapping[str, Any], key: str, name: str, where: str) -> str:
    given = item.get(key)
    if not isinstance(given, str):
        state = f"has {json_kind(given)} as {key!r}" if key in item else f"has no {key!r}"
        raise RequestError(f"{name} {state}, text is wanted", where=where)
    role = ROLES.get(given)
    if role is None:
        raise RequestError(
            f"{name} has the role {shortened(given)!r}", where=where, remedy=did_you_mean(shortened(given), ROLES)
        )
    return role


def _content(item: Mapping[str, Any], key: str, calls: bool, name: str, where: str) -> str | None:
    """Its text; of a list of parts, as newer APIs write it, all the texts joined. None beside a call of a tool."""
    content = item.get(key)
    if isinstance(content, str):
        return content
    if content is None and calls:
        return None
    if isinstance(content, list) and content and all(_is_text_part(part) for part in content):
        return "".join(part["text"] for part in content)
    if isinstance(content, list) and any(isinstance(part, Mapping) and not _is_text_part(part) for part in content):
        raise RequestError(f"{name} has parts in {key!r} that are no text, which cannot be trained on", where=where)
    state = f"has {json_kind(content)} as {key!r}" if key in item else f"has no {key!r}"
    raise RequestError(f"{name} {state}, text is wanted", where=where)


def _is_text_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _weight(item: Mapping[str, Any], role: str, name: str, where: str) -> float:
    """How much the message is learned, by `weight` (0 to 1) or `train` (true, false): 1 where neither is given."""
    given = {key: item[key] for key in ("weight", "train") if item.get(key) is not None}
    for key, value in given.items():
        if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
            raise RequestError(f"{name} has {shortened(str(value))} as {key!r}, 0 to 1 is wanted", where=where)
        if value and role != "assistant":
            raise RequestError(
                f"{name} is by {role} and has {key!r}: only what the assistant says is learned", where=where
            )
    if len({float(value) for value in given.values()}) > 1:
        raise RequestError(f"{name} has 'weight' and 'train', and they differ", where=where)
    return float(next(iter(given.values()), 1)) if role == "assistant" else 1.0


def _verify_order(messages: list[Message], where: str) -> None:
    roles = [message["role"] for message in messages]
    if "assistant" not in roles:
        raise RequestError("the conversation has no assistant message: there is nothing to learn", where=where)
    if "system" in roles[1:]:
        raise RequestError(f"message {roles.index('system', 1) + 1} is by system, which stands first", where=where)
    if roles[-1] != "assistant":
        raise RequestError(
            f"the conversation ends with the {roles[-1]}, the assistant has the last word",
            where=where,
            remedy="take out what nobody answers",
        )
