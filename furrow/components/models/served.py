"""What a model app is asked to answer with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from furrow.components.models.folder import ModelFolder

WRITERS = ("llama_cpp", "ollama", "openai_compatible")
"""Apps that serve models which write text, and no others."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """One model in the forms in which it may be served; each app takes the form that it can run."""

    model: ModelFolder
    """The trained model, or a plain base (kind `weights`)."""
    exports: Path
    """The run's folder of exports, where a GGUF may lie; it need not exist."""
    model_name: str
    """What a server calls the model."""
    device: str = "auto"
    """`hardware.device` of the strategy: auto, cuda, mps or cpu."""
