"""How much of a disk a run takes: measured on its model, before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel

from furrow.components.disk.checkpoint_folder import checkpoints_in
from furrow.components.disk.space import Space
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.model.load import count_parameters


def measured_space(loop: TrainingLoop, request: TrainingRequest) -> Space:
    """What is still to be written, from the loop's step on."""
    arguments, model = loop.arguments, loop.model
    last = loop.plan.total_steps
    saves = sum(loop.save_due(step) for step in range(loop.step + 1, last + 1))
    best = arguments.load_best_model_at_end
    rolls_back = arguments.on_nonfinite.action == "rollback"  # it keeps one that is proven, and begins with one
    learned = sum(4 * weight.numel() for weight in model.parameters() if weight.requires_grad)
    beside = learned * (arguments.checkpoint_share(isinstance(model, PeftModel)) - 1)
    return Space(
        checkpoint=model_bytes(model) + int(beside),
        saves=saves + best + (rolls_back and loop.step == 0) if loop.step < last else 0,
        limit=None if arguments.save_total_limit is None else arguments.save_total_limit + rolls_back,
        best=best,
        there=len(checkpoints_in(request.checkpoints)),
        final=model_bytes(model),
        exports=int(count_parameters(model)[1] * request.export_bytes_per_parameter),
    )


def checkpoint_bytes(model: Any, tensors: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
    """Of one checkpoint: the model as it is saved and the tensors beside it. Tokenizer and numbers are small."""
    beside = sum(value.nbytes for named in tensors.values() for value in named.values())
    return model_bytes(model) + beside


def model_bytes(model: Any) -> int:
    """Of the saved model: all weights, or those of the adapter alone."""
    adapted = isinstance(model, PeftModel)
    return sum(weight.nbytes for weight in model.parameters() if weight.requires_grad or not adapted)
