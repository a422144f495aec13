"""Every key that a strategy file may hold, read off the config classes: for suggestions and for the reference."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from furrow.components.config import Bound, Config, Free, NoEffect, OnResume
from furrow.components.errors import FurrowError
from furrow.components.registry import claims, find
from furrow.strategies.schema import Strategy
from furrow.strategies.wiring import OfSlot

_BOUND = Bound()


@dataclass(frozen=True)
class Key:
    """One key: `variant` is the `type` of the mapping around it where that decides whether the key exists."""

    path: tuple[str, ...]
    field: FieldInfo
    owner: type[Config]
    variant: str | None = None
    on_resume: OnResume = _BOUND
    """What may become of it when a run is gone on with."""

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def no_effect(self) -> str | None:
        """Why it changes nothing, for a key that is only accepted."""
        return next((mark.why for mark in self.field.metadata if isinstance(mark, NoEffect)), None)

    @property
    def is_block(self) -> bool:
        """Whether further keys stand below it."""
        return bool(configs_in(self.field.annotation)) or slot_of(self.field) is not None


@functools.cache
def every_key() -> tuple[Key, ...]:
    """All keys, parents before their children, in the order of the classes; read once a process."""
    return tuple(_keys(Strategy, (), None))


def keys_at(parent: tuple[str, ...], variant: Any = None) -> list[Key]:
    """The keys that may stand directly in that mapping, given the `type` it has."""
    there = [key for key in every_key() if key.path[:-1] == parent]
    return [key for key in there if variant is None or key.variant in (None, variant)]


def on_resume(field: FieldInfo, above: OnResume) -> OnResume:
    """What may become of a field when a run is gone on with: its own mark, else that of the block it stands in."""
    for mark in field.metadata:
        if isinstance(mark, NoEffect):
            return Free(mark.why)
        if isinstance(mark, OnResume):
            return mark
    return above


def configs_in(annotation: Any) -> list[type[Config]]:
    """The config classes in a type: more than one for a union told apart by `type`."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    found: list[type[Config]] = []
    for part in typing.get_args(annotation):
        found += [config for config in configs_in(part) if config not in found]
    return found


def slot_of(field: FieldInfo) -> OfSlot | None:
    """The slot that a field wires, if it wires one."""
    marks = [*field.metadata, *(mark for part in _parts(field.annotation) for mark in typing.get_args(part))]
    return next((mark for mark in marks if isinstance(mark, OfSlot)), None)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in typing.get_args(annotation):
        if not isinstance(part, OfSlot):
            yield from _parts(part)


def _keys(owner: type[Config], prefix: tuple[str, ...], variant: str | None, above: OnResume = _BOUND) -> Iterator[Key]:
    for name, field in owner.model_fields.items():
        if field.exclude:
            continue
        path, mark = (*prefix, name), on_resume(field, above)
        yield Key(path, field, owner, variant, mark)
        slot = slot_of(field)
        if slot:
            yield from _wired(slot, path, mark)
        configs = configs_in(field.annotation)
        for config in configs:
            yield from _keys(config, path, _type_of(config) if len(configs) > 1 else None, mark)


def _wired(slot: OfSlot, path: tuple[str, ...], above: OnResume) -> Iterator[Key]:
    for name in claims(slot.slot):
        try:
            config = find(slot.slot, name).config
        except FurrowError:  # a plugin that cannot be loaded hurts only the strategy that names it
            continue
        yield from _keys(config, path if slot.flat else (*path, "config"), name, above)


def _type_of(config: type[Config]) -> str | None:
    field = config.model_fields.get("type")
    return field.default if field else None
