"""The three ways in which a file may list its strategies; whatever the spelling, out come bodies by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from furrow.components.errors import did_you_mean
from furrow.strategies.errors import Path, Place, Problem, StrategyErrors
from furrow.strategies.source import Document

_NAME = re.compile(r"[^\W_]([\w .-]*[\w-])?|_[\w.-]*")
"""It becomes the name of a folder."""
_LONGEST = 100
MAX_STRATEGIES = 200
"""In a file; each is verified in 5 ms. So many fit if each extends another one and changes a dozen values."""
MAX_VALUES = 2000
"""Keys and values of one; 50 are usual, and a rank for each layer of a large model makes 500."""


@dataclass
class Body:
    """One strategy as it was written: its keys, and the place of each path (both may be rearranged afterwards)."""

    key: str
    data: dict[str, Any]
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Where the path was written, or the nearest key above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]

    def written(self, path: Path) -> Path:
        """The path as it was written: a key that was moved is blamed where the user put it."""
        above = path
        while above and above not in self.places:
            above = above[:-1]
        return (*self.places[above].written, *path[len(above) :])


def bodies(document: Document) -> dict[str, Body]:
    """Every strategy of a file: `name: {…}`, `strategies: {name: {…}}`, or `strategies: [{name: …}]`, and a `version`.

    Raises StrategyErrors where it is none of the three.
    """
    data = document.data
    if not isinstance(data, dict) or not data:
        raise StrategyErrors([_problem(document, (), "no strategy in it; wanted is `name: {…}`")])
    if "strategies" not in data:
        return _from_mapping(document, {key: body for key, body in data.items() if key != "version"}, ())
    unknown = [key for key in data if key not in ("strategies", "version")]
    if unknown:
        what = "beside `strategies` there is only `version`; " + did_you_mean(unknown[0], ("strategies", "version"))
        raise StrategyErrors([_problem(document, (key,), what) for key in unknown])
    listed = data["strategies"]
    if isinstance(listed, dict):
        return _from_mapping(document, listed, ("strategies",))
    if isinstance(listed, list):
        return _from_list(document, listed)
    raise StrategyErrors([_problem(document, ("strategies",), "a mapping or a list of strategies is wanted")])


def _from_mapping(document: Document, listed: dict[str, Any], prefix: Path) -> dict[str, Body]:
    _refuse_many(document, listed)
    found: dict[str, Body] = {}
    problems: list[Problem] = []
    for key, body in listed.items():
        if body is not None and not isinstance(body, dict):
            what = "a strategy is a mapping of blocks such as components, dataset, export"
            problems.append(_problem(document, (*prefix, key), what))
            continue
        try:
            found[key] = _body(document, key, body or {}, (*prefix, key))
        except StrategyErrors as error:
            problems += error.problems
    if problems:
        raise StrategyErrors(problems)
    return found


def _from_list(document: Document, listed: list[Any]) -> dict[str, Body]:
    """In a list, `name` is the strategy's key; `title` is its name for people."""
    _refuse_many(document, listed)
    found: dict[str, Body] = {}
    problems: list[Problem] = []
    for index, entry in enumerate(listed):
        path: Path = ("strategies", index)
        key = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(key, str) or not key:
            problems.append(_problem(document, path, "every strategy of the list needs a `name` (text)"))
            continue
        if key in found:
            what = f"there are two strategies named {key!r}, the first in line {found[key].place(()).line}"
            problems.append(_problem(document, path, what))
            continue
        data = {name: value for name, value in entry.items() if name != "name"}
        try:
            found[key] = _body(document, key, data, path)
        except StrategyErrors as error:
            problems += error.problems
            continue
        if "title" in data:
            data["name"] = data.pop("title")
            found[key].places["name",] = found[key].places.pop(("title",))
    if problems:
        raise StrategyErrors(problems)
    return found


def _refuse_many(document: Document, listed: Collection[Any]) -> None:
    if len(listed) > MAX_STRATEGIES:
        raise StrategyErrors([_problem(document, (), f"{len(listed)} strategies; at most {MAX_STRATEGIES} are read")])


def _body(document: Document, key: str, data: dict[str, Any], prefix: Path) -> Body:
    if not _NAME.fullmatch(key):
        what = "the name of a strategy begins with a letter or digit and has letters, digits, spaces, and . _ - in it"
        raise StrategyErrors([_problem(document, prefix, what)])
    if key in ("strategies", "version"):
        raise StrategyErrors([_problem(document, prefix, "is a word of the file's own form; choose another name")])
    if len(key) > _LONGEST:
        raise StrategyErrors([_problem(document, prefix, f"the name of a strategy has at most {_LONGEST} characters")])
    depth = len(prefix)
    places = {
        path[depth:]: Place(place.source, place.line, path[depth:])
        for path, place in document.places.items()
        if path[:depth] == prefix
    }
    if len(places) > MAX_VALUES:
        raise StrategyErrors([_problem(document, prefix, f"a strategy has at most {MAX_VALUES} keys and values")])
    return Body(key, data, places)


def _problem(document: Document, path: Path, what: str) -> Problem:
    return Problem(document.places.get(path, Place(document.source, None, ())), path, what)
