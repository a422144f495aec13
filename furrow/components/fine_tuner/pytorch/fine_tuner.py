"""The fine-tuner `pytorch`: puts base, method, loop and checkpoints together and publishes the model that is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from furrow.components.disk.publish import publishing
from furrow.components.events import Emit, Evaluated, Noted, StageStarted, TrainingEnded, TrainingStarted
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.assembly import assemble
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import Placement, choose
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.engine.memory import free_unused, is_out_of_memory, reason_of
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Checkpoints, save_model
from furrow.components.fine_tuner.pytorch.keeping.keeper import Keeper
from furrow.components.fine_tuner.pytorch.keeping.rescue import rescuing
from furrow.components.fine_tuner.pytorch.keeping.room import measured_space, model_bytes
from furrow.components.fine_tuner.pytorch.keeping.training_state import begin_alike
from furrow.components.fine_tuner.pytorch.model.load import count_parameters, load_tokenizer
from furrow.components.fine_tuner.pytorch.model.trainable import Loading, trainable_model
from furrow.components.fine_tuner.pytorch.optimizing.optimizers import check_optimizer, optimizer_notes
from furrow.components.fine_tuner.pytorch.samples import sample
from furrow.components.interruption import Interrupted, StopRequest
from furrow.components.stored.views import Chained


@dataclass
class PyTorchFineTuner:
    """Implements `FineTuner`."""

    config: PyTorchConfig
    _loading: Loading | None = field(default=None, init=False)

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.config.base_model)

    def verify(self) -> None:
        check_optimizer(self.config.training_args, choose(self.config.hardware).device)

    def start(self) -> None:
        """Begins to load the model in a thread of its own, while the caller prepares data. Errors wait for `train`.

        The head of a classifier has as many rows as the data has classes: it waits for them.
        """
        if self.config.objective.type != "classification":
            self._load(("reward",) if self.config.objective.type == "reward" else None)

    def train(self, request: TrainingRequest, emit: Emit) -> None:
        placement = choose(self.config.hardware)
        emit(StageStarted(stage=f"loading {self.config.base_model.label}"))
        self.start()
        model = self._load(request.labels).result()
        loop = assemble(self.config, model, placement, self._pad_id(), request, emit)
        kept = Keeper(self.config.training_args, loop, Checkpoints(request.checkpoints, self._limit), self.tokenizer)
        loop.after_step = lambda step, evaluated: self._after_step(kept, loop, request, step, evaluated)
        if request.resume is not None:
            begin_alike(loop, request.resume)
        with torch.no_grad(), loop.accelerator.autocast(), evaluating(model):
            loop.objective.prepare(Chained(request.train, request.evaluation), loop.forward, emit)
        if request.resume is not None:  # after prepare, which may want to see the model as it was at first
            kept.resume(request.resume)
        for note in optimizer_notes(self.config.training_args, placement.device):
            emit(note)
        if loop.accelerator.is_main_process:
            measured_space(loop, request).require(request.checkpoints, emit)
        emit(self._started(loop, placement))
        if request.resume is None:
            self._sample(loop, request, 0)
        started = time.perf_counter()
        with request.stop.heeding(), rescuing(kept, loop):
            if not kept.over:
                kept.run()
            if request.stop:
                raise _interrupted(request.stop, kept, loop)
            best = kept.load_best(loop.step)
            if loop.accelerator.is_main_process:
                kept.patiently(lambda: self._publish(model, request))
        emit(
            TrainingEnded(
                step=loop.step,
                best_step=best,
                train_loss=loop.train_loss,
                best_metric=kept.best.value,
                seconds=time.perf_counter() - started,
            )
        )

    def _publish(self, model: Any, request: TrainingRequest) -> None:
        with publishing(request.final_model, overwrite=True, needed=model_bytes(model)) as staging:
            save_model(model, self.tokenizer, staging)
            for name, text in request.beside.items():
                (staging / name).write_text(text, encoding="utf-8")

    def _after_step(
        self, kept: Keeper, loop: TrainingLoop, request: TrainingRequest, step: int, evaluated: Evaluated | None
    ) -> bool:
        """Shows what the model answers by now, saves what is to be kept; says whether to go on."""
        if evaluated is not None or step == loop.plan.total_steps:
            self._sample(loop, request, step)
        return kept.after_step(step, evaluated)

    def _sample(self, loop: TrainingLoop, request: TrainingRequest, step: int) -> None:
        if not request.samples:
            return
        try:
            with loop.accelerator.autocast():
                sample(loop.model, self.tokenizer, request.samples, step, loop.emit, request.stop)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = reason_of(error)
        free_unused(loop.accelerator.device)  # out of the except block, which holds what the failed attempt made
        message = f"memory ran out over a sample prompt: it and those after it are left out at step {step} ({reason})"
        loop.emit(Noted(message=message))

    def _load(self, labels: tuple[str, ...] | None) -> Loading:
        if self._loading is None:
            placement = choose(self.config.hardware)
            self._loading = Loading(lambda: trainable_model(self.config, placement, labels, lambda: self.tokenizer))
        return self._loading

    @property
    def _limit(self) -> int | None:
        return self.config.training_args.save_total_limit

    def _started(self, loop: TrainingLoop, placement: Placement) -> TrainingStarted:
        trained, total = count_parameters(loop.model)
        return TrainingStarted(
            total_steps=loop.plan.total_steps,
            effective_batch_rows=loop.plan.effective_rows,
            trainable_parameters=trained,
            total_parameters=total,
            device=str(placement.device),
            dtype=str(placement.compute).removeprefix("torch."),
            micro_batch_tokens=loop.budget.tokens,
        )

    def _pad_id(self) -> int:
        """Padding is masked and never learned; any token serves where the tokenizer names none."""
        return next(i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0) if i is not None)


def _interrupted(stop: StopRequest, kept: Keeper, loop: TrainingLoop) -> Interrupted:
    """Saves the last step. What is raised then says where it lies."""
    assert stop.signal is not None
    if loop.step == 0:
        return Interrupted(stop.signal, "before the first step; nothing was learned yet", says_kept=False)
    return Interrupted(stop.signal, f"after step {loop.step}, saved as {kept.keep_last()}", resumable=True)
