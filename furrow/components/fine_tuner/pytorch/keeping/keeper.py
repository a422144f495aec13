"""What is kept of a run: which checkpoints are saved, which step is the best, when to stop, where to go on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.checkpoint_folder import damage
from furrow.components.events import CheckpointSaved, Evaluated, Resumed, StoppedEarly, Warned
from furrow.components.fine_tuner.pytorch.early_stopping import EarlyStopping
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Checkpoints
from furrow.components.fine_tuner.pytorch.keeping.training_state import capture, load_weights, restore
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig


@dataclass
class Best:
    """The best evaluation so far."""

    value: float | None = None
    step: int | None = None

    def improves(self, value: float, step: int, *, greatest: bool = False) -> bool:
        """Takes in an evaluation; True when it is better than all before. `greatest`: better is greater."""
        if math.isnan(value) or (self.value is not None and (value <= self.value if greatest else value >= self.value)):
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

    def after_step(self, step: int, evaluated: Evaluated | None) -> bool:
        """Saves where it is due; says whether to go on."""
        value = None if evaluated is None else self._metric(evaluated)
        improved = value is not None and self.best.improves(value, step, greatest=self._greatest)
        stops = value is not None and self._stopping is not None and self._stopping.stops(value)
        if improved and self._arguments.load_best_model_at_end:
            self._checkpoints.best_step = step
            self._save(step)
        elif self._loop.save_due(step):
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

    def _save(self, step: int) -> None:
        state, tensors = capture(self._loop)
        state["best"] = vars(self.best)
        if self._stopping is not None:
            state["early_stopping"] = {"best": self._stopping.best, "without_gain": self._stopping.without_gain}
        path = self._checkpoints.save(step, self._loop.model, self._tokenizer, state, tensors)
        self._loop.emit(CheckpointSaved(step=step, path=str(path)))

    def resume(self, checkpoint: Path) -> None:
        """Puts the loop, the best and the counter of early stopping where they were when it was saved."""
        state = restore(self._loop, checkpoint)
        self.best = Best(**state["best"])
        kept = self.best.step if self._arguments.load_best_model_at_end else None
        if kept is not None and damage(self._checkpoints.path(kept)) is not None:
            message = f"the best step so far was {kept}, and its checkpoint is not there or damaged"
            self._loop.emit(Warned(message=message, remedy="the best of the steps to come is kept"))
            self.best, kept = Best(), None
        self._checkpoints.take_over(kept)
        if self._stopping is not None and "early_stopping" in state:
            self._stopping.best = state["early_stopping"]["best"]
            self._stopping.without_gain = state["early_stopping"]["without_gain"]
        self._loop.emit(Resumed(step=self._loop.step, path=str(checkpoint)))

    @property
    def over(self) -> bool:
        """Whether the run that is gone on with had stopped early already."""
        return self._stopping is not None and self._stopping.over

    def load_best(self, last_step: int) -> int:
        """Puts the best weights back where they are wanted; returns the step that the weights come from."""
        best = self.best.step if self._arguments.load_best_model_at_end else None
        if best is None or best == last_step:
            return last_step
        load_weights(self._loop.model, self._checkpoints.path(best))
        return best
