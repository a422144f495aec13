"""Which settings a checkpoint was made under, and what it means for the next step that they are others now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from furrow.components.events import Event, Noted, Warned
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop


def settings_of(loop: TrainingLoop) -> dict[str, Any]:
    """For a checkpoint's state; what of it follows from the strategy is there to be compared."""
    return {
        "plan": loop.plan.numbers(),
        "next_learning_rate": float(loop.schedule.get_last_lr()[0]),
        "optim": loop.arguments.optim,
        "metric": loop.arguments.metric_for_best_model,
        "computes_on": _computes_on(loop),
    }


def changed_settings(loop: TrainingLoop, state: Mapping[str, Any]) -> Iterator[Event]:
    """What there is to say once the loop stands where the checkpoint's `state` says."""
    if "plan" not in state:  # of an older Furrow
        return
    plan, now, step = state["plan"], loop.plan, loop.step
    if plan["effective_rows"] != now.effective_rows or plan["rows"] != now.rows:
        at = now.position(step)
        where = f"goes on after row {at.row} of its order" if at.row else "begins"
        yield Noted(
            message=f"from step {step + 1} on a step has {now.effective_rows} of {now.rows} rows "
            f"(before: {plan['effective_rows']} of {plan['rows']}); epoch {at.epoch + 1} {where}"
        )
    longer = plan["total_steps"] != now.total_steps
    if longer:
        yield Noted(message=f"the run ends after step {now.total_steps} (before: {plan['total_steps']})")
    rate, was = float(loop.schedule.get_last_lr()[0]), state["next_learning_rate"]
    if rate != was:
        curve = loop.arguments.lr_scheduler_type
        said = f"the learning rate of step {step + 1} is {rate:.3g} (before the change: {was:.3g}), by {curve}"
        remedy = f"{curve} depends on the number of all steps, which has changed; constant does not"
        yield Warned(message=said, remedy=remedy) if longer else Noted(message=said)
    if state["optim"] != loop.arguments.optim:
        yield Warned(
            message=f"optim was {state['optim']} and is {loop.arguments.optim}, which begins with nothing gathered",
            remedy="its first steps know no mean of the gradients: lower the learning rate if the loss jumps",
        )
    if state["metric"] != loop.arguments.metric_for_best_model:
        name = loop.arguments.metric_for_best_model
        yield Noted(message=f"the best step is looked for anew, by {name} (before: {state['metric']})")
    if state["computes_on"] != _computes_on(loop):
        yield Warned(
            message=f"the run was computed on {state['computes_on']}, and is on {_computes_on(loop)} from here on",
            remedy="the mathematics is the same; figures differ by rounding",
        )


def _computes_on(loop: TrainingLoop) -> str:
    """Kind of device, and how mixed precision is computed there."""
    precision = loop.accelerator.mixed_precision
    return f"{loop.accelerator.device.type}, {'float32' if precision == 'no' else precision}"
