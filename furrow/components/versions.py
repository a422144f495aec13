"""Which Python, platform and packages this is: those that decide what a run computes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from functools import cache

import furrow

PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "bitsandbytes", "trl", "gguf",
    "llama-cpp-python",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Name -> version; what is not installed is not in it."""
    found = {"furrow": furrow.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
