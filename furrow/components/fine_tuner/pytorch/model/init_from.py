"""Going on from an adapter of an earlier run, or of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftConfig, set_peft_model_state_dict
from peft.utils import load_peft_weights

from furrow.components.errors import RequestError
from furrow.components.models.folder import ModelFolder, recognise
from furrow.components.models.loading import quantization_of

_KEY = "method.init_from"
_SETTINGS = {
    "r": "r",
    "lora_alpha": "alpha",
    "use_rslora": "use_rslora",
    "use_dora": "type: dora",
    "bias": "bias",
    "rank_pattern": "rank_pattern",
    "alpha_pattern": "alpha_pattern",
    "num_virtual_tokens": "num_virtual_tokens",
    "layers_to_transform": "layers_to_transform",
    "target_modules": "target_modules",
    "feedforward_modules": "feedforward_modules",
    "modules_to_save": "modules_to_save",
}
"""PEFT's name of what must be equal -> the key here."""


def go_on_from(adapter: str, model: Any, base_name: str) -> None:
    """Puts the weights of a saved adapter into a model that has a fresh one of the same method.

    Raises RequestError if the adapter is of another method, base, quantisation or shape than the strategy's.
    """
    folder = recognise(Path(adapter).expanduser())
    if folder.kind != "adapter":
        raise RequestError(
            f"{folder.path} holds whole weights, not an adapter", where=_KEY, remedy="name it as base_model.path"
        )
    config = model.peft_config["default"]
    saved: Any = PeftConfig.from_pretrained(str(folder.path))
    _same_method(folder, saved, config)
    _same_base(folder, saved, model, base_name)
    for name, key in _SETTINGS.items():
        theirs, ours = _comparable(getattr(saved, name, None)), _comparable(getattr(config, name, None))
        if theirs != ours:
            raise RequestError(
                f"the adapter in {folder.path} has {name} {_shown(theirs)}, the strategy {_shown(ours)}",
                where=_KEY,
                remedy=f"set method.{key} as the adapter has it, or start from a fresh one",
            )
    found = set_peft_model_state_dict(model, load_peft_weights(str(folder.path), device="cpu"))
    foreign = [name for name in found.unexpected_keys if name != "prompt_embeddings"]  # the prompt encoder takes these
    if foreign:
        raise RequestError(
            f"the adapter in {folder.path} has weights that this model has no place for: {foreign[0]}, …",
            where=_KEY,
            remedy="set target_modules as the adapter has them",
        )


def _same_method(folder: ModelFolder, saved: Any, config: Any) -> None:
    if saved.peft_type != config.peft_type:
        raise RequestError(
            f"the adapter in {folder.path} is of the method {saved.peft_type.value.lower()}, the strategy's of "
            f"{config.peft_type.value.lower()}",
            where=_KEY,
            remedy="set method.type as the adapter has it",
        )


def _same_base(folder: ModelFolder, saved: Any, model: Any, base_name: str) -> None:
    theirs = str(saved.base_model_name_or_path)
    if theirs != base_name and folder.base != model.name_or_path:
        raise RequestError(
            f"the adapter in {folder.path} was trained on {theirs}, the strategy's base model is {base_name}",
            where=_KEY,
            remedy="name the same base_model",
        )
    ours = quantization_of(model)
    if (folder.quantization is None) != (ours is None):
        held = "a quantised" if folder.quantization else "an unquantised"
        raise RequestError(
            f"the adapter in {folder.path} was trained on {held} base",
            where=_KEY,
            remedy="say method.type: qlora" if folder.quantization else "say method.type: lora",
        )
    if folder.quantization is not None and ours is not None and dict(folder.quantization) != ours:
        raise RequestError(
            f"the adapter in {folder.path} was trained on a base quantised as {dict(folder.quantization)}, the "
            f"strategy's is {ours}",
            where=_KEY,
            remedy="set method.quantization, double_quantization and base_model.torch_dtype as the adapter has them",
        )


def _comparable(value: Any) -> Any:
    if isinstance(value, set | list | tuple):
        return sorted(map(str, value))
    return value or None


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
