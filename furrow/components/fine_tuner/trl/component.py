"""Policy optimisation: the model writes answers, and learns from what they are worth. Here, only its settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from furrow.components.base_models import BaseModel
from furrow.components.checks import Check
from furrow.components.config import Config
from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.hardware_checks import check_hardware
from furrow.components.fine_tuner.pytorch.methods.low_rank import LoraMethod
from furrow.components.fine_tuner.trl.algorithm import AlgorithmConfig
from furrow.components.fine_tuner.trl.rewards import RewardConfig, reward_folder
from furrow.components.fine_tuner.trl.training_args import PolicyHardware, PolicyTrainingArgs
from furrow.components.registry import Component


class TrlConfig(Config):
    """What is tuned (`base_model`), towards what (`reward`), how (`algorithm`, `method`, `training_args`) and on what
    (`hardware`)."""

    resumes: ClassVar[bool] = False
    idle: ClassVar[Mapping[str, str]] = {
        "monitoring.samples": "policy optimisation shows the answers that it samples itself",
        "data_preprocessing.seed": "TRL orders the prompts by training_args.seed",
    }

    base_model: BaseModel
    """The model to tune, best one that answers already: `builtin`, `path` (whole weights; an adapter is continued by
    `method.init_from`) or `huggingface_id`. A bare text is read as with the fine-tuner `pytorch`."""
    reward: tuple[RewardConfig, ...] = Field(min_length=1)
    """What an answer is worth: one reward, or a list of them, of which the weighted sum is taken."""
    algorithm: AlgorithmConfig = AlgorithmConfig()
    """How rewards become gradients: a block, or its type alone (`algorithm: rloo`)."""
    hardware: PolicyHardware = PolicyHardware()
    """Device and precision."""
    method: LoraMethod = LoraMethod(dropout=0.0)
    """The adapter that learns. Default: that of `pytorch`, but without dropout, which would only blur the likelihoods
    that old and new policy are compared by."""
    training_args: PolicyTrainingArgs = PolicyTrainingArgs()
    """Length, batches, learning rate, evaluation and checkpoints."""

    @field_validator("reward", mode="before", json_schema_input_type=RewardConfig | list[RewardConfig])
    @classmethod
    def _one_is_a_list(cls, given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else (given,) if isinstance(given, Mapping) else given

    @field_validator("algorithm", mode="before", json_schema_input_type=AlgorithmConfig | Literal["grpo", "rloo"])
    @classmethod
    def _algorithm_from_text(cls, given: Any) -> Any:
        return {"type": given} if isinstance(given, str) else given

    @field_validator("method", mode="before", json_schema_input_type=LoraMethod | Literal["lora"])
    @classmethod
    def _without_dropout(cls, given: Any) -> Any:
        given = {"type": given} if isinstance(given, str) else given
        return {"dropout": 0.0, **given} if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        arguments, answers = self.training_args, self.algorithm.num_generations
        if arguments.answers_per_step % answers:
            raise ValueError(
                f"training_args make {arguments.answers_per_step} answers a step (per_device_train_batch_size · "
                f"gradient_accumulation_steps), which is no multiple of algorithm.num_generations {answers}"
            )
        if arguments.eval_strategy != "no" and arguments.per_device_eval_batch_size % answers:
            raise ValueError(
                f"training_args.per_device_eval_batch_size {arguments.per_device_eval_batch_size} is no multiple of "
                f"algorithm.num_generations {answers}"
            )
        return self

    def components(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """(slot, type, settings) of what it puts to work itself."""
        for reward in self.reward:
            if reward.function is not None:
                yield "reward", reward.function, reward.config


def _checks(config: Any) -> Iterable[Check]:
    yield from check_hardware(config)
    for reward in config.reward:
        if reward.model is not None:
            yield _check_reward_model(reward.model)


def _check_reward_model(named: str) -> Check:
    try:
        return Check("reward model", "passed", str(reward_folder(named).path))
    except FurrowError as error:
        return Check("reward model", "failed", error.what, error.remedy or "")


COMPONENT = Component(
    summary="optimises answers towards a reward with TRL: GRPO or RLOO, LoRA",
    config=TrlConfig,
    factory="furrow.components.fine_tuner.trl.fine_tuner:TrlFineTuner",
    requires=("trl", "torch", "transformers", "peft", "accelerate"),
    extra="trl",
    checks=_checks,
)
