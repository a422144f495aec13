"""What Ollama allows as a model's name: `[[host/]namespace/]model[:tag]`.

Source: Ollama's types/model/name.go (v0.33): a part is a letter, a digit or `_`, then up to 79 of those, `-` and `.`;
a namespace holds no dot; a host may be 350 long and hold a colon.
"""

from __future__ import annotations

import re

from furrow.components.errors import RequestError

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAMESPACE = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"
_HOST = r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"
_NAME = re.compile(rf"(?:(?:{_HOST}/)?{_NAMESPACE}/)?{_PART}(?::{_PART})?")


def checked_name(name: str) -> str:
    """The name, if Ollama allows it. Raises RequestError with the nearest name that it does allow."""
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"Ollama does not allow the model name {name!r}",
            where="model_name",
            remedy=f"take --model-name {nearest_name(name)} (letters, digits, _ - . and at most one :tag)",
        )
    return name


def nearest_name(name: str) -> str:
    """A legal name that looks like the given one; a legal name stays as it is."""
    if _NAME.fullmatch(name):
        return name
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, tag = name, ""
    *namespaces, model = path.split("/")[-2:]
    parts = [_legal(part).replace(".", "-") for part in namespaces] + [_legal(model) or "model"]
    legal = "/".join(part for part in parts if part)
    return f"{legal}:{_legal(tag)}" if _legal(tag) else legal


def _legal(part: str) -> str:
    """The part with everything that is not allowed made a hyphen, none at its ends."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", part).lstrip("-.")[:80].rstrip("-.")
