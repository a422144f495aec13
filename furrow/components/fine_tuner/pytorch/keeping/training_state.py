"""Where a run is: all that the next step depends on and that neither the strategy nor the number of the step tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file

from furrow.components.disk.checkpoint_folder import MODEL
from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.engine.nonfinite import Setbacks
from furrow.components.fine_tuner.pytorch.keeping.changed_settings import settings_of
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Tensors, read_numbers, read_state
from furrow.components.fine_tuner.pytorch.keeping.saved_state import require_kinds
from furrow.components.fine_tuner.pytorch.model.weights import load_trained_state, trained_state
from furrow.components.fine_tuner.pytorch.optimizing.optimizer_state import restore_state, state_of
from furrow.components.fine_tuner.pytorch.optimizing.schedules import set_schedule
from furrow.components.models.inspection import inspect_model

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
        "evaluated": not loop.owes,
        "total_loss": loop.total_loss,
        "total_learned": loop.total_learned,
        "setbacks": loop.numbers.setbacks.numbers(),
        **settings_of(loop),
        "micro_batch_tokens": loop.budget.tokens,
        "micro_batch_tokens_asked": loop.arguments.micro_batch_tokens,
        "micro_batch_tokens_at_first": loop.first_budget,
        "scaler": None if scaler is None else scaler.state_dict(),
        "optimizer": numbers,
    }
    adapter = {TRAINED: trained_state(loop.model)} if isinstance(loop.model, PeftModel) else {}
    return state, {OPTIMIZER: tensors, **adapter}


def restore(loop: TrainingLoop, checkpoint: Path) -> dict[str, Any]:
    """Puts the loop and its model where they were; returns all the numbers that were saved."""
    state, tensors = read_state(checkpoint)
    require_kinds(tensors, (OPTIMIZER,), checkpoint)
    load_weights(loop.model, checkpoint)
    if state.get("optim", loop.arguments.optim) == loop.arguments.optim:
        restore_state(loop.model, loop.optimizer, tensors[OPTIMIZER], state["optimizer"])
    else:
        loop.optimizer.state.clear()  # what another one has gathered means nothing to this one
    loop.step, loop.total_loss, loop.total_learned = state["step"], state["total_loss"], state["total_learned"]
    loop.owes = not state.get("evaluated", True)
    if _asks_alike(loop, state):  # cut as a run that was not interrupted cuts them: other sums would round otherwise
        loop.budget.tokens = state["micro_batch_tokens"]
    elif loop.arguments.micro_batch_tokens is None:  # else the strategy's number, which has changed
        loop.budget.tokens = min(loop.budget.tokens, state["micro_batch_tokens"])
    if loop.accelerator.scaler is not None and state["scaler"] is not None:
        loop.accelerator.scaler.load_state_dict(state["scaler"])
    loop.numbers.setbacks = Setbacks.of(state.get("setbacks", {}))
    set_schedule(loop.schedule, loop.step, loop.numbers.setbacks.learning_rate_scale)
    return state


def begin_alike(loop: TrainingLoop, checkpoint: Path) -> None:
    """To be called before anything is computed: what is computed once and not saved (a reference's probabilities) is
    cut as it was when the run began, and comes out the same to the bit."""
    state = read_numbers(checkpoint)
    if _asks_alike(loop, state) and "micro_batch_tokens_at_first" in state:
        loop.budget.tokens = loop.first_budget = state["micro_batch_tokens_at_first"]


def _asks_alike(loop: TrainingLoop, state: Mapping[str, Any]) -> bool:
    """Whether the strategy leaves the size of micro-batches to the machine, or says a number, as it did then."""
    asked = loop.arguments.micro_batch_tokens
    return bool(state.get("micro_batch_tokens_asked", state["micro_batch_tokens"]) == asked)


def load_weights(model: Any, checkpoint: Path) -> None:
    """Puts the weights of a checkpoint back into the model that wrote them."""
    adapter = checkpoint / f"{TRAINED}.safetensors"
    if adapter.is_file():
        load_trained_state(model, load_file(adapter))
        return
    # transformers names and cuts weights on disk as the hub has them: a mixture's experts lie there one by one, and are
    # one tensor in the model. Only its own loader knows the way back.
    inspect_model(str(checkpoint / MODEL))
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
