"""The training loop's arguments: the names of transformers' TrainingArguments, typed, and a closed set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Config, Free, NoEffect
from furrow.components.fine_tuner.pytorch.early_stopping import EarlyStoppingConfig, on_or_off
from furrow.components.fine_tuner.pytorch.hardware import SAME_MATHEMATICS, no_is_text
from furrow.components.fine_tuner.pytorch.method import LEARNING_RATES
from furrow.components.fine_tuner.pytorch.nonfinite import Action, OnNonfiniteConfig, action_alone
from furrow.components.fine_tuner.pytorch.optimizer_names import (
    LION_BETA2,
    OPTIMIZER_SETTINGS,
    SCHEDULE_SETTINGS,
    STATE_SHARES,
    AnyOptimizer,
    Optimizer,
    Schedule,
    one_name,
)
from furrow.components.fine_tuner.pytorch.training_args_elsewhere import NOT_HERE

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
MicroBatchTokens = Annotated[int, Field(ge=16)]
When = Annotated[Literal["no", "steps", "epoch"], BeforeValidator(no_is_text)]
Metric = Literal[
    "eval_loss", "eval_perplexity", "eval_accuracy", "eval_f1", "eval_rewards/accuracies", "eval_rewards/margins"
]
_WithoutPrefix = Literal["loss", "perplexity", "accuracy", "f1", "rewards/accuracies", "rewards/margins"]
AnyMetric = Metric | _WithoutPrefix
GREATER_IS_BETTER = ("eval_accuracy", "eval_f1", "eval_rewards/accuracies", "eval_rewards/margins")
_END = Free("the run ends later; a curve that falls over the whole run falls more slowly from there on", growing=True)
_WHEN = Free("it changes no weight")
_ONE_PROCESS = NoEffect("training runs in one process on one device")
_NO_LOADER = NoEffect("rows are tokenised before training; no loader processes are needed")
_EVENTS = NoEffect("what is shown follows from the terminal and from --json")


def _with_prefix(metric: Any) -> Any:
    """transformers accepts `loss` for `eval_loss`."""
    return f"eval_{metric}" if metric in get_args(_WithoutPrefix) else metric


def _auto_is_none(given: Any) -> Any:
    return None if given == "auto" else given


class TrainingArgsConfig(Config):
    """How long, in what steps, and how it is measured and saved. An optimiser step sees
    per_device_train_batch_size · gradient_accumulation_steps rows."""

    not_here: ClassVar[Mapping[str, str]] = NOT_HERE

    output_dir: Annotated[Annotated[str, Field(min_length=1)] | None, Free("a run may be moved")] = None
    """Folder of the run. Default: `fine_tuned_models/<name of the strategy>`."""

    num_train_epochs: Annotated[float, Field(gt=0), _END] = 3.0
    """Times that the training rows are seen; a fraction stops within an epoch. Guide: 1-5, more for few rows."""
    max_steps: Annotated[int, Field(ge=-1), _END] = -1
    """Optimiser steps; a positive number overrules num_train_epochs, -1 and 0 leave it to them."""
    per_device_train_batch_size: Count = 8
    """With gradient_accumulation_steps, the rows of an optimiser step: their product. Guide: 1-8."""
    per_device_eval_batch_size: Annotated[
        Count | None, NoEffect("evaluation is cut by micro_batch_tokens, as training is")
    ] = None
    """Rows of one forward pass in evaluation, elsewhere."""
    gradient_accumulation_steps: Count = 1
    """Multiplies the rows of an optimiser step. In how many forward passes they are computed, micro_batch_tokens says:
    no cut changes a result. Guide: 1-16."""
    micro_batch_tokens: Annotated[
        MicroBatchTokens | None,
        BeforeValidator(_auto_is_none, json_schema_input_type=int | Literal["auto"]),
        SAME_MATHEMATICS,
    ] = None
    """Most tokens of one forward pass; a longer row goes alone. It decides on memory and speed, never on results. auto
    (the default) begins with 1,024 on a CPU and 16,384 elsewhere, or with what runs on this device found within the
    last day; where memory runs out, it is halved and the same batch is computed again."""
    packing: bool | None = None
    """Put short rows together, up to max_length, and count that as one row of the batch; none sees another. Default:
    true for pretrain, else false."""
    torch_compile: Annotated[
        bool | None, BeforeValidator(_auto_is_none, json_schema_input_type=bool | Literal["auto"]), SAME_MATHEMATICS
    ] = None
    """Compile each layer with TorchInductor. Default (auto): where the run is long enough for it to pay, judged by its
    own first steps."""

    learning_rate: Annotated[float, Field(gt=0)] = LEARNING_RATES["lora"]
    """Peak learning rate. Default: 2e-4 for lora, 5e-5 for full. Guide: 1e-5 to 5e-4."""
    lr_scheduler_type: Schedule = "linear"
    """After the warm-up: linear, cosine and polynomial fall over the whole run; cosine_with_restarts jumps back up
    num_cycles - 1 times; cosine_with_min_lr ends at min_lr; inverse_sqrt falls with 1/sqrt(step);
    warmup_stable_decay stays at the peak and falls in the end; constant stays, and knows no warm-up."""
    warmup_ratio: Share = 0.0
    """Share of all steps over which the learning rate rises from 0. Guide: 0.03-0.1."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises from 0; a positive number overrules warmup_ratio."""
    num_cycles: Annotated[float, Field(gt=0)] | None = None
    """Waves of a cosine: of cosine_with_restarts a whole number (default 1), of the other cosines and the end of
    warmup_stable_decay 0.5 for half a wave, from the peak down (default)."""
    min_lr: Annotated[float, Field(ge=0)] | None = None
    """Learning rate at the last step of cosine_with_min_lr (default: a tenth of learning_rate), polynomial and
    warmup_stable_decay (default: 0; its warm-up begins there too)."""
    power: Annotated[float, Field(gt=0)] | None = None
    """Exponent of polynomial. Default: 1, which is linear."""
    decay_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of all steps over which warmup_stable_decay falls. Default: 0.2."""
    decay_steps: Count | None = None
    """Steps over which warmup_stable_decay falls; overrules decay_ratio."""
    optim: Annotated[Optimizer, BeforeValidator(one_name, json_schema_input_type=AnyOptimizer)] = "adamw"
    """adamw (Loshchilov & Hutter 2019; fused where torch has it); adamw_8bit keeps its moments in 8 bits (2 instead of
    8 bytes a trained weight) and paged_adamw_8bit, paged_adamw_32bit lend them to the host's memory, on CUDA only: all
    three need bitsandbytes, and keep tensors of under 4096 weights in 32 bits. adafactor keeps a row and a column a
    matrix (Shazeer & Stern 2018; transformers', without learning rates of its own). lion (Chen et al. 2023) keeps one
    moment, and wants 3 to 10 times less learning_rate. sgd has momentum only. muon (Jordan et al. 2024) is for method
    full: hidden matrices by Muon, the rest by AdamW; it wants 3 to 10 times the learning_rate (docs/log.md)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of matrices (not of norms and biases), decoupled from the gradient except with sgd. Guide: 0.0-0.01."""
    adam_beta1: Share = 0.9
    """Decay of the mean of the gradients, of AdamW; of lion, its weight in the step."""
    adam_beta2: Share = 0.999
    """Decay of AdamW's mean of the squared gradients; of lion, that of its mean (default there: 0.99)."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to AdamW's denominator."""
    momentum: Share | None = None
    """Decay of the mean of the gradients, of sgd (default 0.9) and muon (default 0.95)."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    on_nonfinite: Annotated[
        OnNonfiniteConfig,
        BeforeValidator(action_alone, json_schema_input_type=OnNonfiniteConfig | Action),
        Free("it acts only where numbers go wrong"),
    ] = OnNonfiniteConfig()
    """What to do where a loss, a gradient norm or a weight becomes nan or inf: stop, skip or rollback, or these with
    their settings: `{action: rollback, learning_rate_scale: 0.5, limit: 5}`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of fresh weights, dropout and the order of the rows."""

    eval_strategy: Annotated[When, _WHEN] = "no"
    """When to evaluate: every eval_steps, after every epoch, or not at all. The older evaluation_strategy works too."""
    eval_steps: Annotated[Count, _WHEN] = 50
    """Optimiser steps between evaluations. Guide: 50-100."""
    save_strategy: Annotated[When, _WHEN] = "steps"
    """When to save a checkpoint: every save_steps, after every epoch, or not at all. With load_best_model_at_end the
    best so far is saved besides, so that save_strategy need not agree with eval_strategy."""
    save_steps: Annotated[Count, _WHEN] = 500
    """Optimiser steps between checkpoints."""
    save_total_limit: Annotated[Count | None, _WHEN] = None
    """Checkpoints to keep: the newest, and always the best. Default: all of them."""
    save_retry_seconds: Annotated[float, Field(ge=0), _WHEN] = 600.0
    """Seconds that training waits, and tries again, where the disk does not take what is saved (it is full, read-only,
    or fails), before the run ends. 0: it ends at once. Default: ten minutes, time for somebody to make room."""
    hang_timeout_seconds: Annotated[float, Field(ge=0), _WHEN] = 3600.0
    """Seconds in which nothing moves (no micro-batch, no event, no bytes read or written) before the run counts as
    hung: the stacks of all threads go to stacks.txt, the last whole step is saved, and the run ends with an error. 0:
    never. Default: an hour, longer than a micro-batch on a slow machine takes."""
    load_best_model_at_end: bool = False
    """Keep the weights of the checkpoint with the best metric instead of the last ones."""
    metric_for_best_model: Annotated[Metric, BeforeValidator(_with_prefix, json_schema_input_type=AnyMetric)] = (
        "eval_loss"
    )
    """What `best` means: eval_loss, eval_perplexity, the eval_accuracy and eval_f1 of what is judged and not written,
    or the eval_rewards/accuracies and eval_rewards/margins of preferences. The prefix eval_ may be left out."""
    greater_is_better: Annotated[bool | None, Free("it follows from the metric")] = None
    """Follows from the metric: false for eval_loss and eval_perplexity, else true. The contrary is refused."""
    early_stopping: Annotated[
        EarlyStoppingConfig | None,
        BeforeValidator(on_or_off, json_schema_input_type=EarlyStoppingConfig | bool | None),
    ] = None
    """Stop when the evaluation no longer improves: `{patience: 3, threshold: 0.01}`, or true for the defaults. Which
    weights are kept then, load_best_model_at_end says. Default: never."""

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
    disable_tqdm: Annotated[bool | None, _EVENTS] = None
    """Show no progress bar."""
    log_level: Annotated[str | None, _EVENTS] = None
    """Verbosity."""

    @model_validator(mode="before")
    @classmethod
    def _default_of_lion(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and one_name(given.get("optim")) == "lion":
            return {"adam_beta2": LION_BETA2, **given}
        return given

    @model_validator(mode="after")
    def _schedule_has_these_settings(self) -> Self:
        for name, schedules in SCHEDULE_SETTINGS.items():
            if getattr(self, name) is not None and self.lr_scheduler_type not in schedules:
                raise ValueError(
                    f"{name} is given, and lr_scheduler_type {self.lr_scheduler_type} has no such setting; "
                    f"it belongs to {', '.join(schedules)}"
                )
        whole = self.num_cycles is None or self.num_cycles == int(self.num_cycles)
        if self.lr_scheduler_type == "cosine_with_restarts" and not whole:
            raise ValueError(f"num_cycles is {self.num_cycles}, but cosine_with_restarts has a whole number of cycles")
        if self.min_lr is not None and self.min_lr >= self.learning_rate:
            raise ValueError(f"min_lr {self.min_lr} must be below learning_rate {self.learning_rate}")
        return self

    @model_validator(mode="after")
    def _best_needs_evaluations(self) -> Self:
        if self.load_best_model_at_end and self.eval_strategy == "no":
            raise ValueError("load_best_model_at_end needs evaluations: set eval_strategy to steps or epoch")
        if self.early_stopping is not None and self.eval_strategy == "no":
            raise ValueError("early_stopping needs evaluations: set eval_strategy to steps or epoch")
        return self

    @model_validator(mode="after")
    def _better_is_what_it_is(self) -> Self:
        if self.greater_is_better not in (None, self.best_is_greatest):
            which = "greater" if self.best_is_greatest else "smaller"
            said = str(self.greater_is_better).lower()
            raise ValueError(f"greater_is_better is {said}, but {self.metric_for_best_model} is better when {which}")
        return self

    @property
    def best_is_greatest(self) -> bool:
        """Whether the best of two values of metric_for_best_model is the greater one."""
        return self.metric_for_best_model in GREATER_IS_BETTER

    def checkpoint_share(self, adapter: bool) -> float:
        """Size of a checkpoint, in sizes of the weights that learn: the model, the optimiser's state, and of an adapter
        the weights once more, as they are trained."""
        return 1.0 + adapter + STATE_SHARES[self.optim]

    def without_effect(self) -> Iterator[tuple[str, str]]:
        """(setting, why) of what differs from its default and changes nothing, as the others are."""
        for name, optimisers in OPTIMIZER_SETTINGS.items():
            if getattr(self, name) != type(self).model_fields[name].default and self.optim not in optimisers:
                yield name, f"optim is {self.optim}; it belongs to {', '.join(optimisers)}"
        for name in ("warmup_ratio", "warmup_steps"):
            if getattr(self, name) and self.lr_scheduler_type == "constant":
                yield name, "lr_scheduler_type is constant; constant_with_warmup has a warm-up"
        if self.decay_ratio is not None and self.decay_steps is not None:
            yield "decay_ratio", f"decay_steps is {self.decay_steps}, and wins"
        if not self.load_best_model_at_end and self.early_stopping is None:
            for name in ("metric_for_best_model", "greater_is_better"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    yield name, "load_best_model_at_end is false and there is no early_stopping"
