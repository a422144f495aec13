"""From a name to a Strategy: reads the file, follows `extends`, lays `--set` over it, resolves, fills in, verifies."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from furrow.components.errors import RequestError, did_you_mean, several
from furrow.components.events import Event
from furrow.strategies import overrides as overriding
from furrow.strategies.containment import uncontained
from furrow.strategies.defaults import fill
from furrow.strategies.errors import Place, Problem, StrategyErrors
from furrow.strategies.filled import filled_yaml
from furrow.strategies.interpolation import resolve
from furrow.strategies.keys import keys_at
from furrow.strategies.moved_keys import SHORT_FORMS, settle
from furrow.strategies.notes import contradictions, left_behind, notes
from furrow.strategies.schema import TEMPLATE, Strategy
from furrow.strategies.source import read_file
from furrow.strategies.spellings import Body, bodies
from furrow.strategies.verify import verify

__all__ = ["Loaded", "Summary", "filled_yaml", "library", "load", "load_all", "names", "summaries"]

_SOURCES = ("builtin", "path", "huggingface_id", "revision")
"""Keys of base_model that say which model it is: naming one replaces what was inherited of them."""

LIBRARY = Path(__file__).parent / "library"
MAX_ANCESTORS = 16
BLOCKS = frozenset(key for key in Strategy.model_fields if key not in ("key", "name", "description"))
"""Names that no strategy can have: whoever writes them at the top has left out the strategy's name."""


@dataclass(frozen=True)
class Loaded:
    """A verified strategy, and what there is to say about it."""

    strategy: Strategy
    notes: list[Event]
    body: Body
    """The keys that were written, of the strategy, of what it extends and of `--set`, each with its place."""


@dataclass(frozen=True)
class Summary:
    """One line of `strategies list`."""

    key: str
    title: str
    description: str
    file: Path


def load(name: str, file: Path | None = None, overrides: Sequence[str] = ()) -> Loaded:
    """The strategy of that name in `file`, or among those that ship; `overrides` are `key=value`, the last one wins.

    Raises StrategyErrors with everything that is wrong, RequestError when there is no such file or strategy.
    """
    there = _bodies_of(file)
    if name not in there:
        where = str(file) if file else "the strategies that ship"
        raise RequestError(f"there is no strategy {name!r} in {where}", remedy=did_you_mean(name, there))
    return _load(there[name], there, overrides)


def without_strategy(overrides: Sequence[str] = ()) -> Loaded:
    """Every default, and a model that stands in where one is wanted: for who asks about data and about no model. Its
    key is ''."""
    source = {"base_model": {"builtin": "seedling"}, "export": {"model_name": "model"}}
    return _load(Body("", source, {(): Place("no strategy", None, ())}), {}, overrides)


def load_all(file: Path | None = None) -> list[Loaded]:
    """Every strategy of the file (or of the library). Raises StrategyErrors with the problems of all of them."""
    there = _bodies_of(file)
    loaded: list[Loaded] = []
    problems: dict[Problem, list[str]] = {}
    for body in there.values():
        try:
            loaded.append(_load(body, there, ()))
        except StrategyErrors as error:
            for problem in error.problems:  # those that extend a strategy have its problems too
                problems.setdefault(problem, []).append(body.key)
    if problems:
        many = len(there) > 1
        raise StrategyErrors(replace(each, strategy=several(keys) if many else "") for each, keys in problems.items())
    return loaded


def names(file: Path | None = None) -> list[str]:
    """The strategies of the file, or of the library, in their order."""
    return list(_bodies_of(file))


def summaries(file: Path | None = None) -> list[Summary]:
    """What `strategies list` shows; verifies nothing, so that one bad strategy does not hide the others."""
    return [
        Summary(
            key=body.key,
            title=str(body.data.get("name") or body.key),
            description=" ".join(str(body.data.get("description") or "").split()),
            file=Path(body.place(()).source),
        )
        for body in _bodies_of(file).values()
    ]


def library() -> dict[str, Path]:
    """The strategies that ship: name -> file."""
    return {key: Path(body.place(()).source) for key, body in _shipped().items()}


def _bodies_of(file: Path | None) -> dict[str, Body]:
    if file is None:
        return _shipped()
    found = bodies(read_file(Path(file)))
    blocks = [body for key, body in found.items() if key in SHORT_FORMS or key in BLOCKS]
    if blocks:
        what = "is a block of a strategy, not a strategy; wanted is"
        raise StrategyErrors(
            Problem(body.place(()), (body.key,), f"{what} `name: {{{body.key}: …}}`") for body in blocks
        )
    return found


@functools.cache
def _shipped() -> dict[str, Body]:
    found: dict[str, Body] = {}
    for path in sorted(LIBRARY.glob("*.yaml")):
        found |= bodies(read_file(path))
    return found


