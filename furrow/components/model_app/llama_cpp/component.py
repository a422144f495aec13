"""What the table's row `model_app: llama_cpp` points at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from furrow.components.checks import Check, check_package
from furrow.components.config import Config, Free
from furrow.components.registry import Component


class LlamaCppConfig(Config):
    """Settings of the model app `llama_cpp`."""

    gguf: str | None = None
    """The GGUF file to answer with; default: the newest `*.gguf` among the exports of the run."""
    context: Annotated[int, Field(ge=0)] = 0
    """Most tokens that prompt and answer may have together; 0 takes the length that the model was trained for. Memory
    is taken for what an answer needs, not for the limit."""
    threads: Annotated[int, Field(ge=0), Free("answers are the same, to the last bits of the numbers")] = 0
    """CPU threads; 0 takes the cores that are free. Too many are far slower than too few: llama.cpp's threads spin, and
    two of them on cores that were busy fell from 900 to 10 tokens/s."""

    @property
    def lacks_own_model(self) -> str | None:
        """What is missing for answering with a model that the strategy did not train."""
        return None if self.gguf else "set gguf to the file of the model"


def _checks(config: LlamaCppConfig) -> Iterable[Check]:
    yield check_package("llama-cpp-python", "llama-cpp")
    if config.gguf is not None:
        file = Path(config.gguf).expanduser()
        if file.is_file():
            yield Check("GGUF file", "passed", f"{file} ({file.stat().st_size:,} bytes)")
        else:
            yield Check(
                "GGUF file", "failed", f"{file} is not there", "make it with `furrow convert`, or leave gguf out"
            )


COMPONENT = Component(
    summary="a GGUF file answers through llama.cpp",
    config=LlamaCppConfig,
    factory="furrow.components.model_app.llama_cpp.app:LlamaCppApp",
    requires=("llama-cpp-python", "numpy"),
    extra="llama-cpp",
    checks=_checks,
)
