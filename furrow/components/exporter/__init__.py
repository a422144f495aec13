"""Slot `exporter`: a trained model becomes a file that something else serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from furrow.components.events import Emit
from furrow.components.generation import GenerationConfig
from furrow.components.models.folder import ModelFolder
from furrow.components.prompt_template import PromptTemplate


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export, where to, and what the served model must share with the trained one."""

    source: ModelFolder
    """An adapter with its base, or whole weights."""
    destination: Path
    """File or folder to publish; the exporter refuses one that exists unless `overwrite`."""
    template: PromptTemplate
    generation: GenerationConfig
    model_name: str
    """What the server or the metadata calls it."""
    probe_prompts: tuple[str, ...]
    """Rendered prompts on which the export is compared with the model."""
    overwrite: bool = False


class Exporter(Protocol):
    """The factory takes the config."""

    def export(self, request: ExportRequest, emit: Emit) -> Path:
        """Writes, verifies and publishes; returns what was published. Raises FurrowError when the export disagrees
        with the model, and publishes nothing then. Emits `ExportVerified` and `Exported`."""
        ...
