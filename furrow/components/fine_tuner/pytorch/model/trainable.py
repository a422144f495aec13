"""The model as a run trains it: the base in its number type, the method on it, on its device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from furrow.components.base_models import BaseModelConfig
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import Placement
from furrow.components.fine_tuner.pytorch.engine.batches import seed_of
from furrow.components.fine_tuner.pytorch.method import FullMethod
from furrow.components.fine_tuner.pytorch.model.adapters import apply_method
from furrow.components.fine_tuner.pytorch.model.load import load_base
from furrow.components.fine_tuner.pytorch.objectives.last_token import make_ready

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def trainable_model(
    config: PyTorchConfig, placement: Placement, labels: tuple[str, ...] | None, tokenizer: Callable[[], Any]
) -> Any:
    """The base with what the method trains, equal for equal seeds. `labels`: the classes of a head on the last token;
    None for a model that writes text."""
    torch.manual_seed(seed_of(config.training_args.seed, 0))  # fresh weights and the adapter's beginning
    if placement.device.type == "cuda" and config.hardware.precision.cuda.use_tf32 is not None:
        torch.backends.cuda.matmul.allow_tf32 = config.hardware.precision.cuda.use_tf32
    dtype = _DTYPES.get(config.base_model.torch_dtype, placement.compute)
    if isinstance(config.method, FullMethod):
        dtype = torch.float32  # updates smaller than a 16-bit rounding step would be lost
    base = load_base(config.base_model, dtype, config.method, placement.device, labels)
    if labels is not None:
        make_ready(base, tokenizer())
    model = apply_method(base, config.method, _name(config.base_model))
    if config.hardware.optimization.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        # PEFT makes the embeddings differentiable, as reentrant checkpointing needs; this kind does not, and frozen
        # layers would only be computed once more.
        base.disable_input_require_grads()
    return model.to(placement.device)


def _name(base: BaseModelConfig) -> str:
    """What an adapter calls its base, so that it is found from any folder."""
    if base.builtin is not None:
        return f"builtin:{base.builtin}"
    return base.huggingface_id or str(Path(str(base.path)).expanduser().resolve())


class Loading:
    """A call in a thread of its own, and what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._found: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True, name="loading the model")
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self._found = work()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """What the call returned, or what it raised. The second time there is nothing: who has it keeps it."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        found, self._found = self._found, None
        return found
