"""Calls of tools, as datasets write them, in the one form in which chat templates take them.

That form is OpenAI's with the arguments as an object: templates write them with `tojson`, which would quote a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from furrow.components.errors import RequestError, shortened


def calls_of(item: Mapping[str, Any], content_key: str, name: str, where: str) -> list[dict[str, Any]]:
    """The calls of one message, `[{"type": "function", "function": {"name", "arguments"}}]`; [] where there are none.

    Read are `tool_calls`, OpenAI's older `function_call`, and ShareGPT's speaker `function_call`, whose text is the
    call. Raises RequestError where one lacks a name, or has arguments that are no object.
    """
    if item.get("from", item.get("role")) == "function_call":
        value = _json(item.get(content_key), f"{name}: its call", where)
        return [_call(each, name, where) for each in (value if isinstance(value, list) else [value])]
    if (calls := item.get("tool_calls")) is not None:
        if not isinstance(calls, list):
            raise RequestError(f"{name}: 'tool_calls' is no list", where=where)
        return [_call(each, name, where) for each in calls]
    older = item.get("function_call")
    return [_call(older, name, where)] if older else []


def tools_in(value: Any, where: str) -> list[dict[str, Any]]:
    """The tools that a conversation may use: a list of objects, or that list as JSON text (as tables write it)."""
    value = _json(value, "column 'tools'", where)
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise RequestError("column 'tools' is no list of objects", where=where)
    return value


def name_of(tool: Mapping[str, Any]) -> Any:
    """What a tool is called, with or without OpenAI's `function` around it."""
    inner = tool.get("function")
    return (inner if isinstance(inner, Mapping) else tool).get("name")


def call_as_text(call: Mapping[str, Any]) -> str:
    """A call as one line of JSON."""
    return json.dumps(call.get("function", call), ensure_ascii=False)


def _call(value: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{name}: a call of a tool is no object", where=where)
    function = value.get("function", value)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise RequestError(f"{name}: a call of a tool has no name", where=where)
    arguments = _json(function.get("arguments", {}), f"{name}: the arguments of {function['name']!r}", where)
    if not isinstance(arguments, Mapping):
        raise RequestError(f"{name}: the arguments of {function['name']!r} are no object", where=where)
    kept = {"id": value["id"]} if isinstance(value.get("id"), str) else {}
    return {"type": "function", **kept, "function": {"name": function["name"], "arguments": dict(arguments)}}


def _json(value: Any, what: str, where: str) -> Any:
    """What stands in a text that should be JSON; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{what} is no JSON: {shortened(value)!r}", where=where) from error
