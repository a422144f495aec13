"""What several methods have in common, written once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Bound, Config, problem_at
from furrow.components.name_patterns import takes_for_ever

Rank = Annotated[int, Field(ge=1)]
Alpha = Annotated[float, Field(gt=0)]
ModuleName = Annotated[str, Field(min_length=1)]
ModuleNames = Annotated[tuple[ModuleName, ...], Field(min_length=1)]
Dropout = Annotated[float, Field(ge=0, lt=1), Bound()]
DROPOUT = 0.1
"""The guide's default: it tunes small sets, which overfit."""
MERGE = "export the merged weights instead: to_merged or to_gguf"


def as_tuple(given: Any) -> Any:
    """A list becomes the tuple that strict mode wants behind a validator."""
    return tuple(given) if isinstance(given, list) else given


def _target_modules(given: Any) -> Any:
    """`auto` is all-linear."""
    if given in ("auto", "all-linear"):
        return "all-linear"
    if isinstance(given, str) and given != "attention":
        raise ValueError(f"got {given!r}; wanted is a list such as [q_proj, v_proj], all-linear or attention")
    return as_tuple(given)


def _layers(given: Any) -> Any:
    if isinstance(given, int) and not isinstance(given, bool):
        raise ValueError(f"a list is wanted: [{given}] is the layer of index {given}, `last {given}` the last {given}")
    return as_tuple(given)


TargetModules = Annotated[
    ModuleNames | Literal["all-linear", "attention"],
    BeforeValidator(_target_modules, json_schema_input_type=list[str] | Literal["all-linear", "attention", "auto"]),
]
Layers = Annotated[
    Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    | Annotated[str, Field(pattern=r"^last [1-9]\d*$")],
    BeforeValidator(_layers, json_schema_input_type=list[int] | str),
]
Modules = Annotated[ModuleNames, BeforeValidator(as_tuple, json_schema_input_type=list[str])]


class Method(Config):
    """Which weights learn."""

    type: str
    """The method's name."""

    def not_exported(self) -> Mapping[str, str]:
        """Exporter -> why it cannot take what this method makes, and what to do instead."""
        return {}


class InLayers(Method):
    """A method that adds something to chosen layers of the model."""

    target_modules: TargetModules = "all-linear"
    """Layers that get an adapter, by the last part of their name (`[q_proj, v_proj]`); `all-linear` (also said `auto`)
    means every linear layer of the decoder but not the head, `attention` those of the attention only. All
    layers are the default: they learn more than a higher rank on attention alone (Dettmers et al. 2023, fig. 2)."""
    layers_to_transform: Layers | None = None
    """Decoder layers that get an adapter: indices from 0 (`[14, 15]`), or `last 4` for the last four. With
    the last ones alone the backward pass stops at the first of them. Default: all layers."""
    modules_to_save: Modules | None = None
    """Modules that learn whole beside the adapter and are saved with it, by the last part of their name
    (`[lm_head]`)."""


class GoesOn(Method):
    """A method whose adapters can be trained further in another run."""

    init_from: Annotated[str, Field(min_length=1)] | None = None
    """An adapter to go on from: a run folder, its final_model, a checkpoint, or any folder with adapter_config.json.
    Its method, base model and shape must be those given here. The optimiser begins anew. Default: a fresh adapter."""


class LowRank(InLayers):
    """Frozen weights W plus scale · B·A of rank r in chosen linear layers."""

    not_here: ClassVar[Mapping[str, str]] = {
        "use_dora": "say `type: dora`",
        "init_lora_weights": "fresh adapters begin at a product of zero; say `type: pissa` for principal components",
        "lr_ratio": "say `type: loraplus`",
        "loraplus_lr_ratio": "say `type: loraplus`, with lr_ratio",
        "quantization": "say `type: qlora`, with quantization",
        "double_quantization": "say `type: qlora`, with double_quantization",
        "load_in_4bit": "say `type: qlora`, with quantization: nf4",
        "load_in_8bit": "say `type: qlora`, with quantization: int8",
        "num_virtual_tokens": "an adapter in the layers has no virtual tokens; say `type: prefix` or `type: prompt`",
    }

    r: Rank = 16
    """Rank of the adapter. Guide: 4-64, lower for small models and few rows."""
    alpha: Alpha = 32
    """Numerator of the scale alpha / r. Default: 2 · r, so that a change of rank leaves the scale as it is."""
    dropout: Dropout = DROPOUT
    """Share of the adapter's inputs that is zeroed in training. Guide: 0.0-0.2, higher against overfitting."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Biases of the model that learn too: none of them, all, or those of the layers with an adapter. An adapter with
    biases can be merged, but cannot become a GGUF adapter."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) instead of alpha / r (Kalajdzievski 2023), so that high ranks keep learning."""
    rank_pattern: dict[ModuleName, Rank] = Field(default_factory=dict)
    """Another rank for some layers: name (or regular expression on the full name) -> rank. A name that fits no layer
    with an adapter is an error."""
    alpha_pattern: dict[ModuleName, Alpha] = Field(default_factory=dict)
    """Another alpha for some layers: name (or regular expression on the full name) -> alpha."""

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        rank = given.get("r", cls.model_fields["r"].default)
        if "alpha" not in given and isinstance(rank, int) and not isinstance(rank, bool) and rank > 0:
            return {**given, "alpha": 2 * rank}
        return given

    @model_validator(mode="after")
    def _names_are_regular_expressions(self) -> Self:
        for key in ("rank_pattern", "alpha_pattern"):
            for name, value in getattr(self, key).items():
                try:
                    re.compile(name)
                except re.error as error:
                    why = f"is no name and no regular expression: {error}"
                    raise problem_at((key, name), why, value) from error
                if takes_for_ever(name):
                    why = "could take for ever to match: at most four of * + { ?, and none within another"
                    raise problem_at((key, name), why, value)
        return self

    def not_exported(self) -> Mapping[str, str]:
        held = [f"bias: {self.bias}"] if self.bias != "none" else []
        held += ["modules_to_save"] if self.modules_to_save else []
        if held:
            return {"gguf-adapter": f"a GGUF adapter holds LoRA matrices only, not {' and '.join(held)}; {MERGE}"}
        return {}


NO_LAYERS: dict[str, str] = {
    "target_modules": "virtual tokens stand before the text, in no layer of their own choosing; leave it out, or say "
    "`type: lora`",
    "layers_to_transform": "virtual tokens act on every layer; leave it out, or say `type: lora`",
    "modules_to_save": "only the virtual tokens learn; say `type: lora` to train modules beside an adapter",
    "r": "virtual tokens have no rank; say num_virtual_tokens, or `type: lora`",
    "alpha": "virtual tokens have no scale; leave it out, or say `type: lora`",
    "dropout": "virtual tokens have no dropout; leave it out, or say `type: lora`",
    "use_dora": "DoRA changes weights, and this method changes none; say `type: dora` instead",
    "use_rslora": "virtual tokens have no rank to scale by; leave it out, or say `type: rslora`",
    "quantization": "the base of virtual tokens stays as it is; say `type: qlora` to train on quantised weights",
}
"""Why virtual tokens have no such setting."""
