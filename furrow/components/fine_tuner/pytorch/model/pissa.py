"""PiSSA's adapters as other programs can load them: a plain LoRA on the base as it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora.layer import LoraLayer

Matrices = dict[str, torch.Tensor]


@dataclass
class Beginning:
    """The matrices A and B that a PiSSA adapter began with, by parameter name: scale · B·A was taken out of W."""

    matrices: Matrices

    @classmethod
    def of(cls, model: Any) -> Beginning:
        """Of a model on which nothing has been trained yet."""
        named = ((name, value) for name, value in model.named_parameters() if "lora_" in name and value.requires_grad)
        return cls({name: value.detach().cpu().clone() for name, value in named})

    def restore(self, model: Any, matrices: Mapping[str, torch.Tensor]) -> None:
        """Makes the model one that began with these matrices: where another machine decomposed W differently, the
        frozen weights change with them."""
        for name, module in model.named_modules():
            if not isinstance(module, LoraLayer) or "default" not in module.lora_A:
                continue
            a, b = f"{name}.lora_A.default.weight", f"{name}.lora_B.default.weight"
            if torch.equal(self.matrices[a], matrices[a]) and torch.equal(self.matrices[b], matrices[b]):
                continue
            change = self.matrices[b] @ self.matrices[a] - matrices[b] @ matrices[a]
            weight = module.get_base_layer().weight
            change = change.T if module.fan_in_fan_out else change  # GPT-2's Conv1D holds W transposed
            weight.data += (module.scaling["default"] * change).to(weight)
        self.matrices = {name: value.clone() for name, value in matrices.items()}

    def as_lora(self, state: Mapping[str, torch.Tensor]) -> Matrices:
        """PEFT's state dict of the trained adapter as one of twice the rank: [B, -B₀]·[A; A₀] is what training added
        (W_res + BA = W + BA - B₀A₀)."""
        converted = dict(state)
        for name, first in self.matrices.items():
            key = name.replace(".default", "")
            last = state[key].cpu()
            joined = [last, first] if "lora_A" in name else [last, -first]
            converted[key] = torch.cat(joined, dim=0 if "lora_A" in name else 1)
        return converted


def plain_config(config: LoraConfig) -> LoraConfig:
    """The config of that LoRA: its scale is the old one."""
    plain = copy.deepcopy(config)
    more = 2**0.5 if config.use_rslora else 2  # alpha / sqrt(2 r), or alpha / (2 r), must stay what it was
    plain.init_lora_weights = True
    plain.r, plain.lora_alpha = 2 * config.r, more * config.lora_alpha
    plain.rank_pattern = {name: 2 * rank for name, rank in config.rank_pattern.items()}
    plain.alpha_pattern = {name: more * alpha for name, alpha in config.alpha_pattern.items()}
    return plain
