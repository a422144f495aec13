"""What the table's row `exporter: ollama` points at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from furrow.components.checks import Check, check_package
from furrow.components.config import Config
from furrow.components.exporter.gguf.component import Quantization
from furrow.components.ollama_api import check_reachable
from furrow.components.registry import Component


class OllamaExporterConfig(Config):
    """Settings of the exporter `ollama`."""

    quantization: Quantization = "f16"
    """Number type of the weights, as for the exporter `gguf`."""
    registration: Literal["auto", "always", "never"] = "auto"
    """auto gives the model to the server that answers; when none does, a warning says how to register it later. always
    makes an absent server an error, before any work. never writes the files only."""
    host: str | None = None
    """Where Ollama answers, `host:port` or a URL; default: OLLAMA_HOST, else 127.0.0.1:11434."""


def _checks(config: OllamaExporterConfig) -> Iterable[Check]:
    yield check_package("llama-cpp-python", "llama-cpp")
    if config.registration != "never":
        yield check_reachable(config.host, absent="failed" if config.registration == "always" else "warning")


COMPONENT = Component(
    summary="a GGUF file with a Modelfile, given to Ollama where a server answers",
    config=OllamaExporterConfig,
    factory="furrow.components.exporter.ollama.export:OllamaExporter",
    requires=("gguf", "llama-cpp-python", "torch", "transformers", "peft", "safetensors"),
    extra="llama-cpp",
    checks=_checks,
)
