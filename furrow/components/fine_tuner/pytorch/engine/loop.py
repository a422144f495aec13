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

from furrow.components.events import Emit, Evaluated, MicroBatchShrunk, StepEnded, Warned, listed
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
from furrow.components.fine_tuner.pytorch.engine.nonfinite import Numbers, Step, guilty_rows, what_is_not_finite
from furrow.components.fine_tuner.pytorch.objectives import Objective, Share
from furrow.components.fine_tuner.pytorch.optimizing.schedules import set_schedule
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.interruption import GivenUp, StopRequest
from furrow.components.records import AnyExample, learned_tokens, learned_weight, total_tokens

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
    stop: StopRequest = field(default_factory=StopRequest)
    """True once the run is to end: the step is finished, and the evaluation after it is given up."""
    step: int = 0
    """Steps that are done: where a resumed run begins."""
    owes: bool = False
    """Whether what is due after that step was not done: it is what `run` begins with."""
    whole: bool = True
    """Whether weights, optimiser and figures are those after that step: not while an update is made."""
    total_loss: float = 0.0
    total_learned: float = 0
    first_budget: int = field(init=False)
    """Tokens of a micro-batch when the run began, before any memory ran out."""
    numbers: Numbers = field(init=False)
    """Which steps change nothing, because their numbers went wrong."""
    _trained: list[torch.nn.Parameter] = field(init=False)
    _micro: Sequence[AnyExample] = field(default=(), init=False)
    """The micro-batch that is being computed."""
    _at: int = field(default=0, init=False)
    """The step that is being computed or evaluated."""
    _unmeasured: bool = field(default=False, init=False)
    """Whether it was said that an evaluation was not finite."""

    def __post_init__(self) -> None:
        self.budget.tell, self.first_budget = self._say_shrunk, self.budget.tokens
        self.numbers = Numbers(
            self.model,
            self.arguments.on_nonfinite,
            self.emit,
            max_grad_norm=self.arguments.max_grad_norm,
            fp16=self.accelerator.mixed_precision == "fp16",
        )
        self._trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # accelerate brings the device, autocast and fp16's gradient scaling; the model itself stays unwrapped.
        self._prepared = self.accelerator.prepare_optimizer(self.optimizer)

    @property
    def train_loss(self) -> float:
        """Mean loss of the training so far, over what the loss is a mean of: learned tokens by weight, or rows."""
        return self.total_loss / (self.total_learned or 1)

    def run(self) -> None:
        """All steps that are left, or as many as `after_step` and `stop` allow."""
        self.model.train()
        if self.owes and not self._goes_on():
            return
        for step, rows in self.plan.steps(after=self.step):
            batch = [self.train[row] for row in rows]
            ended = self._step(step, batch)
            self.step = step
            self.owes = True
            if ended is not None:
                weight = learned_weight(batch) if self.objective.has_perplexity else len(batch)
                self.total_loss += ended.loss * weight
                self.total_learned += weight
            self.whole = True
            if ended is not None:
                self.emit(ended)
            if not self._goes_on():
                return

    def _goes_on(self) -> bool:
        """Does what is due after the last step; says whether there is to be another one."""
        try:
            evaluated = self.evaluate(self.step) if self._evaluation_due(self.step) else None
            goes_on = self.after_step(self.step, evaluated)
        except GivenUp:
            return False
        self.owes = False
        return goes_on and not self.stop

    def _step(self, step: int, batch: Sequence[AnyExample]) -> StepEnded | None:
        """One effective batch: its gradients are summed over the micro-batches, clipped once, applied once. None where
        it is left out, and counts for nothing."""
        started, self._at = time.perf_counter(), step
        if step in self.numbers.setbacks.skipped:
            self._pass_by(step)
            return None
        this = Step(step, float(self.schedule.get_last_lr()[0]), batch)
        sequences = [sequence for row in batch for sequence in row.sequences]
        self.seeds.begin(seed_of(self.arguments.seed, step), {id(one): place for place, one in enumerate(sequences)})
        loss_tensor, sums = self._gradients(batch)
        norm_tensor = self._clip()
        loss, norm = torch.stack(
            [loss_tensor.float(), norm_tensor.float()]
        ).tolist()  # the step's one wait for the device
        wrong = what_is_not_finite(loss, norm, self.accelerator.scaler)
        if wrong is not None:
            self._forget_gradients()
            self.numbers.leave_out(this, *wrong, lambda: self._guilty(batch, wrong[0]))
            self._pass_by(step)
            return None
        self.whole = False
        self._update()
        self.schedule.step()
        if math.isfinite(norm) and not self._prepared.step_was_skipped:  # accelerate sees no skip of a fused optimiser
            if self.hooks.before_zero_grad is not None:
                self.hooks.before_zero_grad(step)
            self.numbers.last_update = this
        self._prepared.zero_grad()
        return StepEnded(
            step=step,
            epoch=self.plan.epoch_at(step),
            loss=loss,
            learning_rate=this.learning_rate,
            grad_norm=norm,
            learned_tokens=learned_tokens(batch),
            total_tokens=total_tokens(batch),
            seconds=time.perf_counter() - started,
            memory_bytes=peak_bytes(self.accelerator.device),
            idle_share=idle_share(self.accelerator.device),
            metrics=self.objective.metrics(sums),
        )

    def _update(self) -> None:
        """The first one makes what the optimiser gathers: nothing can be halved there."""
        try:
            self._prepared.step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise self.budget.too_much(None, 0, f"at step {self._at}", reason_of(error)) from error

    def _forget_gradients(self) -> None:
        self._prepared.zero_grad()
        scaler = self.accelerator.scaler
        if scaler is not None:
            scaler.update(scaler.get_scale())  # it was told of them

    def _pass_by(self, step: int) -> None:
        """The step is over, for the learning rate alone."""
        set_schedule(self.schedule, step, self.numbers.setbacks.learning_rate_scale)

    def _guilty(self, batch: Sequence[AnyExample], what: str) -> list[str]:
        """Where the rows stand that give it alone: what is not finite is computed again, in pieces and row by row. None
        where it is the sum of many, or where memory has no room to find out."""
        context = self._context(batch)

        def finite(rows: Sequence[AnyExample]) -> bool:
            with torch.set_grad_enabled(what == "grad_norm"):
                with self.accelerator.autocast():
                    share = self.objective.share(rows, self.forward, context)
                if what == "loss":
                    return bool(torch.isfinite(share.loss))
                share.loss.backward()
                gradients = [weight.grad for weight in self._trained if weight.grad is not None]
                norm = torch.nn.utils.get_total_norm(gradients)
                self._prepared.zero_grad()
                return bool(torch.isfinite(norm))

        try:
            return guilty_rows(self._cut(batch), finite)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return []

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
            self.stop.moved()

    def _make_room(self, reason: str) -> None:
        """For another attempt with a smaller budget than the micro-batch that found no memory."""
        self._prepared.zero_grad()
        free_unused(self.accelerator.device)
        tried = self.forward.tokens_of([len(one.input_ids) for row in self._micro for one in row.sequences])
        if len(self._micro) == 1 or self.budget.tokens <= SMALLEST:
            raise self.budget.too_much(self._micro[-1], tried, f"at step {self._at}", reason)
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
        return self.plan.ends_epoch(step) or step == self.plan.total_steps

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
            if not math.isfinite(loss):
                self.numbers.check_weights(step)
                self._say_unmeasured(loss)
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

    def _say_unmeasured(self, loss: float) -> None:
        """Once: which rows are to blame will be the same ones each time."""
        if self._unmeasured:
            return
        self._unmeasured = True
        rows = listed(self._guilty(self.evaluation, "loss")) or "no row alone"
        self.emit(
            Warned(
                message=f"the evaluation loss is {loss} at step {self._at}, from {rows}: it counts neither as the best "
                "nor as a gain",
                remedy="look at those rows, or leave them out of the evaluation",
            )
        )

    def _measured(self) -> tuple[float, dict[str, torch.Tensor]]:
        context = self._context(self.evaluation)
        sums: dict[str, torch.Tensor] = {}
        losses: list[torch.Tensor] = []
        for micro in self._cut(self.evaluation):
            if self.stop:
                raise GivenUp
            with self.accelerator.autocast():
                share = self.objective.share(micro, self.forward, context)
            losses.append(share.loss)
            _add(sums, share)
        return sum(torch.stack(losses).tolist()), sums  # MPS has no float64


def _add(sums: dict[str, torch.Tensor], share: Share) -> None:
    for name, value in share.sums.items():
        sums[name] = sums[name] + value if name in sums else value
