"""What a method does besides learning: AdaLoRA's penalty and its cuts of ranks."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.engine.loop import MethodHooks
from furrow.components.fine_tuner.pytorch.methods.adaptive import AdaloraMethod
from furrow.components.fine_tuner.pytorch.methods.shared import Method


def method_hooks(model: Any, method: Method, total_steps: int) -> MethodHooks:
    """What the loop calls for this method; nothing for most. RequestError where AdaLoRA has too few steps."""
    if not isinstance(method, AdaloraMethod):
        return MethodHooks()
    cuts = RankCuts(model, method, total_steps)
    return MethodHooks(penalty=cuts.penalty if method.orth_reg_weight else None, before_zero_grad=cuts.after_update)


class RankCuts:
    """AdaLoRA on this model, for a run of `total_steps`. Sets PEFT's schedule."""

    def __init__(self, model: PeftModel, method: AdaloraMethod, total_steps: int) -> None:
        self._tuner: Any = model.base_model
        config = model.peft_config["default"]
        first = total_steps // 10 if method.tinit is None else method.tinit
        last = 3 * total_steps // 10 if method.tfinal is None else method.tfinal
        if total_steps - first - last < 2:
            raise RequestError(
                f"{total_steps} steps leave none to cut ranks in: tinit is {first}, tfinal {last}",
                where="method.tinit",
                remedy="train longer, or lower tinit and tfinal",
            )
        config.tinit, config.tfinal, config.total_step = first, last, total_steps
        self._config, self._last_cut = config, total_steps - last
        self._weight = method.orth_reg_weight

    def penalty(self) -> torch.Tensor:
        """orth_reg_weight times the mean of |P·Pᵀ - 1| and |Qᵀ·Q - 1| over all adapted layers, as PEFT adds it."""
        norms = []
        for name, value in self._tuner.model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = value @ value.T if "lora_A" in name else value.T @ value
                norms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        return self._weight * torch.stack(norms).mean()

    def after_update(self, step: int) -> None:
        """PEFT's cut of ranks after update number `step` (from 1), from gradients that are still there.

        PEFT makes its last cut at one step and forgets the scores with it; where that step was skipped, the next makes
        up for it.
        """
        allocator = self._tuner.rankallocator
        if step >= self._last_cut and (allocator.ipt or self._config.rank_pattern is None):
            step = self._last_cut
            if not allocator.ipt:  # every step before was skipped
                allocator.update_ipt(self._tuner.model)
        self._tuner.update_and_allocate(step)
