"""What an optimiser has gathered, as tensors and numbers by the names of the weights: no pickle, no order to keep.

Learning rates and the like are not among it: they are the strategy's, and follow from the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from furrow.components.errors import FurrowError

Numbers = dict[str, dict[str, Any]]


def state_of(model: Any, optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], Numbers]:
    """(`<weight>/<key>` -> tensor, weight -> key -> number). On a CPU these are the optimiser's own tensors, no copies:
    to be written before the next step."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: Numbers = {}
    for name, weight in model.named_parameters():
        for key, value in optimizer.state.get(weight, {}).items():
            if isinstance(value, torch.Tensor):
                tensors[f"{name}/{key}"] = value.detach().cpu()
            else:
                numbers.setdefault(name, {})[key] = value
    return tensors, numbers


def restore_state(
    model: Any, optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], numbers: Numbers
) -> None:
    """Puts it back, in the types that it was saved in: torch's own way would round it to the weights' type.

    Raises FurrowError where it belongs to other weights.
    """
    found: dict[str, dict[str, Any]] = {name: dict(values) for name, values in numbers.items()}
    for path, tensor in tensors.items():
        name, _, key = path.rpartition("/")
        found.setdefault(name, {})[key] = tensor
    groups = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    weights = {name: weight for name, weight in model.named_parameters() if id(weight) in groups}
    if foreign := sorted(set(found) - set(weights)):
        raise FurrowError(
            f"the checkpoint trains weights that this model does not: {', '.join(foreign[:3])}",
            remedy="resume with the strategy that made it",
        )
    optimizer.state.clear()  # of weights that had none yet
    for name, values in found.items():
        weight = weights[name]
        optimizer.state[weight] = {
            key: _placed(optimizer, weight, groups[id(weight)], key, value) for key, value in values.items()
        }


def _placed(optimizer: Any, weight: torch.Tensor, group: Mapping[str, Any], key: str, value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if key == "step" and not (group.get("fused") or group.get("capturable")):
        return value  # torch counts on the host, unless the kernel does
    if getattr(optimizer, "is_paged", False) and value.shape == weight.shape:
        return optimizer.get_state_buffer(weight, dtype=value.dtype).copy_(value)  # memory that CUDA can page out
    return value.to(weight.device)
