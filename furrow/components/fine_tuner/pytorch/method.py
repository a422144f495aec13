"""Which weights learn: a low-rank adapter, or all of them. A further method is a further class in `METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Config, problem_at
from furrow.components.errors import did_you_mean

Rank = Annotated[int, Field(ge=1)]
ModuleName = Annotated[str, Field(min_length=1)]
DROPOUT = 0.1
"""The guide's default: it tunes small sets, which overfit."""


def _target_modules(given: Any) -> Any:
    """`auto` is all-linear; a list becomes the tuple that strict mode wants behind a validator."""
    if isinstance(given, list):
        return tuple(given)
    if given in ("auto", "all-linear"):
        return "all-linear"
    if isinstance(given, str) and given != "attention":
        raise ValueError(f"got {given!r}; wanted is a list such as [q_proj, v_proj], all-linear or attention")
    return given


TargetModules = Annotated[
    Annotated[tuple[ModuleName, ...], Field(min_length=1)] | Literal["all-linear", "attention"],
    BeforeValidator(_target_modules, json_schema_input_type=list[str] | Literal["all-linear", "attention", "auto"]),
]


class LoraMethod(Config):
    """LoRA (Hu et al. 2021, arXiv:2106.09685): frozen weights W plus scale · B·A of rank r in chosen linear layers."""

    type: Literal["lora"] = "lora"
    """lora."""
    r: Rank = 16
    """Rank of the adapter. Guide: 4-64, lower for small models and few rows."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """Numerator of the scale alpha / r. Default: 2 · r, so that a change of rank leaves the scale as it is."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = DROPOUT
    """Share of the adapter's inputs that is zeroed in training. Guide: 0.0-0.2, higher against overfitting."""
    target_modules: TargetModules = "all-linear"
    """Layers that get an adapter, by the last part of their name (`[q_proj, v_proj]`); `all-linear` (also said `auto`)
    means every linear layer of the decoder but not the head, `attention` those of the attention only. All
    layers are the default: they learn more than a higher rank on attention alone (Dettmers et al. 2023, fig. 2)."""
    bias: Literal["none"] = "none"
    """Biases stay frozen: an adapter with biases could not be exported as a GGUF adapter."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) instead of alpha / r (Kalajdzievski 2023), so that high ranks keep learning."""
    rank_pattern: dict[ModuleName, Rank] = Field(default_factory=dict)
    """Another rank for some layers: name (or regular expression on the full name) -> rank."""
    alpha_pattern: dict[ModuleName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Another alpha for some layers: name (or regular expression on the full name) -> alpha."""

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = dict(given)
        rank = given.get("r")
        if "alpha" not in given and isinstance(rank, int) and not isinstance(rank, bool) and rank > 0:
            given["alpha"] = 2 * rank
        return given


class FullMethod(Config):
    """Every weight learns. Memory: about 16 bytes a parameter in float32 (weight, gradient, two moments of AdamW)."""

    type: Literal["full"] = "full"
    """full."""


METHODS: dict[str, type[Config]] = {"lora": LoraMethod, "full": FullMethod}
PLANNED = ("qlora", "dora", "adalora", "loha", "lokr", "vera", "ia3", "prefix_tuning", "prompt_tuning", "oft")
"""Methods that are known by name and not there yet."""


def _known(given: Any) -> Any:
    """Refuses a type that is not there, before the union is tried; a mapping without type means lora."""
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        return given
    name = given.get("type", "lora")
    if str(name).lower() in PLANNED:
        raise problem_at("type", f"the method {name!r} is not there yet; there is: {', '.join(METHODS)}", name)
    if not isinstance(name, str) or name not in METHODS:
        raise problem_at("type", f"there is no method {name!r}; {did_you_mean(str(name), METHODS)}", name)
    return {"type": name, **given}


MethodConfig = Annotated[
    Annotated[LoraMethod | FullMethod, Field(discriminator="type")],
    BeforeValidator(_known, json_schema_input_type=LoraMethod | FullMethod | Literal["lora", "full"]),
]
"""The method's config, told apart by `type`."""

LEARNING_RATES = {"lora": 2e-4, "full": 5e-5}
"""Default learning rate by method: LoRA begins at a product of zero and wants more than all weights together
(lora: the guides' usual figure; full: transformers' default)."""
