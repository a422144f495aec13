"""The training loop. It reads from top to bottom: prepare, then for every step one effective batch, one update.

The optimiser sees effective batches, drawn by (seed, step). How a batch is cut into micro-batches is the machine's
business: shares of the loss and of the gradient add up, and dropout belongs to rows, so that no cut changes a result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch.optim.lr_scheduler import LRScheduler

from furrow.components.errors import FurrowError
from furrow.components.events import Emit, Evaluated, MicroBatchShrunk, StepEnded
from furrow.components.fine_tuner.pytorch.device import idle_share
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan, seed_of
from furrow.components.fine_tuner.pytorch.engine.cut import cut
from furrow.components.fine_tuner.pytorch.engine.dropout import RowSeeds
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.memory import (
    SMALLEST,
    TokenBudget,
    free_unused,
    is_out_of_memory,
    peak_bytes,
    reason_of,
)
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.fine_tuner.pytorch.objectives import Objective, Share
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.records import AnyExample, learned_tokens, total_tokens

Found = TypeVar("Found")


@dataclass(frozen=True)
class MethodHooks:
    """What some methods do besides learning: AdaLoRA punishes what is not orthogonal and gives ranks out anew."""

    penalty: Callable[[], torch.Tensor] | None = None
    """Added once to the loss of each effective batch."""
    before_zero_grad: Callable[[int], None] | None = None
    """Called with the number of the step after its update, while the gradients are still there. Not called for a step
    that fp16's scaler skipped: its gradients are inf or nan."""


