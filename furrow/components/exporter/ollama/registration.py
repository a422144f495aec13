"""Gives a model to an Ollama server: uploads the GGUF unless the server has it, then creates the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Emit, Noted, Progressed, StageStarted
from furrow.components.ollama_api import OllamaApi


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What Ollama must know besides the weights.

    The template and the stops are always given: what is left out, Ollama guesses from the GGUF's chat template, and a
    guess wins over it.
    """

    name: str
    template: str
    """A Go template."""
    system: str | None
    parameters: Mapping[str, Any]
    """In Ollama's words, `stop` a list."""

    def refuse_known(self, api: OllamaApi, overwrite: bool) -> None:
        """Raise RequestError if the server has a model of that name that may not be replaced."""
        if not overwrite and api.has_model(self.name):
            raise RequestError(
                f"Ollama at {api.url} has a model {self.name!r} already",
                where="model_name",
                remedy="take another --model-name, or say --overwrite",
            )


def register(api: OllamaApi, settings: ModelSettings, gguf: Path, emit: Emit) -> None:
    """Raises OllamaUnreachable or OllamaRefusal, with a remedy that says where the files are."""
    try:
        digest = _upload(api, gguf, emit)
        body = {
            "model": settings.name,
            "files": {gguf.name: digest},
            "template": settings.template,
            "parameters": dict(settings.parameters),
            "stream": True,
        }
        if settings.system:
            body["system"] = settings.system
        for status in api.create(body):
            emit(StageStarted(stage=f"Ollama: {status}"))
    except FurrowError as error:
        error.remedy = f"the files are whole in {gguf.parent}" + (f"; {error.remedy}" if error.remedy else "")
        raise
    emit(Noted(message=f"Ollama at {api.url} knows the model: ollama run {settings.name}"))


def _upload(api: OllamaApi, gguf: Path, emit: Emit) -> str:
    digest = f"sha256:{sha256_of(gguf)}"
    if api.has_blob(digest):
        return digest
    stage = f"uploading to Ollama at {api.url}"
    emit(StageStarted(stage=stage))
    api.push_blob(digest, gguf, lambda done, total: emit(Progressed(stage=stage, done=done, total=total)))
    return digest
