"""The training loop's arguments: the names of transformers' TrainingArguments, typed, and a closed set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Config, NoEffect
from furrow.components.fine_tuner.pytorch.hardware import no_is_text
from furrow.components.fine_tuner.pytorch.method import LEARNING_RATES
from furrow.components.fine_tuner.pytorch.training_args_elsewhere import NOT_HERE

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
When = Annotated[Literal["no", "steps", "epoch"], BeforeValidator(no_is_text)]
Metric = Literal["eval_loss", "eval_perplexity"]
AnyMetric = Literal["eval_loss", "eval_perplexity", "loss", "perplexity"]
Adamw = Literal["adamw_torch", "adamw", "adamw_torch_fused"]

_ONE_PROCESS = NoEffect("training runs in one process on one device")
_NO_LOADER = NoEffect("rows are tokenised before training; no loader processes are needed")
_EVENTS = NoEffect("what is shown follows from the terminal and from --json")


def _with_prefix(metric: Any) -> Any:
    """transformers accepts `loss` for `eval_loss`."""
    return f"eval_{metric}" if metric in ("loss", "perplexity") else metric


def _any_adamw(optimiser: Any) -> Any:
    """One AdamW has several names in transformers; which kernel runs it follows from the device."""
    return "adamw_torch" if optimiser in ("adamw", "adamw_torch_fused") else optimiser


class TrainingArgsConfig(Config):
    """How long, in what steps, and how it is measured and saved. An optimiser step sees
    per_device_train_batch_size · gradient_accumulation_steps rows."""

    not_here: ClassVar[Mapping[str, str]] = NOT_HERE

    output_dir: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the run. Default: `fine_tuned_models/<name of the strategy>`."""

    num_train_epochs: Annotated[float, Field(gt=0)] = 3.0
    """Times that the training rows are seen; a fraction stops within an epoch. Guide: 1-5, more for few rows."""
    max_steps: Annotated[int, Field(ge=-1)] = -1
    """Optimiser steps; a positive number overrules num_train_epochs, -1 and 0 leave it to them."""
    per_device_train_batch_size: Count = 8
    """Rows of one forward pass. Guide: 1-8, as memory allows."""
    per_device_eval_batch_size: Count = 8
    """Rows of one forward pass in evaluation."""
    gradient_accumulation_steps: Count = 1
    """Forward passes of one optimiser step. Guide: 1-16, to have large batches in little memory."""

    learning_rate: Annotated[float, Field(gt=0)] = LEARNING_RATES["lora"]
    """Peak learning rate. Default: 2e-4 for lora, 5e-5 for full. Guide: 1e-5 to 5e-4."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """After the warm-up: linear and cosine fall to 0 at the last step; constant knows no warm-up."""
    warmup_ratio: Share = 0.0
    """Share of all steps over which the learning rate rises from 0. Guide: 0.03-0.1."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises from 0; a positive number overrules warmup_ratio."""
    optim: Annotated[Literal["adamw_torch"], BeforeValidator(_any_adamw, json_schema_input_type=Adamw)] = "adamw_torch"
    """AdamW (Loshchilov & Hutter 2019); `adamw` and `adamw_torch_fused` mean the same."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled decay of matrices (not of norms and biases). Guide: 0.0-0.01."""
    adam_beta1: Share = 0.9
    """Decay of AdamW's mean of the gradients."""
    adam_beta2: Share = 0.999
    """Decay of AdamW's mean of the squared gradients."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to AdamW's denominator."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of fresh weights, dropout and the order of the rows."""

    eval_strategy: When = "no"
    """When to evaluate: every eval_steps, after every epoch, or not at all. The older evaluation_strategy works too."""
    eval_steps: Count = 50
    """Optimiser steps between evaluations. Guide: 50-100."""
    save_strategy: When = "steps"
    """When to save a checkpoint: every save_steps, after every epoch, or not at all. With load_best_model_at_end the
    best so far is saved besides, so that save_strategy need not agree with eval_strategy."""
    save_steps: Count = 500
    """Optimiser steps between checkpoints."""
    save_total_limit: Count | None = None
    """Checkpoints to keep: the newest, and always the best. Default: all of them."""
    load_best_model_at_end: bool = False
    """Keep the weights of the checkpoint with the best metric instead of the last ones."""
    metric_for_best_model: Annotated[Metric, BeforeValidator(_with_prefix, json_schema_input_type=AnyMetric)] = (
        "eval_loss"
    )
    """What `best` means; the prefix eval_ may be left out."""
    greater_is_better: bool = False
    """Both metrics are better when smaller."""

    fp16_backend: Annotated[str | None, NoEffect("PyTorch has one way to compute in float16")] = None
    """Backend of mixed precision, in old versions of transformers."""
    half_precision_backend: Annotated[str | None, NoEffect("PyTorch has one way to compute in float16")] = None
    """The same by another name."""
    dataloader_num_workers: Annotated[int | None, _NO_LOADER] = None
    """Processes that load rows."""
    dataloader_pin_memory: Annotated[bool | None, _NO_LOADER] = None
    """Page-locked memory for the loader."""
    dataloader_persistent_workers: Annotated[bool | None, _NO_LOADER] = None
    """Keep the loader's processes between epochs."""
    dataloader_prefetch_factor: Annotated[int | None, _NO_LOADER] = None
    """Batches that each process of the loader holds ready."""
    ddp_find_unused_parameters: Annotated[bool | None, _ONE_PROCESS] = None
    """Setting of multi-GPU training."""
    ddp_bucket_cap_mb: Annotated[int | None, _ONE_PROCESS] = None
    """Setting of multi-GPU training."""
    ddp_broadcast_buffers: Annotated[bool | None, _ONE_PROCESS] = None
    """Setting of multi-GPU training."""
    ddp_timeout: Annotated[int | None, _ONE_PROCESS] = None
    """Setting of multi-GPU training."""
    local_rank: Annotated[int | None, _ONE_PROCESS] = None
    """Setting of multi-GPU training."""
    eval_accumulation_steps: Annotated[
        int | None, NoEffect("evaluation keeps sums of losses, not predictions, so that nothing piles up")
    ] = None
    """Steps after which predictions leave the device."""
    prediction_loss_only: Annotated[bool | None, NoEffect("evaluation only computes the loss")] = None
    """Keep no predictions."""
    group_by_length: Annotated[
        bool | None, NoEffect("rows of an effective batch are put in order of length anyway")
    ] = None
    """Put rows of like length together."""
    remove_unused_columns: Annotated[bool | None, NoEffect("the prompt template takes the columns it names")] = None
    """Drop columns that the model does not take."""
    save_safetensors: Annotated[bool | None, NoEffect("weights are always saved as safetensors")] = None
    """File type of the weights."""
    overwrite_output_dir: Annotated[bool | None, NoEffect("say --overwrite on the command line")] = None
    """Write over an earlier run."""
    logging_dir: Annotated[str | None, NoEffect("logs are written into the run folder")] = None
    """Folder of the logs."""
    logging_strategy: Annotated[str | None, NoEffect("every step is noted")] = None
    """When to note metrics."""
    logging_steps: Annotated[float | None, NoEffect("every step is noted")] = None
    """Steps between two lines of metrics."""
    logging_first_step: Annotated[bool | None, NoEffect("every step is noted")] = None
    """Note the first step."""
    run_name: Annotated[str | None, NoEffect("a run is known by its folder")] = None
    """Name of the run in a tracker."""
    disable_tqdm: Annotated[bool | None, _EVENTS] = None
    """Show no progress bar."""
    log_level: Annotated[str | None, _EVENTS] = None
    """Verbosity."""

    @model_validator(mode="after")
    def _best_needs_evaluations(self) -> Self:
        if self.load_best_model_at_end and self.eval_strategy == "no":
            raise ValueError("load_best_model_at_end needs evaluations: set eval_strategy to steps or epoch")
        return self

    @model_validator(mode="after")
    def _smaller_is_better(self) -> Self:
        if self.greater_is_better:
            raise ValueError(f"greater_is_better is true, but {self.metric_for_best_model} is better when smaller")
        return self
