"""Where a strategy chooses a component: `type` names it, the registry finds it, its own config verifies the rest."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from furrow.components.config import Config, problem_at
from furrow.components.errors import FurrowError
from furrow.components.registry import Component, claims, find


@dataclass(frozen=True)
class Wired:
    """A chosen component with its verified config."""

    slot: str
    type: str
    component: Component
    config: Config


@dataclass(frozen=True)
class OfSlot:
    """Annotation of a `Wired` field: which slot it wires, and how it is written.

    `flat`: the config's keys stand beside `type` (`{type: random, seed: 1}`); else they stand in `config`.
    `default`: the type when none is named; None where it must be. `type_by_key`: a key that implies a type.
    """

    slot: str
    flat: bool = False
    default: str | None = None
    type_by_key: tuple[tuple[str, str], ...] = ()

    def wire(self, given: Any) -> Wired:
        """Verifies what stands in the strategy: a mapping, a bare type, or an already wired component.

        Raises ValidationError (or ValueError), which pydantic reports at the field's place.
        """
        if isinstance(given, Wired):
            return given
        if isinstance(given, str):
            given = {"type": given}
        if not isinstance(given, Mapping):
            raise ValueError("a mapping with `type` is wanted")
        name = given.get("type", self.implied_type(given))
        if not isinstance(name, str):
            raise problem_at("type", f"the type of the {self.slot} is wanted: {', '.join(claims(self.slot))}", name)
        try:
            component = find(self.slot, name)
        except FurrowError as error:
            message = f"{error.what}; {error.remedy}" if error.remedy else error.what
            raise problem_at("type", message, name) from error
        return Wired(self.slot, name, component, self._config(component, {**given, "type": name}))

    def implied_type(self, given: Mapping[str, Any]) -> str | None:
        """The type of a mapping that names none."""
        return next((name for key, name in self.type_by_key if key in given), self.default)

    def _config(self, component: Component, given: dict[str, Any]) -> Config:
        if self.flat:
            del given["type"]
            return component.config.model_validate_json(json.dumps(given))
        block = _block(component).model_validate_json(json.dumps({"config": {}, **given}))
        return block.config  # type: ignore[attr-defined]

    def unwire(self, wired: Wired) -> dict[str, Any]:
        """As it is written in a strategy, every default included."""
        settings = wired.config.model_dump(mode="json")
        return {"type": wired.type, **settings} if self.flat else {"type": wired.type, "config": settings}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.wire, serialization=core_schema.plain_serializer_function_ser_schema(self.unwire)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        choices = self.choices()
        bare = {"enum": list(choices), "description": "The type alone, with its default settings."}
        return {"anyOf": [*(self._described(name, component, handler) for name, component in choices.items()), bare]}

    def choices(self) -> dict[str, Component]:
        """Every type that can be named here. A plugin that cannot be loaded is left out: only its users are hurt."""
        found = {}
        for name in claims(self.slot):
            try:
                found[name] = find(self.slot, name)
            except FurrowError:
                continue
        return found

    def _described(self, name: str, component: Component, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        optional = name == self.default or name in dict(self.type_by_key).values()
        kind = {"const": name, "description": component.summary}
        described = handler.resolve_ref_schema(handler(component.config.__pydantic_core_schema__))
        if self.flat:
            merged = {**described, "properties": {"type": kind, **described.get("properties", {})}}
            return merged if optional else {**merged, "required": ["type", *described.get("required", [])]}
        block: dict[str, Any] = {
            "type": "object",
            "properties": {"type": kind, "config": described},
            "additionalProperties": False,
        }
        return block if optional else {**block, "required": ["type"]}


@functools.cache
def _block(component: Component) -> type[Config]:
    """`{type, config}` for one component, so that problems in it are reported with their full path."""
    return create_model(
        "Wiring", __base__=Config, type=(str, ...), config=(component.config, Field(default_factory=component.config))
    )
