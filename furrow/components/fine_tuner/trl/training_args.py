"""The run of a policy optimisation: those of transformers' TrainingArguments that mean something here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Config
from furrow.components.fine_tuner.pytorch.hardware import Device, Precision, no_is_text
from furrow.components.fine_tuner.pytorch.training_args import Count, Share, When


class PolicyOptimization(Config):
    """What is traded for memory."""

    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: 30-50 % less memory, 20 % slower."""
    mixed_precision: Annotated[Precision, BeforeValidator(no_is_text)] = "auto"
    """no computes in float32; fp16, bf16 in that type; auto takes bf16 where the hardware has it, else fp16 on CUDA and
    float32 elsewhere."""


class PolicyHardware(Config):
    """The device, and the precision on it."""

    device: Device = "auto"
    """cuda (ROCm too), mps, cpu; auto takes the first of these that is there. One that is not there is an error."""
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory in GiB that the strategy was made for: `setup` warns when the device has less. Default: not checked."""
    optimization: PolicyOptimization = PolicyOptimization()
    """Memory for time."""

    def mixed_precision_on(self, device: Literal["cuda", "mps", "cpu"]) -> Precision:
        """What the strategy asks for, on any device."""
        return self.optimization.mixed_precision


class PolicyTrainingArgs(Config):
    """How long, in what steps, and when it is measured and saved. An optimiser step sees
    per_device_train_batch_size · gradient_accumulation_steps answers, to num_generations times fewer prompts."""

    not_here: ClassVar[Mapping[str, str]] = {
        "num_generations": "belongs to algorithm.num_generations",
        "beta": "belongs to algorithm.beta",
        "max_completion_length": "belongs to algorithm.max_completion_length",
        "load_best_model_at_end": "the last weights are kept; checkpoints keep the earlier ones",
        "on_nonfinite": "only the fine-tuner pytorch can skip a batch or roll back; here a step that is not finite "
        "ends the run, and nothing of it is kept",
        "resume_from_checkpoint": "a run begins at its beginning; method.init_from goes on from its adapter",
    }

    output_dir: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the run. Default: `fine_tuned_models/<name of the strategy>`."""
    num_train_epochs: Annotated[float, Field(gt=0)] = 1.0
    """Times that the prompts are seen."""
    max_steps: Annotated[int, Field(ge=-1)] = -1
    """Optimiser steps; a positive number overrules num_train_epochs, -1 and 0 leave it to them."""
    per_device_train_batch_size: Count = 8
    """Answers of one forward pass."""
    per_device_eval_batch_size: Count = 8
    """Answers of one forward pass in evaluation; a multiple of num_generations."""
    gradient_accumulation_steps: Count = 1
    """Forward passes of one optimiser step. Times per_device_train_batch_size it must be a multiple of
    num_generations, so that the answers to a prompt are compared in one step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """Peak learning rate. Default: ten times what TRL takes for all weights, since an adapter wants more. Guide: 1e-6
    to 1e-4."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """After the warm-up: linear and cosine fall to 0 at the last step; constant knows no warm-up."""
    warmup_ratio: Share = 0.0
    """Share of all steps over which the learning rate rises from 0."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises from 0; a positive number overrules warmup_ratio."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled decay of matrices (AdamW)."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of the adapter's beginning, the sampling and the order of the prompts."""
    eval_strategy: When = "no"
    """When to sample answers to the evaluation prompts and reward them: every eval_steps, after every epoch, or not."""
    eval_steps: Count = 50
    """Optimiser steps between evaluations."""
    save_strategy: When = "steps"
    """When to save a checkpoint: every save_steps, after every epoch, or not at all."""
    save_steps: Count = 500
    """Optimiser steps between checkpoints."""
    save_total_limit: Count | None = None
    """Checkpoints to keep, the newest. Default: all of them."""
    save_retry_seconds: Annotated[float, Field(ge=0)] = 600.0
    """Seconds that training waits, and tries again, where the disk does not take what is saved, before the run ends."""
    hang_timeout_seconds: Annotated[float, Field(ge=0)] = 3600.0
    """Seconds in which nothing moves (no step, no event, no bytes read or written) before the run counts as hung: the
    stacks of all threads go to stacks.txt, and the run ends with an error. 0: never. Default: an hour."""

    @property
    def answers_per_step(self) -> int:
        """What an optimiser step sees."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @model_validator(mode="after")
    def _constant_has_no_warmup(self) -> Self:
        if self.lr_scheduler_type == "constant" and (self.warmup_ratio or self.warmup_steps):
            raise ValueError("constant knows no warm-up; use constant_with_warmup")
        return self
