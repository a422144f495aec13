"""Trained weights on disk and back: as a model to be loaded anywhere, and exactly as training has them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import AdaLoraConfig, PeftModel, TaskType, get_peft_model_state_dict
from peft.utils.warning import PeftWarning
from safetensors.torch import save_file

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.model.pissa import Beginning, plain_config
from furrow.components.models.folder import CLASSES_FILE, QUANTIZATION_FILE
from furrow.components.models.loading import quantization_of

_BEGINNING, _ALLOCATOR, _RANKS = "beginning/", "allocator/", "ranks/"
_SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What AdaLoRA's allocator remembers of each weight."""


def save_weights(model: Any, folder: Path) -> None:
    """The weights as `from_pretrained` takes them: all of them, or the adapter alone, and how its base was quantised.

    A PiSSA adapter is written as a plain LoRA, an AdaLoRA one without the ranks that are zero: what is loaded answers
    as the model in training does, to rounding.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(model, PeftModel):
        model.save_pretrained(folder)
        return
    config = model.peft_config["default"]
    ranks = _nonzero_ranks(model) if isinstance(config, AdaLoraConfig) else None
    # The vocabulary is never resized here; by default PEFT would ask the hub for the base's config to find out.
    with _set(config, rank_pattern=ranks) if ranks is not None else nullcontext():
        model.save_pretrained(str(folder), save_embedding_layers=False)
    beginning: Beginning | None = getattr(model, "furrow_beginning", None)
    if beginning is not None:
        state = get_peft_model_state_dict(model, save_embedding_layers=False)
        whole = {name: value.contiguous() for name, value in beginning.as_lora(state).items()}
        save_file(whole, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        plain = plain_config(config)
        plain.inference_mode = True
        plain.save_pretrained(str(folder))
    quantization = quantization_of(model)
    if quantization is not None:
        (folder / QUANTIZATION_FILE).write_text(json.dumps(quantization, indent=1) + "\n", encoding="utf-8")
    if config.task_type == TaskType.SEQ_CLS:
        names = model.config.id2label
        labels = [names[number] for number in sorted(names)]
        (folder / CLASSES_FILE).write_text(json.dumps({"labels": labels}, indent=1) + "\n", encoding="utf-8")


def _nonzero_ranks(model: PeftModel) -> dict[str, list[bool]] | None:
    """Between two cuts AdaLoRA's pattern is that of the last one; what is zero now may be left out, nothing else."""
    if model.peft_config["default"].rank_pattern is None:
        return None
    values = {name: value for name, value in model.base_model.model.named_parameters() if ".lora_E." in name}
    return {name: (value != 0).view(-1).tolist() for name, value in values.items()}


@contextmanager
def _set(config: AdaLoraConfig, rank_pattern: dict[str, list[bool]]) -> Iterator[None]:
    """PEFT writes the pattern that the config has, and shortens the names in it."""
    before = config.rank_pattern
    config.rank_pattern = rank_pattern
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PeftWarning)  # it takes a layer whose rank has become 0 for a damaged one
            yield
    finally:
        config.rank_pattern = before


def trained_state(model: Any) -> dict[str, torch.Tensor]:
    """Everything about the model that training changes, as it stands: no more is needed to go on, the optimiser apart.

    Tensors by name, on the CPU, detached; `load_trained_state` takes them.
    """
    state = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    beginning = getattr(model, "furrow_beginning", None)
    if beginning is not None:
        state |= {_BEGINNING + name: value for name, value in beginning.matrices.items()}
    if isinstance(model, PeftModel) and isinstance(config := model.peft_config["default"], AdaLoraConfig):
        allocator = model.base_model.rankallocator
        for kind in _SCORES:
            state |= {f"{_ALLOCATOR}{kind}/{name}": value for name, value in getattr(allocator, kind).items()}
        state |= {_RANKS + name: torch.tensor(kept) for name, kept in (config.rank_pattern or {}).items()}
    return {name: value.to("cpu", copy=True).contiguous() for name, value in state.items()}


def load_trained_state(model: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Puts a state back into a model of the same method; FurrowError if it is that of another one."""
    own = {name: value for name, value in model.named_parameters() if value.requires_grad}
    saved = {name: value for name, value in state.items() if "/" not in name}
    differing = own.keys() ^ saved.keys() or {name for name in own if own[name].shape != saved[name].shape}
    if differing:
        shown = ", ".join(sorted(differing)[:3])
        raise FurrowError(
            f"the saved state is that of another model or method: {len(differing)} weights differ ({shown}, …)",
            remedy="resume with the strategy that made it",
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved[name])
    beginning = getattr(model, "furrow_beginning", None)
    if beginning is not None:
        beginning.restore(model, _under(_BEGINNING, state))
    if isinstance(model, PeftModel) and isinstance(config := model.peft_config["default"], AdaLoraConfig):
        device = next(iter(own.values())).device
        for kind in _SCORES:
            scores = _under(f"{_ALLOCATOR}{kind}/", state)
            setattr(model.base_model.rankallocator, kind, {name: value.to(device) for name, value in scores.items()})
        config.rank_pattern = {name: kept.tolist() for name, kept in _under(_RANKS, state).items()} or None


def _under(prefix: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