def _load(body: Body, there: dict[str, Body], overrides: Sequence[str]) -> Loaded:
    problems: list[Problem] = []
    whole, events = _inherit(body, there, problems)
    for text in overrides:
        override = overriding.in_lists(overriding.parse(text), whole.data)
        events += settle(override, problems)
        _imply_type(whole, override)
        events += left_behind(whole, override)
        whole = _laid_over(whole, override)
    data, refused = resolve(whole)
    problems += refused
    data, more = fill(body.key, _without_empty(data))
    strategy, wrong = verify(whole, data)
    problems += wrong
    if strategy is not None:
        problems += [*contradictions(strategy, whole), *uncontained(strategy, whole)]
    if problems or strategy is None:
        raise StrategyErrors(problems)
    return Loaded(strategy, [*events, *more, *notes(strategy, whole)], whole)


def _inherit(body: Body, there: dict[str, Body], problems: list[Problem]) -> tuple[Body, list[Event]]:
    """The body over the one it extends, and that over the next: every ancestor's keys, the nearest wins."""
    chain, seen = [body], [(body.place(()).source, body.key)]
    while "extends" in chain[-1].data:
        parent, there = _parent(chain[-1], there)
        identity = (parent.place(()).source, parent.key)
        if identity in seen:
            circle = " -> ".join(key for _, key in [*seen[seen.index(identity) :], identity])
            raise StrategyErrors(
                [Problem(chain[-1].place(("extends",)), ("extends",), f"goes round in a circle: {circle}")]
            )
        if len(chain) > MAX_ANCESTORS:
            what = f"goes on over more than {MAX_ANCESTORS} strategies"
            raise StrategyErrors([Problem(chain[-1].place(("extends",)), ("extends",), what)])
        chain.append(parent)
        seen.append(identity)
    whole, events = Body(body.key, {}, {}), []
    for one in reversed(chain):
        own = {key: copy.deepcopy(value) for key, value in one.data.items() if key != "extends"}
        settled = Body(body.key, own, dict(one.places))
        events += settle(settled, problems)
        _imply_type(whole, settled)
        events += left_behind(whole, settled)
        whole = _laid_over(whole, settled)
    return whole, events


def _parent(body: Body, there: dict[str, Body]) -> tuple[Body, dict[str, Body]]:
    """The strategy that the body extends: one of its own file, else a shipped one (then with what that may extend)."""
    name, place = body.data["extends"], body.place(("extends",))
    if not isinstance(name, str):
        raise StrategyErrors([Problem(place, ("extends",), "the name of a strategy is wanted")])
    if name in there and there[name].place(()) != body.place(()):
        return there[name], there
    shipped = _shipped()
    if name in shipped:
        return shipped[name], shipped
    if name == body.key:
        raise StrategyErrors([Problem(place, ("extends",), f"goes round in a circle: {name} -> {name}")])
    allowed = [key for key in dict.fromkeys([*there, *shipped]) if key != body.key]
    raise StrategyErrors(
        [Problem(place, ("extends",), f"there is no strategy {name!r}; {did_you_mean(name, allowed)}")]
    )


def _laid_over(below: Body, above: Body) -> Body:
    """OmegaConf's merge: mappings key by key, everything else replaced; `key:` with nothing resets what it had."""
    kept = _of_the_same_types(below.data, above.data)
    data: Any = OmegaConf.to_container(OmegaConf.merge(kept, above.data), resolve=False)
    return Body(below.key, data, {**below.places, **above.places})


def _imply_type(below: Body, above: Body) -> None:
    """A key that implies the type of the template does so too where what lies below names another type, which has no
    such key."""
    given, inherited = (body.data.get(TEMPLATE.slot) for body in (above, below))
    if not isinstance(given, dict) or "type" in given or not isinstance(inherited, dict):
        return
    old, new = inherited.get("type"), TEMPLATE.implied_type(given)
    known = {key.name for key in keys_at((TEMPLATE.slot,), old) if key.variant == old}
    if old is not None and any(key in given and key not in known for key, _ in TEMPLATE.type_by_key):
        given["type"] = new


def _of_the_same_types(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """What lies below, without the settings of components whose `type` is another one above."""
    kept = {}
    for key, value in below.items():
        over = above.get(key)
        if {type(value), type(over)} == {list, dict}:  # OmegaConf merges neither into the other
            continue
        if isinstance(value, dict) and isinstance(over, dict):
            types = (value.get("type"), over.get("type"))
            if None not in types and types[0] != types[1]:
                continue
            if key == "base_model" and any(source in over for source in _SOURCES):
                value = {name: setting for name, setting in value.items() if name not in _SOURCES}
            value = _of_the_same_types(value, over)
        kept[key] = value
    return kept


def _without_empty(data: Any) -> Any:
    """A key with nothing after it means its default."""
    if isinstance(data, dict):
        return {key: _without_empty(value) for key, value in data.items() if value is not None}
    return data
