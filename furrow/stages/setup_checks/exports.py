"""What the exports need beyond their packages being listed as installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from furrow.components.checks import Check
from furrow.stages.setup_checks.packages import needed
from furrow.strategies.schema import ExportConfig
from furrow.strategies.wiring import Wired


def check_exports(export: ExportConfig, wired: list[Wired]) -> Iterator[Check]:
    """llama.cpp's library where a GGUF is written or answers: each GGUF is compared with the model through it."""
    kinds = [one.type for one in wired if one.slot == "exporter"]
    if "llama-cpp-python" in needed(wired):
        yield _check_llama_cpp()
    if kinds:
        quantised = f" as {export.quantization}" if {"gguf", "ollama"} & set(kinds) else ""
        yield Check("exports", "passed", f"after training: {', '.join(kinds)}{quantised}")
    else:
        yield Check("exports", "passed", "none asked for; `convert` can make them later")


def _check_llama_cpp() -> Check:
    """Finds the module without importing it: loading its library takes a second and prints."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is not None:
        return Check("llama.cpp", "passed", f"found in {spec.origin}")
    remedy = "pip install 'furrow[llama-cpp]' (builds with a C++ compiler, about 10 minutes on 2 cores)"
    return Check("llama.cpp", "failed", "the module llama_cpp is not there; no GGUF can be verified without it", remedy)
