"""QLoRA: LoRA on a base whose frozen weights are held in four or eight bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from furrow.components.config import problem_at
from furrow.components.fine_tuner.pytorch.methods.shared import GoesOn, LowRank


class QloraMethod(LowRank, GoesOn):
    """QLoRA (Dettmers et al. 2023, arXiv:2305.14314): LoRA on a base that bitsandbytes holds in 4 or 8 bits. What is
    merged and exported is the base as it was trained on, its quantised weights written out in full."""

    not_here: ClassVar[Mapping[str, str]] = {
        **{name: why for name, why in LowRank.not_here.items() if "quantization" not in name},
        "load_in_4bit": "say quantization: nf4",
        "load_in_8bit": "say quantization: int8",
        "bnb_4bit_quant_type": "say quantization",
        "bnb_4bit_use_double_quant": "say double_quantization",
        "bnb_4bit_compute_dtype": "say compute_dtype",
    }

    type: Literal["qlora"] = "qlora"
    """qlora."""
    quantization: Literal["nf4", "fp4", "int8"] = "nf4"
    """How the frozen weights are held: nf4 and fp4 in 4 bits (nf4 fits normally distributed weights better), int8 in 8,
    where the inputs of each product are rounded too (LLM.int8(), Dettmers et al. 2022)."""
    double_quantization: bool = True
    """Hold the scales of the 4-bit blocks in 8 bits: 0.37 bit a parameter less. int8 has none."""
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type in which 4-bit weights are multiplied; auto takes that of the training. int8 has its own."""

    @model_validator(mode="before")
    @classmethod
    def _eight_bits_have_no_scales(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        if given.get("quantization") == "int4":
            raise problem_at("quantization", "there are two 4-bit types: say nf4 (or fp4)", "int4")
        if given.get("quantization") != "int8":
            return given
        if given.get("double_quantization"):
            why = "int8 has one scale a row and nothing to quantise twice; leave it out, or use nf4"
            raise problem_at("double_quantization", why, True)
        if given.get("compute_dtype", "auto") != "auto":
            why = "int8 multiplies in its own type; leave it out, or use nf4"
            raise problem_at("compute_dtype", why, given["compute_dtype"])
        return {**given, "double_quantization": False}

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What transformers' BitsAndBytesConfig is told; `compute_dtype` is apart, for it depends on the device."""
        if self.quantization == "int8":
            return {"load_in_8bit": True}
        return {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": self.quantization,
            "bnb_4bit_use_double_quant": self.double_quantization,
        }
