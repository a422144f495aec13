"""The reference of every key, as Markdown: `python -m furrow.strategies.reference > docs/keys.md`."""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Union

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from furrow.components.config import Config, Free
from furrow.components.registry import find
from furrow.strategies.errors import Path, dotted
from furrow.strategies.interpolation import ENVIRONMENT
from furrow.strategies.keys import Key, every_key, slot_of
from furrow.strategies.moved_keys import MOVED, REWORDED, SHORT_FORMS, short
from furrow.strategies.wiring import OfSlot

_WORDS = {str: "text", bool: "true or false", int: "whole number", float: "number", type(None): ""}
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}

_HEAD = """# Keys of a strategy file

Made by `python -m furrow.strategies.reference` from the classes that verify a strategy; do not edit.

A file holds strategies by name: `name: {…}`, or `strategies: {name: {…}}`, or `strategies: [{name: …}]` (there, `title`
is the name for people); each may have a `version`. A key with nothing after it means its default.
`extends: other` begins with the keys of another strategy, of the same file or shipped. `${a.key}` repeats another value
of the strategy, `${oc.env:NAME}` one of the environment (allowed are `FURROW_…` and {environment}; never one whose name
smells of a secret).

`on resume` says what may become of a key when `train --resume` goes on with an interrupted run. free: it may change.
bound: a change is refused, unless `--allow-change KEY` says that it is meant; it holds from the next step on, and
manifest.json keeps it. fixed: it cannot change within a run, since what a checkpoint holds would mean nothing.
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD.replace("{environment}", ", ".join(f"`{name}`" for name in sorted(ENVIRONMENT)))]
    keys = every_key()
    top = [key for key in keys if len(key.path) == 1]
    parts.append(_table("The strategy", "", top))
    homes = _homes(keys)
    elsewhere = {key.path for key in keys if (slot := slot_of(key.field)) and homes[slot.slot] != key.path}
    for key in keys:
        if not key.is_block or any(key.path[: len(path)] == path for path in elsewhere):
            continue
        for heading, summary, children in _sections(key, keys):
            table = _table(heading, summary, children)
            if table not in parts:  # two types of a slot may have a block of one class
                parts.append(table)
    parts.append(_written_elsewhere())
    return "\n".join(parts)


def _homes(keys: Sequence[Key]) -> dict[str, Path]:
    """Where the types of each slot are written out: of the places that wire it, the one that lies highest. Elsewhere
    they have the same keys."""
    homes: dict[str, Path] = {}
    for key in sorted(keys, key=lambda key: len(key.path)):
        if slot := slot_of(key.field):
            homes.setdefault(slot.slot, key.path)
    return homes


def _sections(block: Key, keys: Sequence[Key]) -> Iterator[tuple[str, str, list[Key]]]:
    """One table a block; where its `type` decides about the keys, one table a type."""
    slot, title = slot_of(block.field), f"`{dotted(block.path)}`"
    children = list({(key.path, key.owner, key.variant): key for key in keys if key.path[:-1] == block.path}.values())
    if slot and not slot.flat:
        config = [key for key in keys if key.path[:-1] == (*block.path, "config")]
        for name, component in slot.choices().items():
            mine = [key for key in config if key.variant == name]
            yield f"`{dotted(block.path)}.config` of type `{name}`", component.summary, mine
        return
    variants = list(dict.fromkeys(key.variant for key in children))
    if slot:
        variants = list(slot.choices())
    for variant in variants:
        mine = [key for key in children if key.variant == variant]
        heading = f"{title} of type `{variant}`" if variant else title
        summary = find(slot.slot, variant).summary if slot and variant else (mine[0].owner.__doc__ or "")
        yield heading, summary, mine


def _table(heading: str, summary: str, keys: Sequence[Key]) -> str:
    lines = [f"## {heading}", ""]
    if summary:
        lines += [_one_line(summary), ""]
    if not keys:
        return "\n".join([*lines, "No settings.", ""])
    lines += ["| key | value | default | on resume | meaning |", "|---|---|---|---|---|"]
    for key in keys:
        meaning = _one_line(key.field.description or "")
        if key.no_effect:
            meaning += f" **Has no effect**: {key.no_effect}."
        cells = (f"`{key.name}`", _value(key), _default(key), _on_resume(key), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _on_resume(key: Key) -> str:
    """Nothing for a block whose keys say it each."""
    mark = key.on_resume
    if key.is_block and not isinstance(mark, Free):
        return ""
    grows = isinstance(mark, Free) and mark.growing
    return type(mark).__name__.lower() + (" to grow" if grows else "")


def _written_elsewhere() -> str:
    lines = ["## Keys that are taken elsewhere", "", "| written as | taken as |", "|---|---|"]
    rows: list[tuple[Path, Path]] = [((name,), target) for name, target in SHORT_FORMS.items()]
    rows += list(MOVED.items()) + [(path, target) for path, (target, _) in REWORDED.items()]
    lines += [
        f"| `{dotted(short(source))}` | `{dotted(short(target) if len(source) > 1 else target)}` |"
        for source, target in rows
    ]
    return "\n".join([*lines, ""])


def _value(key: Key) -> str:
    slot = slot_of(key.field)
    if slot:
        if (home := _homes(every_key())[slot.slot]) != key.path:
            return f"type: as `{dotted(short(home))}`"
        return "type: " + ", ".join(f"`{name}`" for name in slot.choices())
    extra = key.field.json_schema_extra
    if callable(extra):
        described: dict[str, Any] = {}
        extra(described)
        return ", ".join(f"`{name}`" for name in described["enum"])
    bounds = ", ".join(_bounds(key.field.metadata) + _bounds(_inner_metadata(key.field.annotation)))
    words = _type(key.field.annotation)
    return f"{words} {bounds}" if bounds else words


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" if str(value).isprintable() else f"`{value!r}`" for value in arguments)
    if origin in (Union, types.UnionType):
        words = dict.fromkeys(word for word in map(_type, arguments) if word)
        return " or ".join(words)
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return "block"
    return str(getattr(annotation, "__name__", annotation))


def _bounds(metadata: list[Any]) -> list[str]:
    return [
        f"{sign} {getattr(mark, name)}"
        for mark in metadata
        for name, sign in _SIGNS.items()
        if getattr(mark, name, None) is not None
    ]


def _inner_metadata(annotation: Any) -> list[Any]:
    """Bounds inside `Annotated[…] | None` and `tuple[Annotated[…], …]`."""
    if typing.get_origin(annotation) is typing.Annotated:
        found = []
        for mark in typing.get_args(annotation)[1:]:
            found += mark.metadata if isinstance(mark, FieldInfo) else [mark]
        return found
    if typing.get_origin(annotation) is dict:
        return []
    return [
        mark for part in typing.get_args(annotation) if not isinstance(part, OfSlot) for mark in _inner_metadata(part)
    ]


def _default(key: Key) -> str:
    if key.is_block:
        return ""
    if key.field.is_required():
        return "required"
    value = key.field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value == "":
        return ""
    return f"`{json.dumps(value, default=list, ensure_ascii=False)}`".replace('"', "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(reference())
