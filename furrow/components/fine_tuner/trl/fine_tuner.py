"""The fine-tuner `trl`: hands prompts, rewards and an adapter to TRL's trainer, and publishes what it made."""

from __future__ import annotations

import contextlib
import copy
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from furrow.components.disk.checkpoint_folder import MODEL
from furrow.components.disk.publish import publishing
from furrow.components.disk.space import Space
from furrow.components.disk.storage import StorageError
from furrow.components.errors import RequestError
from furrow.components.events import Emit, StageStarted, TrainingEnded
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.device import Placement, choose
from furrow.components.fine_tuner.pytorch.hardware import HardwareConfig, OptimizationConfig
from furrow.components.fine_tuner.pytorch.keeping.room import model_bytes
from furrow.components.fine_tuner.pytorch.model.adapters import apply_method
from furrow.components.fine_tuner.pytorch.model.load import count_parameters, load_base, load_tokenizer
from furrow.components.fine_tuner.trl.callback import EventsCallback, StopCallback
from furrow.components.fine_tuner.trl.checkpoints import CheckpointCallback, save_adapter
from furrow.components.fine_tuner.trl.component import TrlConfig
from furrow.components.fine_tuner.trl.prompts import Prompt, Prompts, end_ids, verify
from furrow.components.fine_tuner.trl.rewards import reward_folder
from furrow.components.fine_tuner.trl.scoring import Rollouts, names_of, reward_function
from furrow.components.interruption import GivenUp, Interrupted, StopRequest
from furrow.components.stored.views import Chained

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_TRAINERS = {"grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}


@dataclass
class TrlFineTuner:
    """Implements `FineTuner`."""

    config: TrlConfig

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.config.base_model)

    def verify(self) -> None:
        self._placement()
        for reward in self.config.reward:
            if reward.model is not None:
                reward_folder(reward.model)

    def start(self) -> None:
        """Nothing: TRL's trainers load the model themselves."""

    def train(self, request: TrainingRequest, emit: Emit) -> None:
        config, placement = self.config, self._placement()
        if request.resume is not None:
            raise RequestError(
                "a policy optimisation cannot be resumed",
                where=str(request.resume),
                remedy="continue its adapter with method.init_from",
            )
        ends = end_ids(request.train, self.tokenizer)
        verify(request.evaluation)
        self._verify_sizes(len(request.train), len(request.evaluation))
        emit(StageStarted(stage=f"loading {config.base_model.label}"))
        model = self._trainable_model(placement, ends)
        self._space(model, request).require(request.checkpoints, emit)
        rollouts = Rollouts()
        events = EventsCallback(emit, rollouts, placement, count_parameters(model))
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:  # TRL wants a folder; nothing is kept there
            trainer = self._trainer(model, placement, request, rollouts, scratch)
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(events)
            checkpoints = CheckpointCallback(
                config.training_args, request.checkpoints, self.tokenizer, emit, request.stop
            )
            trainer.add_callback(checkpoints)
            trainer.add_callback(StopCallback(request.stop))
            with request.stop.heeding(), _saying_what_a_signal_lost(request.stop, trainer.state):
                with contextlib.suppress(GivenUp):
                    trainer.train()
                last_step = trainer.state.global_step
                if request.stop and last_step < trainer.state.max_steps:
                    raise _interrupted(request.stop, last_step, checkpoints, model)
                checkpoints.patiently(lambda: self._publish(model, request), last_step)
        emit(
            TrainingEnded(
                step=last_step,
                best_step=last_step,
                train_loss=sum(events.losses) / len(events.losses),
                best_metric=None,
                seconds=time.perf_counter() - started,
            )
        )

    def _publish(self, model: Any, request: TrainingRequest) -> None:
        with publishing(request.final_model, overwrite=True, needed=model_bytes(model)) as staging:
            save_adapter(model, self.tokenizer, staging)
            for name, text in request.beside.items():
                (staging / name).write_text(text, encoding="utf-8")

    def _space(self, model: Any, request: TrainingRequest) -> Space:
        """One checkpoint, since how many there will be TRL finds out; they are small beside what is exported."""
        limit, saves = self.config.training_args.save_total_limit, self.config.training_args.save_strategy != "no"
        size, parameters = model_bytes(model), count_parameters(model)[1]
        exports = int(parameters * request.export_bytes_per_parameter)
        return Space(checkpoint=size, saves=int(saves), limit=limit, final=size, exports=exports)

    def _placement(self) -> Placement:
        hardware = self.config.hardware
        precision = OptimizationConfig(mixed_precision=hardware.optimization.mixed_precision)
        return choose(HardwareConfig(device=hardware.device, optimization=precision))

    def _verify_sizes(self, train: int, evaluation: int) -> None:
        """TRL leaves out the prompts that do not fill a step; with too few it would do nothing at all, and say so
        nowhere."""
        arguments, algorithm = self.config.training_args, self.config.algorithm
        wanted = arguments.answers_per_step // algorithm.num_generations
        if train < wanted:
            raise RequestError(
                f"a step takes {wanted} prompts, and there are {train}",
                where="training_args.per_device_train_batch_size",
                remedy="lower it, or raise algorithm.num_generations",
            )
        if arguments.eval_strategy != "no" and not evaluation:
            raise RequestError(
                "evaluations are asked for, and there are no rows to evaluate on",
                where="training_args.eval_strategy",
                remedy="name dataset.eval_file, or set dataset.eval_split",
            )

    def _trainable_model(self, placement: Placement, ends: list[int]) -> Any:
        config = self.config
        torch.manual_seed(config.training_args.seed)  # the adapter's beginning
        base = load_base(config.base_model, _DTYPES.get(config.base_model.torch_dtype, placement.compute))
        base.generation_config.eos_token_id = ends  # TRL ends an answer at each of them
        model = apply_method(base, config.method, config.base_model.name)
        return model.to(placement.device)

    def _trainer(
        self,
        model: Any,
        placement: Placement,
        request: TrainingRequest,
        rollouts: Rollouts,
        scratch: str,
    ) -> Any:
        config = self.config
        prompts = Prompts(Chained(request.train, request.evaluation), self.tokenizer)
        trainer_class, settings_class = _TRAINERS[config.algorithm.type]
        AcceleratorState._reset_state(reset_partial_state=True)  # it refuses another device than an earlier run's
        settings = settings_class(
            output_dir=scratch,
            shuffle_dataset=request.order_seed is not None,
            reward_weights=[reward.weight for reward in config.reward],
            **_algorithm(config),
            **_arguments(config, placement),
        )
        return _with_ids(trainer_class, prompts)(
            model=model,
            args=settings,
            reward_funcs=[
                reward_function(reward, name, prompts, self.tokenizer, placement.device, rollouts)
                for reward, name in zip(config.reward, names_of(config.reward), strict=True)
            ],
            train_dataset=_numbered(range(len(request.train))),
            eval_dataset=_numbered(range(len(request.train), len(prompts))) if request.evaluation else None,
            processing_class=copy.deepcopy(self.tokenizer),  # TRL gives it a padding token, which is not to be saved
        )


