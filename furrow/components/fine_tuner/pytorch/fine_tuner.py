"""The fine-tuner `pytorch`: puts base, method, loop and checkpoints together and publishes the model that is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from furrow.components.errors import FurrowError
from furrow.components.events import CheckpointSaved, Emit, Evaluated, StageStarted, TrainingEnded, TrainingStarted
from furrow.components.fine_tuner.pytorch.batches import seed_of
from furrow.components.fine_tuner.pytorch.checkpoints import Checkpoints, save_model
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import Placement, accelerator_for, choose
from furrow.components.fine_tuner.pytorch.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.method import FullMethod
from furrow.components.fine_tuner.pytorch.model import apply_method, count_parameters, load_base, load_tokenizer
from furrow.components.publish import publishing
from furrow.components.records import Example

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass
class PyTorchFineTuner:
    """Implements `FineTuner`."""

    config: PyTorchConfig

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.config.base_model)

    def verify(self) -> None:
        choose(self.config.hardware)

    def train(
        self,
        train: Sequence[Example],
        evaluation: Sequence[Example],
        *,
        order_seed: int | None,
        checkpoints: Path,
        final_model: Path,
        beside: Mapping[str, str],
        emit: Emit,
    ) -> None:
        placement = choose(self.config.hardware)
        emit(StageStarted(stage=f"loading {self.config.base_model.label}"))
        model = self._trainable_model(placement)
        saved = Checkpoints(checkpoints, self.config.training_args.save_total_limit)
        best = _Best(self.config.training_args.metric_for_best_model)
        loop = TrainingLoop(
            model=model,
            accelerator=accelerator_for(placement),
            arguments=self.config.training_args,
            train=train,
            evaluation=evaluation,
            order_seed=order_seed,
            pad_id=self._pad_id(),
            emit=emit,
            after_step=lambda step, evaluated: self._save_if_due(loop, best, saved, step, evaluated),
        )
        trained, total = count_parameters(model)
        emit(
            TrainingStarted(
                total_steps=loop.plan.total_steps,
                effective_batch_rows=loop.plan.effective_rows,
                trainable_parameters=trained,
                total_parameters=total,
                device=str(placement.device),
                dtype=str(placement.compute).removeprefix("torch."),
            )
        )
        started = time.perf_counter()
        train_loss = loop.run()
        last_step = loop.plan.total_steps
        if self.config.training_args.load_best_model_at_end and best.step is not None and best.step != last_step:
            _load_weights(model, saved.path(best.step) / "model")
        with publishing(final_model, overwrite=True) as staging:
            save_model(model, self.tokenizer, staging)
            for name, text in beside.items():
                (staging / name).write_text(text, encoding="utf-8")
        emit(
            TrainingEnded(
                step=last_step,
                best_step=best.step if self.config.training_args.load_best_model_at_end and best.step else last_step,
                train_loss=train_loss,
                best_metric=best.value,
                seconds=time.perf_counter() - started,
            )
        )

    def _trainable_model(self, placement: Placement) -> Any:
        config = self.config
        torch.manual_seed(seed_of(config.training_args.seed, 0))  # fresh weights and the adapter's beginning
        if placement.device.type == "cuda" and config.hardware.precision.cuda.use_tf32 is not None:
            torch.backends.cuda.matmul.allow_tf32 = config.hardware.precision.cuda.use_tf32
        dtype = _DTYPES.get(config.base_model.torch_dtype, placement.compute)
        if isinstance(config.method, FullMethod):
            dtype = torch.float32  # updates smaller than a 16-bit rounding step would be lost
        base = load_base(config.base_model, dtype)
        if config.base_model.builtin is not None:
            name = f"builtin:{config.base_model.builtin}"
        else:
            name = config.base_model.huggingface_id or str(Path(str(config.base_model.path)).expanduser().resolve())
        model = apply_method(base, config.method, name)
        if config.hardware.optimization.gradient_checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        return model.to(placement.device)

    def _pad_id(self) -> int:
        """Padding is masked and never learned; any token serves where the tokenizer names none."""
        return next(i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0) if i is not None)

    def _save_if_due(
        self, loop: TrainingLoop, best: _Best, saved: Checkpoints, step: int, evaluated: Evaluated | None
    ) -> None:
        improved = evaluated is not None and best.improves(evaluated)
        if improved and self.config.training_args.load_best_model_at_end:
            saved.best_step = step
        elif not loop.save_due(step):
            return
        path = saved.save(step, loop.model, self.tokenizer)
        loop.emit(CheckpointSaved(step=step, path=str(path)))


@dataclass
class _Best:
    """The best evaluation so far; both metrics are better when smaller."""

    metric: str
    value: float | None = field(default=None, init=False)
    step: int | None = field(default=None, init=False)

    def improves(self, evaluated: Evaluated) -> bool:
        value = float(getattr(evaluated, self.metric))
        if math.isnan(value) or (self.value is not None and value >= self.value):
            return False
        self.value, self.step = value, evaluated.step
        return True


def _load_weights(model: Any, folder: Path) -> None:
    """Puts saved weights (an adapter's, or all) back into the model that wrote them."""
    adapter = folder / "adapter_model.safetensors"
    if adapter.is_file():
        set_peft_model_state_dict(model, load_file(adapter))
        return
    shards = sorted(folder.glob("*.safetensors"))
    weights = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    if unexpected or set(missing) - tied:
        raise FurrowError(
            f"{folder} does not hold the weights of this model: {sorted(set(missing) - tied) or unexpected}"
        )
