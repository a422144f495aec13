"""The fine-tuner of this house, a readable loop over torch, transformers and PEFT. Here, only its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from furrow.components.base_models import BaseModel, BaseModelConfig
from furrow.components.config import Config, Fixed, problem_at
from furrow.components.fine_tuner.pytorch.hardware import HardwareConfig
from furrow.components.fine_tuner.pytorch.method import (
    ALSO_CALLED,
    METHODS,
    LoraMethod,
    MethodConfig,
    default_learning_rate,
)
from furrow.components.fine_tuner.pytorch.method_checks import checks, conflicts
from furrow.components.fine_tuner.pytorch.objective import (
    MEASURED,
    PREFERENCES,
    ObjectiveConfig,
    SftObjective,
    preference_rate,
)
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.registry import Component

_ROWS = ("per_device_train_batch_size", "gradient_accumulation_steps")
"""Their product is what counts."""
_DECIDE_STEPS = ("num_train_epochs", "max_steps", *_ROWS)


class PyTorchConfig(Config):
    """What is tuned (`base_model`), how (`method`, `objective`, `training_args`) and on what (`hardware`)."""

    base_model: BaseModel = Field(default_factory=lambda: BaseModelConfig(builtin="seedling"))
    """The model to tune: `builtin`, `path` or `huggingface_id`; a bare text is a hub id, a folder where it begins with
    `.`, `/` or `~`, a built-in model where it begins with `builtin:`. Default: the built-in seedling."""
    hardware: HardwareConfig = HardwareConfig()
    """Device, memory and precision."""
    method: Annotated[MethodConfig, Fixed("other weights would learn, or the same ones would mean something else")] = (
        LoraMethod()
    )
    """Which weights learn: all of them (`full`), or something small beside them (`lora` and the others)."""
    objective: Annotated[ObjectiveConfig, Fixed("the rows teach something else")] = SftObjective()
    """What the rows teach: `sft`, `pretrain`, `classification`, `reward`, or one of the preferences `dpo`, `orpo`,
    `simpo` and `kto`."""
    training_args: TrainingArgsConfig = TrainingArgsConfig()
    """Length, batches, optimiser, evaluation and checkpoints, by the names of transformers' TrainingArguments."""

    def fixed_in_a_run(self) -> Mapping[str, str]:
        """Keys that cannot change within a run for what stands in others -> why."""
        found: dict[str, str] = {}
        if self.method.type == "adalora":
            why = "AdaLoRA cuts ranks by a schedule over all steps"
            found |= dict.fromkeys((f"training_args.{name}" for name in _DECIDE_STEPS), why)
        if self.base_model.init == "random" and self.method.type != "full":
            found["training_args.seed"] = "the frozen weights were drawn by it"
        return found

    def same_in_effect(self, before: Mapping[str, Any]) -> Mapping[str, str]:
        """Keys whose values mean the same as those of `before`, another config written out -> why."""
        old, new = before.get("training_args", {}), self.training_args
        if math.prod(old.get(name, 1) for name in _ROWS) != math.prod(getattr(new, name) for name in _ROWS):
            return {}
        return {f"training_args.{name}": "an optimiser step has as many rows as before" for name in _ROWS}

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        """What method and objective decide where the strategy is silent: the learning rate, and whether rows drop out.

        A preference compares the model with what it was at the start, and two answers with each other; dropout would
        be noise in both differences, so there is none unless it is asked for.
        """
        if not isinstance(given, Mapping):
            return given
        method, arguments = given.get("method", "lora"), given.get("training_args", {})
        rate = default_learning_rate(method)
        if rate is None or not isinstance(arguments, Mapping):
            return given
        if _type(given.get("objective", "sft")) in PREFERENCES:
            settings = method if isinstance(method, Mapping) else {"type": method}
            kind = settings.get("type", "lora").lower()
            rate = preference_rate(kind, rate)
            if "dropout" in METHODS[ALSO_CALLED.get(kind, kind)].model_fields:
                given = {**given, "method": {"dropout": 0.0, **settings}}
        return {**given, "training_args": {"learning_rate": rate, **arguments}}

    @model_validator(mode="after")
    def _what_the_objective_has(self) -> Self:
        objective, metric = self.objective.type, self.training_args.metric_for_best_model
        if metric not in ("eval_loss", *MEASURED.get(objective, ("eval_perplexity",))):
            of = ", ".join(kind for kind, names in MEASURED.items() if metric in names) or "sft, pretrain"
            message = f"metric_for_best_model is {metric}, which belongs to {of}; objective is {objective}"
            raise problem_at(("training_args", "metric_for_best_model"), message, metric)
        if self.training_args.packing and objective in MEASURED:
            message = f"packing puts texts together, and {objective} compares or judges each by itself; leave it out"
            raise problem_at(("training_args", "packing"), message, True)
        return self

    @model_validator(mode="after")
    def _what_goes_together(self) -> Self:
        for path, why in conflicts(self):
            raise problem_at(path, why, None)
        return self


def _type(given: Any) -> str:
    """What a mapping or a bare text names; '' where it is neither, which is refused in its own place."""
    name = given.get("type") if isinstance(given, Mapping) else given
    return name if isinstance(name, str) else ""


COMPONENT = Component(
    summary="fine-tunes with PyTorch on CUDA, ROCm, MPS or a CPU: all weights, LoRA and its kin, virtual tokens",
    config=PyTorchConfig,
    factory="furrow.components.fine_tuner.pytorch.fine_tuner:PyTorchFineTuner",
    requires=("torch", "transformers", "peft", "accelerate"),
    checks=checks,
)
