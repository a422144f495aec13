"""Where a run is: all that the next step depends on and that neither the strategy nor the number of the step tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import MODEL, Tensors, read_state
from furrow.components.fine_tuner.pytorch.model.weights import load_trained_state, trained_state
from furrow.components.fine_tuner.pytorch.optimizing.optimizer_state import restore_state, state_of

OPTIMIZER, TRAINED = "optimizer", "trained"


def capture(loop: TrainingLoop) -> tuple[dict[str, Any], dict[str, Tensors]]:
    """(numbers, tensors by kind) after the loop's last step.

    Whole weights are in the saved model as they are. An adapter is there as other programs want it, which for some
    methods is not how it is trained: its weights are among the tensors once more.
    """
    tensors, numbers = state_of(loop.model, loop.optimizer)
    scaler = loop.accelerator.scaler
    state = {
        "step": loop.step,
        "total_loss": loop.total_loss,
        "total_learned": loop.total_learned,
        "micro_batch_tokens": loop.budget.tokens,
        "scaler": None if scaler is None else scaler.state_dict(),
        "optimizer": numbers,
    }
    adapter = {TRAINED: trained_state(loop.model)} if isinstance(loop.model, PeftModel) else {}
    return state, {OPTIMIZER: tensors, **adapter}


def restore(loop: TrainingLoop, checkpoint: Path) -> dict[str, Any]:
    """Puts the loop and its model where they were; returns all the numbers that were saved."""
    state, tensors = read_state(checkpoint)
    load_weights(loop.model, checkpoint)
    restore_state(loop.model, loop.optimizer, tensors[OPTIMIZER], state["optimizer"])
    loop.step, loop.total_loss, loop.total_learned = state["step"], state["total_loss"], state["total_learned"]
    if loop.arguments.micro_batch_tokens is None:  # else the strategy's number, changed since or not
        loop.budget.tokens = min(loop.budget.tokens, state["micro_batch_tokens"])
    if loop.accelerator.scaler is not None and state["scaler"] is not None:
        loop.accelerator.scaler.load_state_dict(state["scaler"])
    _set_schedule(loop.schedule, loop.step)
    return state


def _set_schedule(schedule: LRScheduler, step: int) -> None:
    """As after `step` steps. The curve is the strategy's: a learning rate that was changed since is not overruled."""
    assert isinstance(schedule, LambdaLR)  # all of transformers' curves are
    rates = [peak * factor(step) for peak, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
    for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    schedule.last_epoch, schedule._last_lr = step, rates


def load_weights(model: Any, checkpoint: Path) -> None:
    """Puts the weights of a checkpoint back into the model that wrote them."""
    adapter = checkpoint / f"{TRAINED}.safetensors"
    if adapter.is_file():
        load_trained_state(model, load_file(adapter))
        return
    # transformers names and cuts weights on disk as the hub has them: a mixture's experts lie there one by one, and are
    # one tensor in the model. Only its own loader knows the way back.
    saved, found = type(model).from_pretrained(
        checkpoint / MODEL, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    theirs, own = _shapes(saved), _shapes(model)
    if differing := {name for name, _ in theirs.items() ^ own.items()} | set(found["missing_keys"]):
        shown = ", ".join(sorted(differing)[:3])
        raise FurrowError(
            f"{checkpoint} does not hold the weights of this model: {len(differing)} differ ({shown}, …)",
            remedy="resume with the strategy that made it",
        )
    model.load_state_dict(saved.state_dict())


def _shapes(model: Any) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}
