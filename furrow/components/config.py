"""The base of every config class: closed, frozen, strict, and documented field by field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A closed set of settings. Verified in strict JSON mode (`model_validate_json`); the docstring under a field is its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True,
                              allow_inf_nan=False, protected_namespaces=())
