"""The fine-tuner `pytorch`: puts base, method, loop and checkpoints together and publishes the model that is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from furrow.components.events import Emit, Evaluated, Noted, StageStarted, TrainingEnded, TrainingStarted
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.adapters import apply_method
from furrow.components.fine_tuner.pytorch.batches import BatchPlan, seed_of
from furrow.components.fine_tuner.pytorch.checkpoints import Checkpoints, save_model
from furrow.components.fine_tuner.pytorch.compile import LayerCompiler
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import Placement, accelerator_for, choose
from furrow.components.fine_tuner.pytorch.dropout import RowSeeds, by_rows
from furrow.components.fine_tuner.pytorch.forward import Forward
from furrow.components.fine_tuner.pytorch.frozen_trunk import FrozenTrunk
from furrow.components.fine_tuner.pytorch.fused import Fused, fuse
from furrow.components.fine_tuner.pytorch.heap import keep_freed_memory
from furrow.components.fine_tuner.pytorch.keeper import Keeper
from furrow.components.fine_tuner.pytorch.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.memory import token_budget
from furrow.components.fine_tuner.pytorch.method import FullMethod
from furrow.components.fine_tuner.pytorch.model import count_parameters, load_base, load_tokenizer
from furrow.components.fine_tuner.pytorch.objectives.last_token import make_ready
from furrow.components.fine_tuner.pytorch.objectives.table import make_objective
from furrow.components.fine_tuner.pytorch.optimizers import check_optimizer, make_optimizer, optimizer_notes
from furrow.components.fine_tuner.pytorch.packing import pack
from furrow.components.fine_tuner.pytorch.rank_cuts import method_hooks
from furrow.components.fine_tuner.pytorch.samples import sample
from furrow.components.fine_tuner.pytorch.schedules import make_schedule
from furrow.components.fine_tuner.pytorch.trunk_limits import make_trunk
from furrow.components.publish import publishing
from furrow.components.records import AnyExample, Example, total_tokens

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass
class PyTorchFineTuner:
    """Implements `FineTuner`."""

    config: PyTorchConfig
    _loading: _Loading | None = field(default=None, init=False)

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.config.base_model)

    def verify(self) -> None:
        check_optimizer(self.config.training_args, choose(self.config.hardware).device)

    def start(self) -> None:
        """Begins to load the model in a thread of its own, while the caller prepares data. Errors wait for `train`.

        The head of a classifier has as many rows as the data has classes: it waits for them.
        """
        if self.config.objective.type != "classification":
            self._load(("reward",) if self.config.objective.type == "reward" else None)

    def _after_step(
        self, kept: Keeper, loop: TrainingLoop, request: TrainingRequest, step: int, evaluated: Evaluated | None
    ) -> bool:
        """Shows what the model answers by now, saves what is to be kept; says whether to go on."""
        if evaluated is not None or step == loop.plan.total_steps:
            self._sample(loop, request, step)
        return kept.after_step(step, evaluated)

    def _sample(self, loop: TrainingLoop, request: TrainingRequest, step: int) -> None:
        if request.samples:
            with loop.accelerator.autocast():
                sample(loop.model, self.tokenizer, request.samples, step, loop.emit)

    def _load(self, labels: tuple[str, ...] | None) -> _Loading:
        if self._loading is None:
            placement = choose(self.config.hardware)
            self._loading = _Loading(lambda: self._trainable_model(placement, labels))
        return self._loading

    def train(self, request: TrainingRequest, emit: Emit) -> None:
        placement = choose(self.config.hardware)
        emit(StageStarted(stage=f"loading {self.config.base_model.label}"))
        self.start()
        model = self._load(request.labels).result()
        loop = self._loop(model, placement, request, emit)
        loop.forward.trunk = self._trunk(loop, request, emit)
        kept = Keeper(self.config.training_args, loop, Checkpoints(request.checkpoints, self._limit), self.tokenizer)
        loop.after_step = lambda step, evaluated: self._after_step(kept, loop, request, step, evaluated)
        with torch.no_grad(), loop.accelerator.autocast():
            model.eval()
            loop.objective.prepare([*request.train, *request.evaluation], loop.forward, emit)
            model.train()
        if request.resume is not None:  # after prepare, which may want to see the model as it was at first
            kept.resume(request.resume)
        for note in optimizer_notes(self.config.training_args, placement.device):
            emit(note)
        emit(self._started(loop, placement))
        if request.resume is None:
            self._sample(loop, request, 0)
        started = time.perf_counter()
        if not kept.over:
            loop.run()
        best = kept.load_best(loop.step)
        with publishing(request.final_model, overwrite=True) as staging:
            save_model(model, self.tokenizer, staging)
            for name, text in request.beside.items():
                (staging / name).write_text(text, encoding="utf-8")
        emit(
            TrainingEnded(
                step=loop.step,
                best_step=best,
                train_loss=loop.train_loss,
                best_metric=kept.best.value,
                seconds=time.perf_counter() - started,
            )
        )

    @property
    def _limit(self) -> int | None:
        return self.config.training_args.save_total_limit

    def _loop(self, model: Any, placement: Placement, request: TrainingRequest, emit: Emit) -> TrainingLoop:
        arguments, seeds = self.config.training_args, RowSeeds()
        by_rows(model, seeds)
        fused = self._make_quick(model, placement, emit)
        rows: Sequence[AnyExample] = request.train
        if self._packs:
            rows = pack(cast(Sequence[Example], rows), request.max_length or max(map(_tokens, rows)))
        plan = BatchPlan(
            rows=len(rows),
            effective_rows=arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps,
            epochs=arguments.num_train_epochs,
            max_steps=arguments.max_steps,
            seed=request.order_seed,
        )
        longest = max(len(one.input_ids) for row in [*rows, *request.evaluation] for one in row.sequences)
        forward = Forward(model, pad_id=self._pad_id(), longest=longest, seeds=seeds)
        if forward.why_padded:
            emit(Noted(message=f"rows are padded: {forward.why_padded}"))
        optimizer = make_optimizer(model, arguments, self.config.method, placement.device)
        return TrainingLoop(
            model=model,
            forward=forward,
            objective=make_objective(self.config.objective),
            optimizer=optimizer,
            schedule=make_schedule(optimizer, arguments, plan.total_steps),
            accelerator=accelerator_for(placement),
            arguments=arguments,
            plan=plan,
            train=rows,
            evaluation=request.evaluation,
            budget=token_budget(arguments.micro_batch_tokens, placement.device, self._about(placement)),
            seeds=seeds,
            emit=self._compiler(forward, fused, plan.total_steps, emit).emit,
            after_step=lambda step, evaluated: True,
            hooks=method_hooks(model, self.config.method, plan.total_steps),
        )

    def _make_quick(self, model: Any, placement: Placement, emit: Emit) -> Fused:
        if placement.device.type == "cpu":
            keep_freed_memory()
        model.eval()  # what is fused is compared with what it replaces, and dropout would differ
        fused = Fused() if self.config.training_args.torch_compile else fuse(model)
        model.train()
        if fused.counts:
            emit(Noted(message=f"computed in fused form: {fused}"))
        return fused

    def _compiler(self, forward: Forward, fused: Fused, steps: int, emit: Emit) -> LayerCompiler:
        asked = self.config.training_args.torch_compile
        if asked is None and fused.counts["gated MLPs"]:
            asked = False  # compiled layers are no quicker than fused ones (docs/log.md)
        layers = next((one for one in forward.decoder.children() if isinstance(one, torch.nn.ModuleList)), ())
        compiler = LayerCompiler(tuple(layers), asked, steps, emit, fused)
        compiler.begin()
        return compiler

    def _trunk(self, loop: TrainingLoop, request: TrainingRequest, emit: Emit) -> FrozenTrunk | None:
        """What the frozen layers below the first trained one make of the rows that are seen more than once."""
        measured_before = self.config.objective.type in ("dpo", "kto")
        train_again = measured_before or loop.plan.total_steps > loop.plan.steps_per_epoch
        evaluated = self.config.training_args.eval_strategy != "no"
        return make_trunk(
            loop.forward,
            [*(loop.train if train_again else ()), *(request.evaluation if evaluated else ())],
            folder=request.checkpoints.parent,
            gib=self.config.hardware.optimization.activation_cache_gb,
            asked=getattr(self.config.method, "layers_to_transform", None) is not None,
            autocast=loop.accelerator.autocast,
            emit=emit,
        )

    @property
    def _packs(self) -> bool:
        asked = self.config.training_args.packing
        return self.config.objective.type == "pretrain" if asked is None else asked

    def _about(self, placement: Placement) -> str:
        """What else the largest micro-batch depends on, beside the device."""
        checkpointing = self.config.hardware.optimization.gradient_checkpointing
        config = self.config
        parts = [config.base_model.label, config.method.type, config.objective.type, placement.accelerate_precision]
        return ", ".join([*parts, *(["gradient checkpointing"] if checkpointing else [])])

    def _started(self, loop: TrainingLoop, placement: Placement) -> TrainingStarted:
        trained, total = count_parameters(loop.model)
        return TrainingStarted(
            total_steps=loop.plan.total_steps,
            effective_batch_rows=loop.plan.effective_rows,
            trainable_parameters=trained,
            total_parameters=total,
            device=str(placement.device),
            dtype=str(placement.compute).removeprefix("torch."),
            micro_batch_tokens=loop.budget.tokens,
        )

    def _trainable_model(self, placement: Placement, labels: tuple[str, ...] | None) -> Any:
        config = self.config
        torch.manual_seed(seed_of(config.training_args.seed, 0))  # fresh weights and the adapter's beginning
        if placement.device.type == "cuda" and config.hardware.precision.cuda.use_tf32 is not None:
            torch.backends.cuda.matmul.allow_tf32 = config.hardware.precision.cuda.use_tf32
        dtype = _DTYPES.get(config.base_model.torch_dtype, placement.compute)
        if isinstance(config.method, FullMethod):
            dtype = torch.float32  # updates smaller than a 16-bit rounding step would be lost
        base = load_base(config.base_model, dtype, config.method, placement.device, labels)
        if labels is not None:
            make_ready(base, self.tokenizer)
        if config.base_model.builtin is not None:
            name = f"builtin:{config.base_model.builtin}"
        else:
            name = config.base_model.huggingface_id or str(Path(str(config.base_model.path)).expanduser().resolve())
        model = apply_method(base, config.method, name)
        if config.hardware.optimization.gradient_checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
            # PEFT makes the embeddings differentiable for reentrant checkpointing; this is not, and would only compute
            # frozen layers once more.
            base.disable_input_require_grads()
        return model.to(placement.device)

    def _pad_id(self) -> int:
        """Padding is masked and never learned; any token serves where the tokenizer names none."""
        return next(i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0) if i is not None)


class _Loading:
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


def _tokens(row: AnyExample) -> int:
    return total_tokens([row])