@contextlib.contextmanager
def _saying_what_a_signal_lost(stop: StopRequest, state: Any) -> Iterator[None]:
    """Raises Interrupted where the disk does not take what a signal asks to save."""
    try:
        yield
    except StorageError as error:
        if stop.signal is None:
            raise
        what = f"after step {state.global_step}, which is not saved: {error.where}: {error.what}"
        raise Interrupted(stop.signal, what, remedy=error.remedy, says_kept=False) from error


def _interrupted(stop: StopRequest, step: int, checkpoints: CheckpointCallback, model: Any) -> Interrupted:
    """Saves the adapter. What is raised then says what is kept, and what is not."""
    assert stop.signal is not None
    if step == 0:
        return Interrupted(stop.signal, "before the first step; nothing was learned yet", says_kept=False)
    place = checkpoints.save(step, model) / MODEL
    return Interrupted(
        stop.signal,
        f"after step {step}; the adapter is saved as {place}, the state of the optimiser is not: this run cannot go on",
        remedy=f"another run, in another --output-dir, goes on from that adapter: --set method.init_from={place}",
    )


def _numbered(numbers: range) -> Dataset:
    """Prompts by their number: what they say is asked when they have their turn."""
    return Dataset.from_dict({"prompt": list(map(str, numbers)), "number": list(numbers)})


def _with_ids(trainer_class: Any, numbered: Sequence[Prompt]) -> Any:
    """TRL's trainer, fed the very token ids of the examples.

    By itself it tokenises the text again: a prompt whose beginning was cut, or that a SentencePiece tokenizer wrote,
    would come out as other ids than those that `complete` asks with, and BOS would be doubled where the text shows it.
    """

    class WithIds(trainer_class):  # type: ignore[misc]
        def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [numbered[int(prompt)].ids for prompt in prompts], None, {}

    return WithIds


def _algorithm(config: TrlConfig) -> dict[str, Any]:
    algorithm = config.algorithm
    return {
        "num_generations": algorithm.num_generations,
        "max_completion_length": algorithm.max_completion_length,
        "temperature": algorithm.temperature,
        "top_p": algorithm.top_p,
        "beta": algorithm.beta,
        "epsilon": algorithm.epsilon,
    }


def _arguments(config: TrlConfig, placement: Placement) -> dict[str, Any]:
    arguments = config.training_args
    same = (
        "num_train_epochs",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "lr_scheduler_type",
        "weight_decay",
        "max_grad_norm",
        "seed",
        "eval_strategy",
        "eval_steps",
    )
    return {
        **{name: getattr(arguments, name) for name in same},
        "max_steps": arguments.max_steps or -1,
        "warmup_steps": arguments.warmup_steps or arguments.warmup_ratio,  # below 1, transformers reads a share
        "activation_checkpointing": config.hardware.optimization.gradient_checkpointing,
        "bf16": placement.accelerate_precision == "bf16",
        "fp16": placement.accelerate_precision == "fp16",
        "use_cpu": placement.device.type == "cpu",
        "save_strategy": "no",  # its files are not whole when the process dies: CheckpointCallback saves
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }
