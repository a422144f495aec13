"""Plain data becomes a Strategy, or a list of everything that is wrong with it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from furrow.components.errors import did_you_mean
from furrow.components.secrets import HIDDEN, holds_secret
from furrow.strategies.errors import Path, Problem
from furrow.strategies.schema import Strategy
from furrow.strategies.spellings import Body
from furrow.strategies.suggestions import unknown_key

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_RANGE = re.compile(rf"\s*(?P<first>{_NUMBER.pattern})\s*(-|–|—|\.\.|to)\s*{_NUMBER.pattern}\s*")
_SECRET_NAME = re.compile(r"token(?!s|izer)|secret|password|api_?key|credential", re.IGNORECASE)
_KINDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
}
_WANTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_MOST = 200
"""Problems that are worked out: to find the nearest name for each of 10,000 unknown keys would take a minute."""
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def verify(body: Body, data: dict[str, Any]) -> tuple[Strategy | None, list[Problem]]:
    """The Strategy, or every problem with the place where its key was written."""
    if "key" in data:
        what = unknown_key((), "key", None)
        return None, [Problem(body.place(("key",)), ("key",), what)]
    secrets = list(_secrets(body, data, ()))
    if secrets:
        return None, secrets
    try:
        return Strategy.model_validate_json(json.dumps({**data, "key": body.key})), []
    except ValidationError as error:
        return None, list(_problems(error.errors(include_url=False), body, data))


def _secrets(body: Body, value: Any, path: Path) -> Iterator[Problem]:
    """Refuses every value that holds an access token: the filled strategy is saved beside the model."""
    if isinstance(value, str) and holds_secret(value):
        what = (
            "an access token or a password stands here; a strategy holds no secrets: set it in the environment "
            "(HF_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
        )
        yield Problem(body.place(path), body.written(path), what)
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _secrets(body, item, (*path, key))


def _problems(errors: Iterable[ErrorDetails], body: Body, data: dict[str, Any]) -> Iterable[Problem]:
    """One problem a path. Of a union each branch complains; the one that looked inside the value knows best."""
    by_path: dict[Path, list[ErrorDetails]] = {}
    for error in itertools.islice(errors, _MOST):
        by_path.setdefault(_real_path(error, data), []).append(error)
    for path, (error, *others) in by_path.items():
        inside = any(len(other) > len(path) and other[: len(path)] == path for other in by_path)
        if not (inside and error["type"] in ("literal_error", "too_short", "bool_type")):
            what = _of_a_union([error, *others], path) or _what(error, path, data)
            yield Problem(body.place(path), body.written(path), what)


def _of_a_union(errors: list[ErrorDetails], path: Path) -> str | None:
    """What may stand where one branch wants one of some words, and another something else; None where that is not
    so."""
    words = [word for error in errors if error["type"] == "literal_error" for word in _words(error)]
    kinds = list(dict.fromkeys(_WANTED[error["type"]] for error in errors if error["type"] in _WANTED))
    if not words or not kinds:
        return None
    given = errors[0].get("input")
    truths = ["true", "false"] if "true or false" in kinds else []
    others = [kind for kind in kinds if kind != "true or false"]
    near = did_you_mean(str(given), [*truths, *words])
    return f"got {_shown(given, str(path[-1]))}; {near}" + "".join(f", or {kind}" for kind in others)


def _words(error: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", error.get("ctx", {})["expected"])


def _real_path(error: ErrorDetails, data: Any) -> Path:
    """The error's location without the names of union branches, which pydantic puts between the keys."""
    path: list[str | int] = []
    steps = error["loc"]
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        if isinstance(step, int) and isinstance(data, list) and step < len(data):
            path.append(step)
            data = data[step]
        elif isinstance(data, Mapping) and (step in data or (is_last and error["type"] in ("missing", "refused"))):
            path.append(step)
            data = data.get(str(step))
    return tuple(path)


def _what(error: ErrorDetails, path: Path, data: dict[str, Any]) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error.get("input")
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return unknown_key(path[:-1], name, _type_at(path[:-1], data))
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        return f"got {_shown(given, name)}; {did_you_mean(str(given), _words(error))}"
    if kind in _WANTED:
        return _wrong_kind(_WANTED[kind], given, name)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}, got {_shown(given, name)}"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"got {_shown(given, name)}, which does not look like {context['pattern']}"
    if kind == "finite_number":
        return "a finite number is wanted"
    return error["msg"]


def _wrong_kind(wanted: str, given: Any, name: str) -> str:
    kind = "" if isinstance(given, bool) else _KINDS.get(type(given), "nothing") + " "
    what = f"{wanted} is wanted, got {kind}{_shown(given, name)}".rstrip()
    if not isinstance(given, str):
        return f"{what}; put it in quotes" if wanted == "text" and isinstance(given, bool | int | float) else what
    if "number" not in wanted:
        return what
    if _NUMBER.fullmatch(given.strip()):
        return f"{what}; leave the quotes out"
    range_ = _RANGE.fullmatch(given)
    if range_:
        return f"one number is wanted, and {_shown(given, name)} is a range; write for example {range_['first']}"
    return what


def _shown(given: Any, name: str) -> str:
    """The value, shortened, unless its key says that it is a secret."""
    text = repr(given) if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    if isinstance(given, dict | list) and len(text) > 60:
        return ""
    if _SECRET_NAME.search(name):
        return HIDDEN
    return text if len(text) <= 80 else text[:77] + "…"


def _type_at(path: Path, data: Any) -> Any:
    """The `type` that decides which keys may stand at `path`: its own, or that of the component it configures."""
    outer: Any = None
    for step in path:
        outer, data = data, data[step]
    if isinstance(data, dict) and "type" in data:
        return data["type"]
    if path == ("prompt_template",):
        return "format" if "format" in data else "chat"
    if path and path[-1] == "config":
        return outer.get("type") if isinstance(outer, dict) else None
    return None
