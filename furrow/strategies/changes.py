"""What a strategy says otherwise than the one that a run began with, and which of it an interrupted run may follow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from furrow.components.config import Bound, Config, Fixed, Free, OnResume
from furrow.components.errors import RequestError, nearest
from furrow.components.secrets import scrubbed
from furrow.strategies.errors import Path, Place, dotted
from furrow.strategies.files import Loaded
from furrow.strategies.keys import every_key, on_resume, slot_of
from furrow.strategies.moved_keys import CONFIG, full, short
from furrow.strategies.suggestions import ELSEWHERE_CALLED
from furrow.strategies.wiring import Wired

_FINE_TUNER = ("components", "fine_tuner", "type")
_LONGEST = 60
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Change:
    """One key (or what a key names: rows, a model) that is another one now."""

    path: Path
    old: Any
    new: Any
    on_resume: OnResume
    place: Place | str | None = None
    """Where the new value stands; None where nobody wrote it."""

    @property
    def key(self) -> str:
        """As `--set` takes it."""
        return dotted(short(self.path))

    @property
    def is_free(self) -> bool:
        return isinstance(self.on_resume, Free) and self.on_resume.allows(self.old, self.new)

    @property
    def is_fixed(self) -> bool:
        return isinstance(self.on_resume, Fixed)

    def __str__(self) -> str:
        where = "the default" if self.place is None else str(self.place)
        return f"{self.key}: {shown(self.old)} → {shown(self.new)} ({where})"


def shown(value: Any) -> str:
    """Text as it is, everything else as JSON; shortened, and without what looks like an access token."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "none" if value is None else " ".join(scrubbed(text).split()) or '""'
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def changes(before: Mapping[str, Any], now: Loaded) -> list[Change]:
    """In the order of the keys. `before` is a strategy as `filled_yaml` writes it, or as `model_dump` does.

    A key that is not in it has no value there. Of a block whose `type` is another one, the type alone is named.
    """
    marks = dict(_marks(now.strategy, (), Bound()))
    blocks = {path[:-1] for path in marks}
    for path, mark in _by_the_fine_tuner(before, now.strategy.fine_tuner.config):
        marks[path] = mark
    marks[_FINE_TUNER] = Fixed("its checkpoints are read by no other")
    found = _differences(before, now.strategy.model_dump(mode="json"), (), blocks)
    return [Change(path, old, new, marks[path], now.body.places.get(path)) for path, old, new in found if path in marks]


def allowed(names: Sequence[str], found: Sequence[Change]) -> set[Path]:
    """The paths of the changes that `--allow-change` names, by themselves or by a block that they stand in.

    Raises RequestError for a name that is no key, and for one under which nothing has changed.
    """
    permitted: set[Path] = set()
    for name in names:
        path = full(tuple(name.strip().split(".")))
        under = [change for change in found if change.path[: len(path)] == path]
        if not under:
            raise RequestError(_refusal(name, path, found), where="--allow-change")
        permitted |= {change.path for change in under}
    return permitted


def _refusal(name: str, path: Path, found: Sequence[Change]) -> str:
    known = [key.path for key in every_key()]
    changed = [change.key for change in found if not change.is_free]
    if any(key[: len(path)] == path for key in known):
        return f"{name} has not changed; " + (f"changed are {', '.join(changed)}" if changed else "nothing has")
    by_last = {key[-1]: dotted(short(key)) for key in reversed(known)}
    meant = ELSEWHERE_CALLED.get(name.lower()) or by_last.get(name) or nearest(name, [*changed, *by_last.values()])
    return f"there is no key {name!r}" + (f"; did you mean {meant!r}?" if meant else "")


def _by_the_fine_tuner(before: Mapping[str, Any], config: Any) -> Iterator[tuple[Path, OnResume]]:
    """What its config alone can tell; one of a plugin need not have these methods."""
    was = before.get("components", {}).get("fine_tuner", {}).get("config", {})
    same = config.same_in_effect(was) if hasattr(config, "same_in_effect") else {}
    fixed = config.fixed_in_a_run() if hasattr(config, "fixed_in_a_run") else {}
    for name, why in fixed.items():
        yield (*CONFIG, *name.split(".")), Fixed(why)
    for name, why in same.items():
        yield (*CONFIG, *name.split(".")), Free(why)


def _marks(config: Config, path: tuple[str, ...], above: OnResume) -> Iterator[tuple[Path, OnResume]]:
    """What may become of every key that this very strategy has."""
    for name, field in type(config).model_fields.items():
        if field.exclude:
            continue
        at, mark, value = (*path, name), on_resume(field, above), getattr(config, name)
        yield at, mark
        if isinstance(value, Wired):
            slot = slot_of(field)
            yield (*at, "type"), mark
            yield from _marks(value.config, at if slot is not None and slot.flat else (*at, "config"), mark)
        elif isinstance(value, Config):
            yield from _marks(value, at, mark)


def _differences(old: Any, new: Any, path: Path, blocks: set[Path]) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and path in blocks:
        if "type" in new and old.get("type") != new["type"]:
            yield (*path, "type"), old.get("type"), new["type"]
            return
        for key in dict.fromkeys([*new, *old]):
            yield from _differences(old.get(key), new.get(key), (*path, key), blocks)
    elif old != new:
        yield path, old, new
