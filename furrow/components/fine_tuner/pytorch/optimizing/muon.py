"""Muon for the hidden matrices and AdamW for everything else, as one optimiser with one state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) replaces a matrix' gradient by the nearest orthogonal one, so that all its directions
    are learned at one rate. It is made for the matrices within the layers; embeddings, head and vectors keep AdamW.

    Both read the same `param_groups` and write the same `state`; the schedule, the gradient scaler and a checkpoint see
    an optimiser like any other. Its step is scaled as AdamW's is (Liu et al. 2025, arXiv:2502.16982: 0.2 · sqrt of the
    longer side), so that one learning rate and one weight decay serve both (3 to 10 times AdamW's alone: docs/log.md).
    """

    def __init__(self, matrices: list[dict[str, Any]], others: list[dict[str, Any]], momentum: float, **adamw: Any):
        groups = [*({**group, "momentum": momentum} for group in matrices), *others]
        super().__init__(groups, adamw)
        self._matrix_groups = len(matrices)
        self._muon = torch.optim.Muon(
            matrices, lr=adamw["lr"], momentum=momentum, adjust_lr_fn="match_rms_adamw", weight_decay=0.0
        )
        self._adamw = torch.optim.AdamW(others, **adamw)
        self._share()

    def _share(self) -> None:
        """The two work on this one's groups and state."""
        count = self._matrix_groups
        for part, groups in ((self._muon, self.param_groups[:count]), (self._adamw, self.param_groups[count:])):
            for group in groups:
                for name, value in part.defaults.items():
                    group.setdefault(name, value)
            part.param_groups, part.state = groups, self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        self._muon.step()
        self._adamw.step()
