"""How what a run has learned is taken along into another one, where it cannot be gone on with."""

from __future__ import annotations

from pathlib import Path

from furrow.components.disk.checkpoint_folder import MODEL, QUARANTINE, checkpoints_in


def learned_in(checkpoints: Path, final_model: Path) -> Path:
    """The newest weights: of the last checkpoint, else the model that was trained."""
    newest = list(checkpoints_in(checkpoints).values())[-1:]
    return newest[0] / MODEL if newest else final_model


def set_aside_in(checkpoints: Path) -> Path | None:
    """The newest weights of those that were set aside; None where there are none."""
    newest = list(checkpoints_in(checkpoints / QUARANTINE).values())[-1:]
    return newest[0] / MODEL if newest else None


def begun_from(model: Path) -> str:
    """The key of a new run that begins from this model, or from this adapter."""
    whole = (model / "config.json").is_file()
    return f"{'base_model.path' if whole else 'method.init_from'}: {model}"
