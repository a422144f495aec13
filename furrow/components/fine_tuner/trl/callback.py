"""What TRL logs, as the house's events. What it does not measure is not said."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback

from furrow.components.errors import FurrowError
from furrow.components.events import Emit, Evaluated, Sampled, StepEnded, TrainingStarted, Warned
from furrow.components.fine_tuner.pytorch.device import Placement
from furrow.components.fine_tuner.pytorch.engine.memory import peak_bytes
from furrow.components.fine_tuner.pytorch.engine.nonfinite import nonfinite_weight
from furrow.components.fine_tuner.trl.scoring import Rollouts
from furrow.components.interruption import GivenUp, StopRequest

METRICS = {
    "reward": "reward",
    "reward_std": "reward_std",
    "frac_reward_zero_std": "undecided_share",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "completion_tokens",
    "completions/clipped_ratio": "unfinished_share",
    "clip_ratio/region_mean": "clipped_share",
}
"""TRL's word -> the event's: mean reward; its deviation; share of prompts whose answers were all worth the same; …"""
UNDECIDED_STEPS = 5
"""So many steps in a row without one difference in reward are no chance."""


@dataclass
class EventsCallback(TrainerCallback):  # type: ignore[misc]
    """Emits what happens from the first step to the last; `losses` are those of the steps."""

    emit: Emit
    rollouts: Rollouts
    placement: Placement
    parameters: tuple[int, int]
    """(trainable, all)."""
    losses: list[float] = field(default_factory=list)
    _tokens: int = 0
    _undecided: int = 0
    _began: float = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.emit(
            TrainingStarted(
                total_steps=state.max_steps,
                effective_batch_rows=args.per_device_train_batch_size * args.gradient_accumulation_steps,
                trainable_parameters=self.parameters[0],
                total_parameters=self.parameters[1],
                device=str(self.placement.device),
                dtype=str(self.placement.compute).removeprefix("torch."),
            )
        )

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], model: Any, **_: Any) -> None:
        if "eval_reward" in logs:
            self._evaluated(state.global_step, logs)
        elif "reward" in logs and "loss" in logs:
            self._refuse_nonfinite(state.global_step, logs, model)
            self._step_ended(state.global_step, logs)

    def _refuse_nonfinite(self, step: int, logs: dict[str, Any], model: Any) -> None:
        """Ends the run after a step that went wrong. Its update was made; nothing is saved after this."""
        loss, norm, rate = (float(logs[name]) for name in ("loss", "grad_norm", "learning_rate"))
        weight = nonfinite_weight((name, one) for name, one in model.named_parameters() if one.requires_grad)
        if math.isfinite(loss) and math.isfinite(norm) and weight is None:
            return
        of_it = "" if weight is None else f"; after it the weight {weight[0]} is {weight[1]}"
        raise FurrowError(
            f"the loss is {loss} and the gradient norm {norm} at step {step} (learning rate {rate:.3g}){of_it}; "
            "nothing of that step is kept",
            remedy="lower training_args.learning_rate, prefer bf16 to fp16; method.init_from goes on from a checkpoint",
        )

    def _step_ended(self, step: int, logs: dict[str, Any]) -> None:
        loss, norm = float(logs["loss"]), float(logs["grad_norm"])
        self.losses.append(loss)
        before, self._tokens = self._tokens, int(logs["num_tokens"])
        self.emit(
            StepEnded(
                step=step,
                epoch=float(logs["epoch"]),
                loss=loss,
                learning_rate=float(logs["learning_rate"]),
                grad_norm=norm,
                learned_tokens=self.rollouts.tokens,
                total_tokens=self._tokens - before,
                seconds=time.perf_counter() - self._began,
                memory_bytes=peak_bytes(self.placement.device),
                metrics=_metrics(logs, ""),
            )
        )
        self._undecided = self._undecided + 1 if logs["frac_reward_zero_std"] == 1 else 0
        if self._undecided == UNDECIDED_STEPS:
            self.emit(
                Warned(
                    message=f"{UNDECIDED_STEPS} steps in a row every answer was worth as much as the others to its "
                    "prompt: the reward gives no gradient",
                    remedy="raise algorithm.temperature or num_generations, take prompts that the model answers "
                    "rightly now and then, or a reward that has degrees",
                )
            )

    def _evaluated(self, step: int, logs: dict[str, Any]) -> None:
        self.emit(
            Evaluated(
                step=step,
                eval_loss=float(logs["eval_loss"]),
                eval_perplexity=None,
                seconds=float(logs["eval_runtime"]),
                metrics=_metrics(logs, "eval_"),
            )
        )
        if self.rollouts.shown is not None:
            prompt, completion = self.rollouts.shown
            self.emit(Sampled(step=step, prompt=prompt.text, completion=completion, reference=prompt.asked.answer))


@dataclass
class StopCallback(TrainerCallback):  # type: ignore[misc]
    """Ends the training after the step in which it was asked to end; an evaluation is given up at once."""

    stop: StopRequest

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.stop:
            control.should_training_stop, control.should_evaluate = True, False

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.stop.moved()

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.stop.moved()
        if self.stop:
            raise GivenUp


def _metrics(logs: dict[str, Any], prefix: str) -> dict[str, float]:
    """What is known under our words; where several rewards are added, the mean of each as `reward_<name>`."""
    found = {f"{prefix}{ours}": logs.get(f"{prefix}{theirs}") for theirs, ours in METRICS.items()}
    each = {
        name.split("/")[1]: value
        for name, value in logs.items()
        if name.startswith(f"{prefix}rewards/") and name.endswith("/mean")
    }
    if len(each) > 1:
        found |= {f"{prefix}reward_{name}": value for name, value in each.items()}
    return {name: float(value) for name, value in found.items() if value is not None}
