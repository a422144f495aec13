"""What is kept of a run: which checkpoints are saved, which step is the best, when to stop, where to go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.disk.checkpoint_folder import damage
from furrow.components.disk.patience import Saved, patiently
from furrow.components.events import CheckpointSaved, Evaluated, Resumed, RolledBack, StoppedEarly, Warned
from furrow.components.fine_tuner.pytorch.early_stopping import EarlyStopping
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.engine.nonfinite import Diverged, nonfinite_weight
from furrow.components.fine_tuner.pytorch.keeping.changed_settings import changed_settings
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Checkpoints
from furrow.components.fine_tuner.pytorch.keeping.training_state import capture, load_weights, restore
from furrow.components.fine_tuner.pytorch.optimizing.schedules import set_schedule
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig


@dataclass
class Best:
    """The best evaluation so far."""

    value: float | None = None
    step: int | None = None

    def improves(self, value: float, step: int, *, greatest: bool = False) -> bool:
        """Takes in an evaluation; True when it is better than all before. `greatest`: better is greater."""
        if not math.isfinite(value):
            return False
        if self.value is not None and (value <= self.value if greatest else value >= self.value):
            return False
        self.value, self.step = value, step
        return True


class Keeper:
    """Looks after the checkpoints of one loop; `after_step` is what the loop calls."""

    def __init__(
        self, arguments: TrainingArgsConfig, loop: TrainingLoop, checkpoints: Checkpoints, tokenizer: Any
    ) -> None:
        self._arguments, self._loop, self._checkpoints, self._tokenizer = arguments, loop, checkpoints, tokenizer
        self._greatest = arguments.best_is_greatest
        asked = arguments.early_stopping
        self._stopping = None if asked is None else EarlyStopping(asked, greater_is_better=self._greatest)
        self.best = Best()
        self._missed = False
        self._waits = True

    def after_step(self, step: int, evaluated: Evaluated | None) -> bool:
        """Saves where it is due; says whether to go on."""
        self._loop.owes = False  # the evaluation counts from here on
        value = None if evaluated is None else self._metric(evaluated)
        improved = value is not None and self.best.improves(value, step, greatest=self._greatest)
        stops = value is not None and self._stopping is not None and self._stopping.stops(value)
        if improved and self._arguments.load_best_model_at_end:
            self._checkpoints.best_step = step
            self._save(step)
        elif self._loop.save_due(step) and self._saved_alike() is None:
            self._save(step)
        if stops and self._stopping is not None:
            self._loop.emit(
                StoppedEarly(
                    step=step,
                    metric=self._arguments.metric_for_best_model,
                    best=self._stopping.best,
                    evaluations=self._stopping.without_gain,
                )
            )
        return not stops

    def _metric(self, evaluated: Evaluated) -> float | None:
        """The figure that decides; None, once with a warning, where the evaluation does not have it."""
        name = self._arguments.metric_for_best_model
        value = evaluated.metrics.get(name, getattr(evaluated, name, None))
        if value is None and not self._missed:
            self._missed = True
            message = f"the evaluation has no {name}, which metric_for_best_model asks for: no step counts as the best"
            remedy = "set it to eval_loss, or evaluate on answers of both kinds, desirable and not"
            self._loop.emit(Warned(message=message, remedy=remedy))
        return None if value is None else float(value)

    def run(self) -> None:
        """Trains to the end; where numbers go wrong and the strategy says so, from the newest checkpoint once more."""
        if self._rolls_back and self._loop.step == 0:
            self._save(0)
        while True:
            try:
                self._loop.run()
                self._loop.numbers.check_weights(self._loop.step)
                return
            except Diverged as diverged:
                if not self._rolls_back:
                    raise
                self._roll_back(diverged)

    @property
    def _rolls_back(self) -> bool:
        return self._arguments.on_nonfinite.action == "rollback"

    def _saved_alike(self) -> Path | None:
        """Under rollback, the checkpoint that holds the weights of now already: no step after it changed them. One more
        of them would only push out those that can be gone back to."""
        step = self._loop.step
        updated = self._loop.numbers.setbacks.last_update_before(step + 1)
        alike = [saved for saved in self._checkpoints.saved if updated <= saved < step]
        return self._checkpoints.path(alike[-1]) if self._rolls_back and alike else None

    def _roll_back(self, diverged: Diverged) -> None:
        loop, setbacks, scale = (
            self._loop,
            self._loop.numbers.setbacks,
            self._arguments.on_nonfinite.learning_rate_scale,
        )
        if setbacks.rollbacks >= self._arguments.on_nonfinite.limit:
            raise diverged.because(f"the run was rolled back {setbacks.rollbacks} times before") from diverged
        updated = setbacks.last_update_before(diverged.to_blame)
        if updated < diverged.to_blame - 1:  # the steps between failed from the same weights: it is not their batches
            self._checkpoints.leave(updated, loop.emit)
        checkpoint = self._checkpoints.newest(loop.emit)
        if checkpoint is None:
            raise diverged.because("no checkpoint to roll back to is whole") from diverged
        setbacks.roll_back(diverged.to_blame, scale)
        self._go_back_to(checkpoint)
        if nonfinite_weight(loop.model.named_parameters()) is not None:
            raise diverged.because("a checkpoint does not hold it, and cannot mend it") from diverged
        loop.numbers.setbacks = setbacks  # those of the checkpoint are older
        set_schedule(loop.schedule, loop.step, setbacks.learning_rate_scale)
        loop.emit(
            RolledBack(
                step=loop.step,
                path=str(checkpoint),
                skipped=diverged.to_blame,
                learning_rate_scale=setbacks.learning_rate_scale,
            )
        )

    def _save(self, step: int) -> None:
        self._loop.numbers.check_weights(step)
        if self._rolls_back:
            self._checkpoints.proven_before = self._loop.numbers.setbacks.last_update_before(step + 1)
        state, tensors = capture(self._loop)
        state["best"] = vars(self.best)
        if self._stopping is not None:
            state["early_stopping"] = {"best": self._stopping.best, "without_gain": self._stopping.without_gain}
        if self._loop.accelerator.is_main_process:
            path = self.patiently(
                lambda: self._checkpoints.save(step, self._loop.model, self._tokenizer, state, tensors)
            )
            self._loop.emit(CheckpointSaved(step=step, path=str(path)))
        self._loop.accelerator.wait_for_everyone()

    def patiently(self, save: Callable[[], Saved]) -> Saved:
        """What `save` returns, also where the disk does not take it at first; see save_retry_seconds."""
        loop, seconds = self._loop, self._arguments.save_retry_seconds if self._waits else 0
        return patiently(save, seconds=seconds, step=loop.step, stop=loop.stop, emit=loop.emit)

    def keep_last(self) -> Path:
        """Saves what is there after the loop's last step, if it is not saved yet; returns where it lies."""
        path = self._saved_alike() or self._checkpoints.path(self._loop.step)
        if not path.is_dir():
            self._save(self._loop.step)
        return path

    def rescue(self) -> Path | None:
        """The last whole step, saved without waiting for the disk. None where there is none, or where other processes
        would have to take part, which may be elsewhere."""
        if not (self._loop.whole and self._loop.step) or self._loop.accelerator.num_processes > 1:
            return None
        self._waits = False
        return self.keep_last()

    def resume(self, checkpoint: Path) -> None:
        """Puts the loop, the best and the counter of early stopping where they were when it was saved."""
        for note in changed_settings(self._loop, self._go_back_to(checkpoint)):
            self._loop.emit(note)
        scale = self._loop.numbers.setbacks.learning_rate_scale
        self._loop.emit(Resumed(step=self._loop.step, path=str(checkpoint), learning_rate_scale=scale))

    def _go_back_to(self, checkpoint: Path) -> dict[str, Any]:
        self._loop.whole = False
        state = restore(self._loop, checkpoint)
        self._loop.whole = True
        metric = self._arguments.metric_for_best_model
        same = state.get("metric", metric) == metric  # figures of two metrics are not to be compared
        self.best = Best(**state["best"]) if same else Best()
        kept = self.best.step if self._arguments.load_best_model_at_end else None
        if kept is not None and damage(self._checkpoints.path(kept)) is not None:
            message = f"the best step so far was {kept}, and its checkpoint is not there or damaged"
            self._loop.emit(Warned(message=message, remedy="the best of the steps to come is kept"))
            self.best, kept = Best(), None
        self._checkpoints.take_over(kept)
        if self._stopping is not None and "early_stopping" in state and same:
            self._stopping.best = state["early_stopping"]["best"]
            self._stopping.without_gain = state["early_stopping"]["without_gain"]
        return state

    @property
    def over(self) -> bool:
        """Whether the run that is gone on with had stopped early already."""
        return self._stopping is not None and self._stopping.over

    def load_best(self, last_step: int) -> int:
        """Puts the best weights back where they are wanted; returns the step that the weights come from."""
        best = self.best.step if self._arguments.load_best_model_at_end else None
        if best is None or best == last_step:
            return last_step
        wrong = damage(self._checkpoints.path(best))
        if wrong is not None:
            message = f"the checkpoint of the best step, {best}, is damaged: {wrong}"
            self._loop.emit(Warned(message=message, remedy="the weights of the last step are kept instead"))
            return last_step
        self._loop.whole = False  # the weights are of another step than the rest
        load_weights(self._loop.model, self._checkpoints.path(best))
        return best
