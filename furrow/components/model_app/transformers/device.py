"""Where the model answers."""

from __future__ import annotations

import torch


def device_of(asked: str) -> torch.device:
    """The device of that name; `auto` is the best that is there."""
    if asked != "auto":
        return torch.device(asked)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