@dataclass
class TrainingLoop:
    """Everything that one run needs, made ready; `run()` trains.

    `after_step(step, evaluated)` is called when a step is over (with its evaluation, if there was one) and says
    whether to go on: saving and stopping early are the caller's business, the loop knows nothing of files.
    """

    model: Any
    forward: Forward
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    accelerator: Accelerator
    arguments: TrainingArgsConfig
    plan: BatchPlan
    train: Sequence[AnyExample]
    evaluation: Sequence[AnyExample]
    budget: TokenBudget
    seeds: RowSeeds
    emit: Emit
    after_step: Callable[[int, Evaluated | None], bool]
    hooks: MethodHooks = MethodHooks()
    step: int = 0
    """Steps that are done: where a resumed run begins."""
    total_loss: float = 0.0
    total_learned: int = 0
    _trained: list[torch.nn.Parameter] = field(init=False)
    _micro: Sequence[AnyExample] = field(default=(), init=False)
    """The micro-batch that is being computed."""
    _at: int = field(default=0, init=False)
    """The step that is being computed or evaluated."""

    def __post_init__(self) -> None:
        self.budget.tell = self._say_shrunk
        self._trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # accelerate brings the device, autocast and fp16's gradient scaling; the model itself stays unwrapped.
        self._prepared = self.accelerator.prepare_optimizer(self.optimizer)

    @property
    def train_loss(self) -> float:
        """Mean loss of the training so far, over what the loss is a mean of: learned tokens, or rows."""
        return self.total_loss / max(self.total_learned, 1)

    def run(self) -> None:
        """All steps that are left, or as many as `after_step` allows."""
        self.model.train()
        for step, rows in self.plan.steps(after=self.step):
            batch = [self.train[row] for row in rows]
            ended = self._step(step, batch)
            self.step = step
            weight = ended.learned_tokens if self.objective.has_perplexity else len(batch)
            self.total_loss += ended.loss * weight
            self.total_learned += weight
            self.emit(ended)
            if not self.after_step(step, self.evaluate(step) if self._evaluation_due(step) else None):
                return

    def _step(self, step: int, batch: Sequence[AnyExample]) -> StepEnded:
        """One effective batch: its gradients are summed over the micro-batches, clipped once, applied once."""
        started, self._at = time.perf_counter(), step
        learning_rate = float(self.schedule.get_last_lr()[0])
        sequences = [sequence for row in batch for sequence in row.sequences]
        self.seeds.begin(seed_of(self.arguments.seed, step), {id(one): place for place, one in enumerate(sequences)})
        loss_tensor, sums = self._gradients(batch)
        norm_tensor = self._clip()
        loss, norm = torch.stack(
            [loss_tensor.float(), norm_tensor.float()]
        ).tolist()  # the step's one wait for the device
        if not math.isfinite(loss):
            raise _not_finite("the loss", loss, step, learning_rate, batch)
        # With fp16 the scaler skips a step whose gradient overflowed and lowers its scale: no error there.
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            raise _not_finite("the gradient norm", norm, step, learning_rate, batch)
        self._prepared.step()
        self.schedule.step()
        if self.hooks.before_zero_grad is not None and not self._prepared.step_was_skipped:
            self.hooks.before_zero_grad(step)
        self._prepared.zero_grad()
        return StepEnded(
            step=step,
            epoch=self.plan.epoch_at(step),
            loss=loss,
            learning_rate=learning_rate,
            grad_norm=norm,
            learned_tokens=learned_tokens(batch),
            total_tokens=total_tokens(batch),
            seconds=time.perf_counter() - started,
            memory_bytes=peak_bytes(self.accelerator.device),
            idle_share=idle_share(self.accelerator.device),
            metrics=self.objective.metrics(sums),
        )

    def _gradients(self, batch: Sequence[AnyExample]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Sums the gradients of the effective batch; returns its loss (a scalar) and the sums of its figures.

        Where memory runs out, the cut is halved and the same batch begins again: the result is that of a larger
        machine. Raises FurrowError when not even one row fits.
        """
        return self._until_it_fits(lambda: self._attempt(batch))

    def _until_it_fits(self, attempt: Callable[[], Found]) -> Found:
        """What the attempt returns, once memory has sufficed; before each further attempt the budget is halved."""
        while True:
            self._micro = ()
            try:
                found = attempt()
            except (RuntimeError, MemoryError) as error:
                if not self._micro or not is_out_of_memory(error):
                    raise
                reason = reason_of(error)
            else:
                self.budget.fits()
                return found
            self._make_room(reason)

    def _attempt(self, batch: Sequence[AnyExample]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(seed_of(self.arguments.seed, self._at))  # of what is drawn globally, by functions of torch
        context = self._context(batch)
        loss = torch.zeros((), device=self.accelerator.device)
        sums: dict[str, torch.Tensor] = {}
        for micro in self._cut(batch):
            with self.accelerator.autocast():
                share = self.objective.share(micro, self.forward, context)
            self.accelerator.backward(share.loss)
            loss += share.loss.detach()
            _add(sums, share)
        if self.hooks.penalty is not None:
            penalty = self.hooks.penalty()
            self.accelerator.backward(penalty)
            loss += penalty.detach()
        return loss, sums

    @torch.no_grad()
    def _context(self, batch: Sequence[AnyExample]) -> Any:
        with self.accelerator.autocast():
            return self.objective.context(batch, self.forward)

    def _cut(self, batch: Sequence[AnyExample]) -> Iterator[list[AnyExample]]:
        """The micro-batches, each of them noted as the one that is being computed."""
        for micro in cut(batch, self.budget.tokens, self.forward.tokens_of):
            self._micro = micro
            yield micro

    def _make_room(self, reason: str) -> None:
        """For another attempt with a smaller budget than the micro-batch that found no memory."""
        self._prepared.zero_grad()
        free_unused(self.accelerator.device)
        tried = self.forward.tokens_of([len(one.input_ids) for row in self._micro for one in row.sequences])
        if len(self._micro) == 1 or self.budget.tokens <= SMALLEST:
            raise FurrowError(
                f"memory ran out with one row alone ({tried} tokens) at step {self._at}: {reason}",
                where=self._micro[-1].where,
                remedy="lower data_preprocessing.max_length, or turn hardware.optimization.gradient_checkpointing on, "
                "or choose method.type qlora, or a smaller base_model",
            )
        self.budget.halve(tried, reason)

    def _say_shrunk(self, tokens: int, tried: int, reason: str) -> None:
        self.emit(MicroBatchShrunk(step=self._at, tokens=tokens, was=tried, reason=reason))

    def _clip(self) -> torch.Tensor:
        """Scales the gradient down to max_grad_norm (0: leaves it); returns its norm before."""
        return self.accelerator.clip_grad_norm_(self._trained, self.arguments.max_grad_norm or math.inf)

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
    def evaluate(self, step: int) -> Evaluated:
        """The objective over all evaluation rows as one batch, however they are cut."""
        started, self._at = time.perf_counter(), step
        with evaluating(self.model):
            loss, sums = self._until_it_fits(self._measured)
        evaluated = Evaluated(
            step=step,
            eval_loss=loss,
            eval_perplexity=math.exp(min(loss, 700.0))
            if self.objective.has_perplexity
            else None,  # exp overflows at 709
            seconds=time.perf_counter() - started,
            metrics={f"eval_{name}": value for name, value in self.objective.metrics(sums).items()},
            tables={name: value.tolist() for name, value in sums.items() if value.ndim == 2},
        )
        self.emit(evaluated)
        return evaluated

    def _measured(self) -> tuple[float, dict[str, torch.Tensor]]:
        context = self._context(self.evaluation)
        sums: dict[str, torch.Tensor] = {}
        losses: list[torch.Tensor] = []
        for micro in self._cut(self.evaluation):
            with self.accelerator.autocast():
                share = self.objective.share(micro, self.forward, context)
            losses.append(share.loss)
            _add(sums, share)
        return sum(torch.stack(losses).tolist()), sums  # MPS has no float64


def _add(sums: dict[str, torch.Tensor], share: Share) -> None:
    for name, value in share.sums.items():
        sums[name] = sums[name] + value if name in sums else value


def _not_finite(what: str, value: float, step: int, learning_rate: float, batch: Sequence[AnyExample]) -> FurrowError:
    shown = ", ".join(example.where for example in batch[:8]) + (", …" if len(batch) > 8 else "")
    return FurrowError(
        f"{what} is {value} at step {step} (learning rate {learning_rate:.3g}); rows of this step: {shown}",
        remedy="lower training_args.learning_rate, set max_grad_norm (0.3), prefer bf16 to fp16, look at those rows",
    )
