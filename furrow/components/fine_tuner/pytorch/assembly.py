"""Puts one run together: the loop, with everything in it that the config asks for and the model allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from furrow.components.events import Emit, Noted
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import Placement, accelerator_for
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan
from furrow.components.fine_tuner.pytorch.engine.compile import LayerCompiler, layers_of
from furrow.components.fine_tuner.pytorch.engine.dropout import RowSeeds, by_rows
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.frozen_trunk import FrozenTrunk
from furrow.components.fine_tuner.pytorch.engine.fused import Fused, fuse
from furrow.components.fine_tuner.pytorch.engine.heap import keep_freed_memory
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.engine.memory import token_budget
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.fine_tuner.pytorch.engine.packing import pack
from furrow.components.fine_tuner.pytorch.engine.shortage import Shortage
from furrow.components.fine_tuner.pytorch.engine.trunk_limits import make_trunk
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import read_numbers
from furrow.components.fine_tuner.pytorch.model.rank_cuts import method_hooks
from furrow.components.fine_tuner.pytorch.objectives.table import make_objective
from furrow.components.fine_tuner.pytorch.optimizing.optimizers import make_optimizer
from furrow.components.fine_tuner.pytorch.optimizing.schedules import make_schedule
from furrow.components.records import AnyExample, Example, longest
from furrow.components.stored.views import Chained
from furrow.components.tokens import refuse_unknown_tokens


def assemble(
    config: PyTorchConfig, model: Any, placement: Placement, pad_id: int, request: TrainingRequest, emit: Emit
) -> TrainingLoop:
    """The loop, ready to run; notes say where the model does not allow what would be quicker."""
    arguments, seeds = config.training_args, RowSeeds()
    off = by_rows(model, seeds)
    if off:
        emit(Noted(message=f"dropout of the base that cannot belong to rows is off: {', '.join(off)}"))
    fused = _make_quick(config, model, placement, emit)
    rows = _packed(config, request)
    plan = BatchPlan(
        rows=len(rows),
        effective_rows=arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps,
        epochs=arguments.num_train_epochs,
        max_steps=arguments.max_steps,
        seed=request.order_seed,
    )
    if request.resume is not None:
        state = read_numbers(request.resume)
        plan = plan.after(state["step"], state.get("plan"))
    everything = Chained(rows, request.evaluation)
    refuse_unknown_tokens(model, [[everything.largest_id]])
    budget = token_budget(arguments.micro_batch_tokens, placement.device, _kind_of_run(config, placement))
    forward = Forward(model, pad_id=pad_id, longest=everything.longest, seeds=seeds, budget=budget)
    budget.too_much = Shortage(config, forward, placement.compute).error
    if forward.why_padded:
        emit(Noted(message=f"rows are padded: {forward.why_padded}"))
    optimizer = make_optimizer(model, arguments, config.method, placement.device)
    loop = TrainingLoop(
        model=model,
        forward=forward,
        objective=make_objective(config.objective),
        optimizer=optimizer,
        schedule=make_schedule(optimizer, arguments, plan.total_steps),
        accelerator=accelerator_for(placement),
        arguments=arguments,
        plan=plan,
        train=rows,
        evaluation=request.evaluation,
        budget=budget,
        seeds=seeds,
        emit=_compiler(config, forward, fused, plan.total_steps, emit).emit,
        after_step=lambda step, evaluated: True,
        hooks=method_hooks(model, config.method, plan.total_steps),
        stop=request.stop,
    )
    forward.trunk = _trunk(config, loop, request, emit)
    return loop


def _packed(config: PyTorchConfig, request: TrainingRequest) -> Sequence[AnyExample]:
    asked = config.training_args.packing
    if not (config.objective.type == "pretrain" if asked is None else asked):
        return request.train
    rows = cast(Sequence[Example], request.train)
    return pack(rows, request.max_length or longest(rows))


def _make_quick(config: PyTorchConfig, model: Any, placement: Placement, emit: Emit) -> Fused:
    if placement.device.type == "cpu":
        keep_freed_memory()
    autocast = placement.accelerate_precision != "no"
    with evaluating(model):  # what is fused is compared with what it replaces, and dropout would differ
        fused = Fused() if config.training_args.torch_compile else fuse(model, autocast=autocast)
    if fused.counts:
        emit(Noted(message=f"computed in fused form: {fused}"))
    return fused


def _compiler(config: PyTorchConfig, forward: Forward, fused: Fused, steps: int, emit: Emit) -> LayerCompiler:
    asked = config.training_args.torch_compile
    if asked is None and fused.counts["gated MLPs"]:
        asked = False  # compiled layers are no quicker than fused ones (docs/log.md)
    compiler = LayerCompiler(layers_of(forward.decoder), asked, steps, emit, fused)
    compiler.begin()
    return compiler


def _trunk(config: PyTorchConfig, loop: TrainingLoop, request: TrainingRequest, emit: Emit) -> FrozenTrunk | None:
    """What the frozen layers below the first trained one make of the rows that are seen more than once."""
    measured_before = config.objective.type in ("dpo", "kto")
    train_again = measured_before or loop.plan.total_steps > loop.plan.steps_per_epoch
    evaluated = config.training_args.eval_strategy != "no"
    return make_trunk(
        loop.forward,
        Chained(loop.train if train_again else (), request.evaluation if evaluated else ()),
        folder=request.checkpoints.parent,
        gib=config.hardware.optimization.activation_cache_gb,
        asked=getattr(config.method, "layers_to_transform", None) is not None,
        autocast=loop.accelerator.autocast,
        emit=emit,
    )


def _kind_of_run(config: PyTorchConfig, placement: Placement) -> str:
    """What else the largest micro-batch depends on, beside the device."""
    parts = [config.base_model.label, config.method.type, config.objective.type, placement.accelerate_precision]
    checkpointing = config.hardware.optimization.gradient_checkpointing
    return ", ".join([*parts, *(["gradient checkpointing"] if checkpointing else [])])
