"""The fine-tuner of this house, a readable loop over torch, transformers and PEFT. Here, only its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from furrow.components.base_models import BaseModelConfig
from furrow.components.config import Config
from furrow.components.fine_tuner.pytorch.hardware import HardwareConfig
from furrow.components.fine_tuner.pytorch.hardware_checks import check_hardware
from furrow.components.fine_tuner.pytorch.method import LEARNING_RATES, LoraMethod, MethodConfig
from furrow.components.fine_tuner.pytorch.objective import ObjectiveConfig
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.registry import Component


class PyTorchConfig(Config):
    """What is tuned (`base_model`), how (`method`, `objective`, `training_args`) and on what (`hardware`)."""

    base_model: BaseModelConfig = Field(default_factory=lambda: BaseModelConfig(builtin="seedling"))
    """The model to tune: `builtin`, `path` or `huggingface_id`; a bare text is a hub id, a folder where it begins with
    `.`, `/` or `~`, a built-in model where it begins with `builtin:`. Default: the built-in seedling."""
    hardware: HardwareConfig = HardwareConfig()
    """Device, memory and precision."""
    method: MethodConfig = LoraMethod()
    """Which weights learn: `lora` or `full`."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """Which tokens are learned: `sft` or `pretrain`."""
    training_args: TrainingArgsConfig = TrainingArgsConfig()
    """Length, batches, optimiser, evaluation and checkpoints, by the names of transformers' TrainingArguments."""

    @model_validator(mode="before")
    @classmethod
    def _learning_rate_by_method(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        method, arguments = given.get("method", "lora"), given.get("training_args", {})
        kind = method.get("type", "lora") if isinstance(method, Mapping) else method
        rate = LEARNING_RATES.get(kind) if isinstance(kind, str) else None
        if rate is None or not isinstance(arguments, Mapping):
            return given
        return {**given, "training_args": {"learning_rate": rate, **arguments}}

    @field_validator("base_model", mode="before", json_schema_input_type=BaseModelConfig | str)
    @classmethod
    def _base_model_from_text(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given.startswith("builtin:"):
            return {"builtin": given.removeprefix("builtin:").strip()}
        return {"path": given} if given.startswith((".", "/", "~")) else {"huggingface_id": given}

    @field_validator("objective", mode="before", json_schema_input_type=ObjectiveConfig | Literal["sft", "pretrain"])
    @classmethod
    def _objective_from_text(cls, given: Any) -> Any:
        return {"type": given} if isinstance(given, str) else given


COMPONENT = Component(
    summary="fine-tunes with PyTorch on CUDA, ROCm, MPS or a CPU: LoRA or all weights",
    config=PyTorchConfig,
    factory="furrow.components.fine_tuner.pytorch.fine_tuner:PyTorchFineTuner",
    requires=("torch", "transformers", "peft", "accelerate"),
    checks=check_hardware,
)
