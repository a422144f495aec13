"""Which weights learn: the table of all methods. A further method is a further class in `METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from furrow.components.config import problem_at
from furrow.components.errors import did_you_mean
from furrow.components.fine_tuner.pytorch.methods.adaptive import AdaloraMethod, Ia3Method
from furrow.components.fine_tuner.pytorch.methods.low_rank import (
    DoraMethod,
    LoraMethod,
    LoraplusMethod,
    PissaMethod,
    RsloraMethod,
)
from furrow.components.fine_tuner.pytorch.methods.prompts import PrefixMethod, PromptMethod
from furrow.components.fine_tuner.pytorch.methods.quantized import QloraMethod
from furrow.components.fine_tuner.pytorch.methods.shared import Method

__all__ = ["LEARNING_RATES", "METHODS", "FullMethod", "LoraMethod", "MethodConfig", "default_learning_rate"]

_NO_ADAPTER = "every weight learns; leave it out, or say `type: lora`"


class FullMethod(Method):
    """Every weight learns. Memory: about 16 bytes a parameter in float32 (weight, gradient, two moments of AdamW)."""

    not_here: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("r", "alpha", "dropout", "target_modules", "layers_to_transform", "bias"), _NO_ADAPTER),
        "modules_to_save": "every module learns and is saved; leave it out",
        "init_from": "whole weights to go on from are a base model: name their folder as base_model.path",
        "quantization": "quantised weights cannot learn; say `type: qlora`",
    }
    idle: ClassVar[Mapping[str, str]] = {
        "components.fine_tuner.config.base_model.torch_dtype": "method is full, and what learns is held in float32"
    }

    type: Literal["full"] = "full"
    """full."""

    def not_exported(self) -> Mapping[str, str]:
        return {"gguf-adapter": "the whole weights are trained and there is no adapter; say to_gguf"}


METHODS: dict[str, type[Method]] = {
    "lora": LoraMethod,
    "full": FullMethod,
    "qlora": QloraMethod,
    "dora": DoraMethod,
    "pissa": PissaMethod,
    "rslora": RsloraMethod,
    "loraplus": LoraplusMethod,
    "adalora": AdaloraMethod,
    "ia3": Ia3Method,
    "prefix": PrefixMethod,
    "prompt": PromptMethod,
}
ALSO_CALLED = {
    "prefix_tuning": "prefix",
    "prompt_tuning": "prompt",
    "lora+": "loraplus",
    "lora_plus": "loraplus",
}
"""Other spellings of the guides and of PEFT."""
PLANNED = ("loha", "lokr", "vera", "oft", "boft", "p_tuning", "hra", "fourierft", "ln_tuning", "adaption_prompt")
"""Methods that are known by name and not there yet."""


def _known(given: Any) -> Any:
    """Refuses a type that is not there, before the union is tried; a mapping without type means lora."""
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        return given
    name = given.get("type", "lora")
    name = ALSO_CALLED.get(name.lower(), name) if isinstance(name, str) else name
    if str(name).lower() in PLANNED:
        raise problem_at("type", f"the method {name!r} is not there yet; there is: {', '.join(METHODS)}", name)
    if not isinstance(name, str):
        raise problem_at("type", f"one method is wanted: {', '.join(METHODS)}", name)
    if name not in METHODS:
        raise problem_at("type", f"there is no method {name!r}; {did_you_mean(name, METHODS)}", name)
    return {**given, "type": name}


AnyMethod = (
    LoraMethod
    | FullMethod
    | QloraMethod
    | DoraMethod
    | PissaMethod
    | RsloraMethod
    | LoraplusMethod
    | AdaloraMethod
    | Ia3Method
    | PrefixMethod
    | PromptMethod
)
MethodName = Literal[
    "lora", "full", "qlora", "dora", "pissa", "rslora", "loraplus", "adalora", "ia3", "prefix", "prompt",
    "prefix_tuning", "prompt_tuning", "lora+", "lora_plus",
]  # fmt: skip
MethodConfig = Annotated[
    Annotated[AnyMethod, Field(discriminator="type")],
    BeforeValidator(_known, json_schema_input_type=AnyMethod | MethodName),
]
"""The method's config, told apart by `type`."""

LEARNING_RATES = {
    "lora": 2e-4,  # the guides' usual figure: LoRA begins at a product of zero and wants more than all weights together
    "full": 5e-5,  # transformers' default
    "qlora": 2e-4,  # Dettmers et al. 2023, table 9, for 7 to 13 B parameters
    "dora": 1e-4,  # the guides: 5e-5 to 2e-4, below LoRA's
    "pissa": 2e-5,  # Meng et al. 2024, section 5.1: the largest components move the model most
    "rslora": 5e-5,  # at the default rank its scale is four times LoRA's: a quarter of LoRA's rate
    "loraplus": 1e-4,  # of A; PEFT's advice: half of LoRA's, for B learns 16 times as fast
    "adalora": 1e-3,  # Zhang et al. 2023, appendix: 5e-4 to 3e-3
    "ia3": 3e-3,  # Liu et al. 2022, section 3
    "prefix": 1e-2,  # PEFT's example
    "prompt": 3e-2,  # PEFT's example
}
"""Default learning rate by method, each with its source."""


def default_learning_rate(method: Any) -> float | None:
    """Of a method as it is written (a name or a mapping), lora where none is named; None for what is no method."""
    kind = method.get("type", "lora") if isinstance(method, Mapping) else method
    return LEARNING_RATES.get(ALSO_CALLED.get(kind.lower(), kind)) if isinstance(kind, str) else None
