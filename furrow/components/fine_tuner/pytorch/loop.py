"""The training loop. It reads from top to bottom: prepare, then for every step one effective batch, one update."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from transformers import get_scheduler

from furrow.components.errors import FurrowError
from furrow.components.events import Emit, Evaluated, StepEnded
from furrow.components.fine_tuner.pytorch.batches import BatchPlan, collate, learned_tokens, micro_batches, seed_of
from furrow.components.fine_tuner.pytorch.loss import loss_sum
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.records import Example


@dataclass
class TrainingLoop:
    """Everything that one run needs, made ready; `run()` trains.

    `after_step(step, evaluated)` is called when a step is over (with its evaluation, if there was one): saving is the
    caller's business, the loop knows nothing of files.
    """

    model: Any
    accelerator: Accelerator
    arguments: TrainingArgsConfig
    train: Sequence[Example]
    evaluation: Sequence[Example]
    order_seed: int | None
    pad_id: int
    emit: Emit
    after_step: Callable[[int, Evaluated | None], None]
    plan: BatchPlan = field(init=False)

    def __post_init__(self) -> None:
        arguments = self.arguments
        self.plan = BatchPlan(
            rows=len(self.train),
            effective_rows=arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps,
            epochs=arguments.num_train_epochs,
            max_steps=arguments.max_steps,
            seed=self.order_seed,
        )
        self._optimizer = torch.optim.AdamW(
            _decayed_and_not(self.model, arguments.weight_decay),
            lr=arguments.learning_rate,
            betas=(arguments.adam_beta1, arguments.adam_beta2),
            eps=arguments.adam_epsilon,
        )
        self._schedule = get_scheduler(
            arguments.lr_scheduler_type,
            self._optimizer,
            num_warmup_steps=warmup_steps(arguments, self.plan.total_steps),
            num_training_steps=self.plan.total_steps,
        )
        # accelerate brings the device, autocast and fp16's gradient scaling; the model itself stays unwrapped.
        self._prepared = self.accelerator.prepare_optimizer(self._optimizer)

    def run(self) -> float:
        """All steps; returns the mean loss of the training, in nats a learned token."""
        self.model.train()
        total_loss = total_learned = 0.0
        for step, rows in enumerate(self.plan.steps(), 1):
            batch = [self.train[row] for row in rows]
            ended = self._step(step, batch)
            total_loss += ended.loss * ended.learned_tokens
            total_learned += ended.learned_tokens
            self.emit(ended)
            self.after_step(step, self._evaluate(step) if self._evaluation_due(step) else None)
        return total_loss / total_learned

    def _step(self, step: int, batch: Sequence[Example]) -> StepEnded:
        """One effective batch: gradients of all its micro-batches are summed, normalised once, clipped, applied."""
        started = time.perf_counter()
        learning_rate = self._schedule.get_last_lr()[0]
        torch.manual_seed(seed_of(self.arguments.seed, step))  # dropout is a function of (seed, step)
        learned = learned_tokens(batch)
        loss = 0.0
        for rows in micro_batches(batch, self.arguments.per_device_train_batch_size):
            with self.accelerator.autocast():
                piece = loss_sum(self.model, collate(rows, self.pad_id, self.accelerator.device)) / learned
            self.accelerator.backward(piece)
            loss += piece.item()
        if not math.isfinite(loss):
            raise _not_finite("the loss", loss, step, learning_rate, batch)
        norm = self._clip()
        # With fp16 the scaler skips a step whose gradient overflowed and lowers its scale: no error there.
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            raise _not_finite("the gradient norm", norm, step, learning_rate, batch)
        self._prepared.step()
        self._schedule.step()
        self._prepared.zero_grad()
        return StepEnded(
            step=step,
            epoch=self.plan.epoch_at(step),
            loss=loss,
            learning_rate=learning_rate,
            grad_norm=norm,
            learned_tokens=learned,
            total_tokens=sum(len(example.input_ids) for example in batch),
            seconds=time.perf_counter() - started,
        )

    def _clip(self) -> float:
        """Scales the gradient down to max_grad_norm (0: leaves it); returns its norm before."""
        limit = self.arguments.max_grad_norm or math.inf
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return float(self.accelerator.clip_grad_norm_(trained, limit))

    def _evaluation_due(self, step: int) -> bool:
        if not self.evaluation:
            return False
        if self.arguments.eval_strategy == "steps":
            return step % self.arguments.eval_steps == 0 or step == self.plan.total_steps
        return self.arguments.eval_strategy == "epoch" and self._ends_epoch(step)

    def _ends_epoch(self, step: int) -> bool:
        return step % self.plan.steps_per_epoch == 0 or step == self.plan.total_steps

    def save_due(self, step: int) -> bool:
        """Whether `save_strategy` wants a checkpoint after this step."""
        if self.arguments.save_strategy == "steps":
            return step % self.arguments.save_steps == 0
        return self.arguments.save_strategy == "epoch" and self._ends_epoch(step)

    @torch.no_grad()
    def _evaluate(self, step: int) -> Evaluated:
        """Mean loss over all learned tokens of the evaluation rows, however they are cut into batches."""
        started = time.perf_counter()
        self.model.eval()
        total = 0.0
        for rows in micro_batches(self.evaluation, self.arguments.per_device_eval_batch_size):
            with self.accelerator.autocast():
                total += loss_sum(self.model, collate(rows, self.pad_id, self.accelerator.device)).item()
        self.model.train()
        loss = total / learned_tokens(self.evaluation)
        evaluated = Evaluated(
            step=step,
            eval_loss=loss,
            eval_perplexity=math.exp(min(loss, 700.0)),  # exp overflows a float at 709
            seconds=time.perf_counter() - started,
        )
        self.emit(evaluated)
        return evaluated


def warmup_steps(arguments: TrainingArgsConfig, total: int) -> int:
    """warmup_steps where it is positive, else warmup_ratio of all steps, rounded up (as transformers does)."""
    return arguments.warmup_steps or math.ceil(arguments.warmup_ratio * total)


def _decayed_and_not(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; vectors (norms, biases) do not, as in transformers."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]


def _not_finite(what: str, value: float, step: int, learning_rate: float, batch: Sequence[Example]) -> FurrowError:
    shown = ", ".join(example.where for example in batch[:8]) + (", …" if len(batch) > 8 else "")
    return FurrowError(
        f"{what} is {value} at step {step} (learning rate {learning_rate:.3g}); rows of this step: {shown}",
        remedy="lower training_args.learning_rate, set max_grad_norm (0.3), prefer bf16 to fp16, look at those rows",
    )
