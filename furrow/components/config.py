"""The base of every config class: closed, frozen, strict, and documented field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


class Config(BaseModel):
    """A closed set of settings, verified in strict JSON mode (`model_validate_json`); docstrings are the help."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    not_here: ClassVar[Mapping[str, str]] = {}
    """Keys that a user may well expect here and that do not exist: name -> why, and what to do instead."""
    idle: ClassVar[Mapping[str, str]] = {}
    """Keys of other blocks (`generation`, `monitoring.samples`) that change nothing beside this one -> why."""


@dataclass(frozen=True)
class NoEffect:
    """Marks a field that other trainers have and that changes nothing here; `why` is said when it is given."""

    why: str


@dataclass(frozen=True)
class OnResume:
    """Marks what may become of a field (and of all below it, where they have no mark of their own) when an interrupted
    run is gone on with under a changed strategy. A field without any mark is bound."""

    why: str


@dataclass(frozen=True)
class Free(OnResume):
    """May change: the steps are computed as before. `growing`: only to a greater positive number."""

    growing: bool = False

    def allows(self, old: Any, new: Any) -> bool:
        """Whether this change needs no word from the operator."""
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
        return not self.growing or (numbers and 0 < old <= new)


@dataclass(frozen=True)
class Bound(OnResume):
    """May change only where the operator says so (`--allow-change`), and holds from the next step on."""

    why: str = "steps depend on it"


@dataclass(frozen=True)
class Fixed(OnResume):
    """May not change: what a checkpoint holds means nothing under another value."""


def problem_at(key: str | tuple[str, ...], message: str, given: Any) -> ValidationError:
    """What a validator raises to blame one key (or a path of keys) below its own place, e.g. `type` of a mapping."""
    wrong = PydanticCustomError("refused", "{message}", {"message": message})
    path = (key,) if isinstance(key, str) else key
    return ValidationError.from_exception_data("Config", [InitErrorDetails(type=wrong, loc=path, input=given)])
