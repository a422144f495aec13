"""The model that an augmentation asks: made when the first question comes that nobody asked before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from furrow.components.config import Config, Free
from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import FurrowError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import ChatApp, CutOff, ModelApp
from furrow.stages.data.kept_answers import Kept, KeptAnswers


class NotAsked(Exception):
    """Nobody asked this before, and nobody is to be asked now."""


class Asking:
    """Implements the `Ask` of augmentations over a model app and the answers that are kept."""

    def __init__(
        self, kind: str, identity: Mapping[str, Any], make: Callable[[], ModelApp] | None, kept: KeptAnswers
    ) -> None:
        """`identity`: what says which model it is; `make`: gives the app, its model loaded; None: nothing is asked."""
        self._kind, self._identity, self._make, self._kept = kind, identity, make, kept
        self._app: ChatApp | None = None
        self.asked = 0
        """Questions that the model itself was asked; the others were known."""

    def __call__(self, question: str, generation: GenerationConfig) -> str:
        wanted = {"model": self._identity, "question": question, "generation": generation.model_dump(mode="json")}
        found = self._kept.find(wanted)
        if found is None:
            found = self._kept.keep(wanted, self._answered(question, generation))
        if found.cut:
            raise CutOff(generation)
        return found.answer

    def _answered(self, question: str, generation: GenerationConfig) -> Kept:
        if self._app is None:
            self._app = self._made()
        pieces: list[str] = []
        try:
            for piece in self._app.chat([{"role": "user", "content": question}], generation):
                pieces.append(piece)
        except CutOff:
            return Kept("".join(pieces).strip(), cut=True)
        finally:
            self.asked += 1
        return Kept("".join(pieces).strip(), cut=False)

    def _made(self) -> ChatApp:
        if self._make is None:
            raise NotAsked
        app = self._make()
        if not hasattr(app, "chat"):
            raise FurrowError(
                f"the model app {self._kind} answers rendered prompts only, and cannot be asked in words",
                where="dataset.augmentation.model_app.type",
            )
        return app  # type: ignore[return-value]


def identity_of(kind: str, config: Config, base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Which model answers, and with which settings: a file counts by what is in it, `base` is what says which the
    strategy's base model is, where that one answers. What a server does behind its name nobody can tell from here."""
    settings: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        if any(isinstance(mark, Free) for mark in field.metadata):
            continue
        value = config.model_dump(mode="json", include={name})[name]
        file = Path(value).expanduser() if isinstance(value, str) and value else None
        settings[name] = {"sha256": sha256_of(file)} if file is not None and file.is_file() else value
    return {"app": kind, "config": settings, **({"base_model": dict(base)} if base is not None else {})}
