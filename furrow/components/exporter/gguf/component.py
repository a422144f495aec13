"""What the table's rows `exporter: gguf` and `exporter: gguf-adapter` point at."""

from __future__ import annotations

from typing import Literal

from furrow.components.config import Config
from furrow.components.registry import Component

Quantization = Literal[
    "f32", "f16", "bf16", "q8_0",
    "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0",
    "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs",
    "q3_k_l", "q3_k_m", "q3_k_s", "iq3_m", "iq3_s", "q2_k",
]  # fmt: skip
"""Every number type of llama.cpp that needs no importance matrix and suits weights of any model."""


class GgufConfig(Config):
    """Settings of the exporter `gguf`."""

    quantization: Quantization = "f16"
    """Number type of the weights, largest first: f32 loses nothing, f16 half the size, q8_0 a quarter, q4_k_m about a
    seventh. The k-quants want rows that 256 divides; other rows get a larger type."""


class GgufAdapterConfig(Config):
    """Settings of the exporter `gguf-adapter`."""

    quantization: Literal["f32", "f16", "bf16"] = "f16"
    """Number type of the adapter's matrices; they are small, and llama.cpp quantises no adapters."""


_REQUIRES = ("gguf", "llama-cpp-python", "torch", "transformers", "peft", "safetensors")

COMPONENT = Component(
    summary="one GGUF file for llama.cpp, Ollama and their kin, verified against the model",
    config=GgufConfig,
    factory="furrow.components.exporter.gguf.export:GgufExporter",
    requires=_REQUIRES,
    extra="llama-cpp",
)

ADAPTER_COMPONENT = Component(
    summary="the LoRA adapter alone as a GGUF file, to be put on the base model's GGUF",
    config=GgufAdapterConfig,
    factory="furrow.components.exporter.gguf.adapter_export:GgufAdapterExporter",
    requires=_REQUIRES,
    extra="llama-cpp",
)
