"""Whether the frozen layers of a model may be computed once: read off its settings, and tried on a row."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from furrow.components.events import Emit, Noted
from furrow.components.fine_tuner.pytorch.engine.activation_file import ActivationFile
from furrow.components.fine_tuner.pytorch.engine.dropout import RowDropout
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.frozen_trunk import FrozenTrunk, texts_of
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.records import AnyExample

GIB = 1 << 30
_NAMES = ("layers", "h", "blocks")
"""What decoders call the list of their layers."""
_AFTER = ("norm", "final_layernorm", "final_layer_norm", "ln_f", "norm_f")
"""What they call the norm behind the last of them: it may learn."""
_EQUAL = 1e-6
"""Largest difference, relative to the largest hidden state, between the decoder in one go and in two halves."""
_PROBE = 16
"""Tokens of the row on which that is tried."""
_OF_THE_DISK = 0.5
"""Share of what is free that may be taken."""


def make_trunk(
    forward: Forward,
    seen_again: Sequence[AnyExample],
    *,
    folder: Path,
    gib: float,
    asked: bool,
    autocast: Callable[[], AbstractContextManager[Any]],
    emit: Emit,
) -> FrozenTrunk | None:
    """The frozen layers of the model, with room in `folder` for the rows that will be seen again.

    None where it has none, where `gib` is 0, and where computing them once would not be exact; then the reason is
    said, if frozen layers were `asked` for. What goes beyond `gib` is computed each time.
    """
    if gib == 0 or not seen_again:
        return None
    found = _trunk(forward)
    reason = found if isinstance(found, str) else _differs(found, seen_again[0], autocast)
    if isinstance(found, str) or reason is not None:
        if asked:
            emit(Noted(message=f"the frozen layers are computed in every epoch: {reason}"))
        return None
    found.seen_again, tokens = texts_of(seen_again)
    with autocast():
        sample = found.compute(forward.lay([(_short(seen_again[0]),)]))
    found.computed_tokens = 0
    width = sample.shape[-1]
    each = width * sample.dtype.itemsize
    folder.mkdir(parents=True, exist_ok=True)
    room = min(int(gib * GIB), int(_OF_THE_DISK * shutil.disk_usage(folder).free)) // each
    what = f"layers 0 to {found.depth - 1} do not learn: their results"
    try:
        found.kept = ActivationFile(folder, min(tokens, room), width, sample.dtype)
    except (OSError, RuntimeError) as error:
        emit(Noted(message=f"{what} are computed in every epoch: there is no room for them ({error})"))
        return None
    size = f"{min(tokens, room) * each / (1 << 20):,.0f} MiB"
    if tokens <= room:
        emit(Noted(message=f"{what} are computed once and kept ({tokens:,} tokens, {size})"))
    else:
        emit(
            Noted(
                message=f"{what} are kept for {room:,} of {tokens:,} tokens ({size}) and computed in every epoch for "
                "the others: hardware.optimization.activation_cache_gb, or the space on the disk, allows no more"
            )
        )
    return found


def _trunk(forward: Forward) -> FrozenTrunk | str:
    """The layers below the first that learns, or why they cannot be taken by themselves."""
    kind = forward.base.config.model_type
    if getattr(getattr(forward.model, "active_peft_config", None), "is_prompt_learning", False):
        return "virtual tokens act on every layer"
    lists = [getattr(forward.decoder, name, None) for name in _NAMES]
    layers = next((layers for layers in lists if isinstance(layers, nn.ModuleList)), None)
    if layers is None:
        return f"{kind} has no list of layers"
    depth = next((number for number, layer in enumerate(layers) if _learns(layer)), len(layers))
    if depth == 0:
        return "the first layer learns too"
    if depth == len(layers):
        return "no layer learns"
    for name, module in forward.decoder.named_children():
        if module is not layers and name not in _AFTER and _learns(module):
            return f"{name}, which stands before them, learns too"
    dropout = _dropout(forward.decoder, layers[depth:])
    return f"they drop out activations ({dropout})" if dropout else FrozenTrunk(forward, layers, depth)


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _dropout(decoder: nn.Module, above: nn.ModuleList) -> str | None:
    """The first dropout that acts in training outside of the layers `above`: a module, or a setting of one."""
    elsewhere = set(above.modules())
    for name, module in decoder.named_modules():
        if module not in elsewhere:
            if isinstance(module, nn.modules.dropout._DropoutNd | RowDropout) and module.p > 0:
                return f"{name} {module.p:g}"
            for setting, value in vars(module).items():
                if ("dropout" in setting or "jitter" in setting) and isinstance(value, float) and value > 0:
                    return f"{name}.{setting} {value:g}"
    return None


@torch.no_grad()
def _differs(trunk: FrozenTrunk, row: AnyExample, autocast: Callable[[], AbstractContextManager[Any]]) -> str | None:
    """Tries the two halves against the whole, and the lower half against itself as it is in training."""
    forward, kind = trunk.forward, trunk.forward.base.config.model_type
    sequence = _short(row)
    layout = forward.lay([(sequence,)])
    other = forward.lay([(sequence._replace(input_ids=sequence.input_ids[::-1]),)])
    try:
        with autocast(), evaluating(forward.model):
            entering = trunk.compute(layout)
            trunk.compute(other)  # whatever a layer has left lying about for another is now that of another row
            halves, whole = trunk.above(layout, entering), forward.decode(layout)
            forward.model.train()
            chance = not torch.equal(trunk.compute(layout), trunk.compute(layout))
            moved = float((trunk.compute(layout) - entering).abs().max() / entering.abs().max())
        worst = float((halves.float() - whole.float()).abs().max() / whole.float().abs().max())
    except (TypeError, ValueError, AttributeError, RuntimeError, AssertionError, IndexError) as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return f"the layers of {kind} cannot be run by themselves: {reason[0]}"
    if chance or not moved <= _EQUAL:
        return f"chance acts in the frozen layers of {kind}"
    return None if worst <= _EQUAL else f"{kind} comes out differently in two halves (by {worst:.1g})"


def _short(row: AnyExample) -> Any:
    sequence = row.sequences[0]
    return sequence._replace(input_ids=sequence.input_ids[:_PROBE], learned=sequence.learned[:_PROBE])
