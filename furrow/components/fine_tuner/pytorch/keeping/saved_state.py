"""The numbers of a checkpoint, of the types and in the bounds in which they were saved. The sums of its manifest say
that nothing has changed since somebody made it, not who that was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from furrow.components.disk.checkpoint_folder import name_of
from furrow.components.errors import FurrowError

_Count = Annotated[int, Field(ge=0, le=10**12)]
_Sum = Annotated[float, Field(ge=0, le=10**12, allow_inf_nan=False)]
_Size = Annotated[int, Field(ge=1, le=10**12)]
_LARGEST = 256_000_000
"""Bytes; the patterns of batches that were skipped are the only part that grows."""


class _Saved(BaseModel):
    """What it has besides is not looked at here."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Position(_Saved):
    step: _Count
    epoch: _Count
    row: _Count
    seed: int | None


class _Plan(_Saved):
    rows: _Size
    effective_rows: _Size
    epochs: Annotated[float, Field(gt=0, le=10**9)]
    max_steps: int | None = None
    seed: int
    begun: _Position | None = None
    total_steps: _Count | None = None


class _Setbacks(_Saved):
    skipped: list[_Count] = []
    rollbacks: _Count = 0
    learning_rate_scale: Annotated[float, Field(gt=0, le=1)] = 1.0


class _Best(_Saved):
    value: float | None
    step: _Count | None


class _Stopping(_Saved):
    best: float | None
    without_gain: _Count


class _State(_Saved):
    step: _Count
    total_loss: float
    total_learned: _Count | _Sum
    micro_batch_tokens: _Size
    optimizer: dict[str, Any]
    scaler: dict[str, float | int] | None
    best: _Best
    optim: str = ""
    metric: str = ""
    computes_on: str = ""
    evaluated: bool = True
    next_learning_rate: float | None = None
    micro_batch_tokens_asked: _Size | None = None
    micro_batch_tokens_at_first: _Size | None = None
    plan: _Plan | None = None
    setbacks: _Setbacks = _Setbacks()
    early_stopping: _Stopping | None = None


def read_saved_state(file: Path) -> dict[str, Any]:
    """What stands in it. Raises FurrowError, naming the first thing that is wrong."""
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        state = json.loads(file.read_text(encoding="utf-8"))
        step = _State.model_validate(state).step
        if file.parent.name.startswith("step-") and file.parent.name != name_of(step):
            raise ValueError(f"it is that of step {step:,}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _damaged(file, f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, str(error)) from error
    return dict(state)


def _damaged(file: Path, why: str) -> FurrowError:
    return FurrowError(
        f"it is no state of a run: {why}", where=str(file), remedy="resume from another checkpoint, or begin anew"
    )


def require_kinds(tensors: Mapping[str, Any], kinds: tuple[str, ...], checkpoint: Path) -> None:
    """Raises FurrowError where a file of tensors is missing."""
    for kind in kinds:
        if kind not in tensors:
            raise _damaged(checkpoint / f"{kind}.safetensors", "it is not there")
