"""JSON Schema of a strategy file, so that editors complete and check its keys; made from the config classes."""

from __future__ import annotations

from typing import Any

from furrow.strategies.errors import dotted
from furrow.strategies.moved_keys import MOVED, REWORDED, SHORT_FORMS
from furrow.strategies.schema import Strategy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def file_schema() -> dict[str, Any]:
    """The schema of a whole file, in any of the three spellings.

    It describes the keys, their types and their ranges. What it does not know: `${…}` in place of a number, and rules
    that join several keys; `strategies validate` knows those.
    """
    strategy = Strategy.model_json_schema(mode="validation")
    definitions = strategy.pop("$defs")
    _add_written_forms(strategy, definitions)
    definitions["Strategy"] = strategy
    one = {"$ref": "#/$defs/Strategy"}
    entry = {"allOf": [one], "required": ["name"]}
    listed = {"anyOf": [{"type": "object", "additionalProperties": one}, {"type": "array", "items": entry}]}
    return {
        "$schema": DIALECT,
        "title": "Furrow strategy file",
        "type": "object",
        "properties": {"version": {"type": ["string", "number"]}, "strategies": listed},
        "additionalProperties": one,
        "$defs": definitions,
    }


def _add_written_forms(strategy: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Keys that exist only in files: `extends`, short forms, and keys that are taken where they belong."""
    properties = strategy["properties"]
    properties["extends"] = {
        "type": "string",
        "description": "Another strategy, of this file or shipped, to inherit from.",
    }
    properties["title"] = {"type": "string", "description": "In a list of strategies: its name for people."}
    for name, target in SHORT_FORMS.items():
        properties[name] = {**_property(strategy, definitions, target), "description": f"Short for {dotted(target)}."}
    for source, target in (*MOVED.items(), *((path, target) for path, (target, _) in REWORDED.items())):
        above = _property(strategy, definitions, source[:-1])
        described = _property(strategy, definitions, target) if source in MOVED else {}
        described = {key: value for key, value in described.items() if key not in ("default", "title")}
        for owner in _options(above, definitions):
            note = {"deprecated": True, "description": f"Taken as {dotted(target)}."}
            owner.setdefault("properties", {})[source[-1]] = {**described, **note}


def _property(schema: dict[str, Any], definitions: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """The schema of the key at that path. Of several choices, the one that has the key (components: `pytorch`)."""
    for step in path:
        schema = next(
            option["properties"][step]
            for option in _options(schema, definitions)
            if step in option.get("properties", {})
        )
    return schema


def _options(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The schema with references followed, or each of its alternatives; the dicts themselves, not copies."""
    if "$ref" in schema:
        return _options(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    found: list[dict[str, Any]] = []
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found += _options(option, definitions)
    return found or [schema]
