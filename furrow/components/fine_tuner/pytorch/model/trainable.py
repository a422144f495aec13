"""The model as a run trains it: the base in its number type, the method on it, on its device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import Placement
from furrow.components.fine_tuner.pytorch.engine.batches import seed_of
from furrow.components.fine_tuner.pytorch.engine.nonfinite import nonfinite_weight
from furrow.components.fine_tuner.pytorch.method import FullMethod
from furrow.components.fine_tuner.pytorch.model.adapters import apply_method
from furrow.components.fine_tuner.pytorch.model.load import load_base
from furrow.components.fine_tuner.pytorch.objectives.last_token import make_ready

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_PYTORCHS_TF32 = torch.backends.cuda.matmul.allow_tf32
"""As it is before a run of this process sets it."""


def trainable_model(
    config: PyTorchConfig, placement: Placement, labels: tuple[str, ...] | None, tokenizer: Callable[[], Any]
) -> Any:
    """The base with what the method trains, equal for equal seeds. `labels`: the classes of a head on the last token;
    None for a model that writes text."""
    torch.manual_seed(seed_of(config.training_args.seed, 0))  # fresh weights and the adapter's beginning
    if placement.device.type == "cuda":
        asked = config.hardware.precision.cuda.use_tf32
        torch.backends.cuda.matmul.allow_tf32 = _PYTORCHS_TF32 if asked is None else asked
    dtype = _DTYPES.get(config.base_model.torch_dtype, placement.compute)
    if isinstance(config.method, FullMethod):
        dtype = torch.float32  # updates smaller than a 16-bit rounding step would be lost
    base = load_base(config.base_model, dtype, config.method, placement.device, labels)
    if labels is not None:
        make_ready(base, tokenizer())
    model = apply_method(base, config.method, config.base_model.name)
    if placement.accelerate_precision != "no":
        _learn_in_float32(model)
    if config.hardware.optimization.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        # PEFT makes the embeddings differentiable, as reentrant checkpointing needs; this kind does not, and frozen
        # layers would only be computed once more.
        base.disable_input_require_grads()
    model = model.to(placement.device)
    _refuse_nonfinite(model, config)
    return model


def _refuse_nonfinite(model: Any, config: PyTorchConfig) -> None:
    """Weights that are nan or inf before anything was learned: the file holds them, or the number type has no room for
    what it holds (bfloat16's range is float32's, float16 ends at 65,504)."""
    found = nonfinite_weight(model.named_parameters())
    if found is None:
        return
    name, value = found
    adapter = getattr(config.method, "init_from", None) if ".default" in name else None
    dtype = str(model.get_parameter(name).dtype).removeprefix("torch.")
    raise FurrowError(
        f"{f'the adapter {adapter}' if adapter else f'the base model {config.base_model.label}'} holds {value} in "
        f"{name.removeprefix('base_model.model.').replace('.base_layer.', '.')} (as {dtype})",
        where="method.init_from" if adapter else "base_model",
        remedy="no training can mend it; take another one, or a number type with its range (bfloat16, float32)",
    )


def _learn_in_float32(model: Any) -> None:
    """PEFT raises its own matrices only: copies (`modules_to_save`) and biases would lose every update below a 16-bit
    rounding step, and the scaler of fp16 refuses their gradients. Autocast computes the products as before."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


class Loading:
    """A call in a thread of its own, and what came of it. Python waits for it when it ends: a daemon that torch is busy
    in then can abort the process, with a core dump in place of the message why the run ended."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._found: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), name="loading the model")
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
