"""What the model is trained to do with the rows, told apart by `type`; a further one is a class in `OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Bound, Config, problem_at
from furrow.components.errors import did_you_mean

Positive = Annotated[float, Field(gt=0), Bound()]
_WRITES_NOTHING = dict.fromkeys(("generation", "monitoring.samples"), "what judges texts writes none")
_LIMITS = ("data_preprocessing.max_input_length", "data_preprocessing.max_output_length")


class SftObjective(Config):
    """Learns to write the answers: next-token prediction on what the prompt template marks as learned."""

    type: Literal["sft"] = "sft"
    """sft."""


class PretrainObjective(Config):
    """Learns every token of the column `text`, its end token too. A text longer than max_length becomes several
    examples."""

    idle: ClassVar[Mapping[str, str]] = dict.fromkeys(_LIMITS, "a plain text has no prompt and no answer")

    type: Literal["pretrain"] = "pretrain"
    """pretrain."""


class DpoObjective(Config):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290) on rows with `chosen` and `rejected`.

    The reference is the model as it stands before the first step; what it gives each answer is computed once.
    """

    type: Literal["dpo"] = "dpo"
    """dpo."""
    loss: Annotated[Literal["sigmoid", "ipo", "hinge"], Bound()] = "sigmoid"
    """sigmoid as in the paper; ipo (Azar et al. 2023) aims at a fixed margin 1 / (2 · beta) a token and so cannot run
    away where every pair is already told apart; hinge (Zhao et al. 2023) stops at the margin 1 / beta."""
    beta: Positive = 0.1
    """How dear it is to leave the reference. Usual: 0.1-0.5; the smaller, the further the model may go."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5), Bound()] = 0.0
    """Share of the pairs that are taken to be the wrong way round; of the sigmoid loss only. Usual: 0-0.2."""

    @model_validator(mode="after")
    def _smooth_sigmoid_only(self) -> Self:
        if self.label_smoothing and self.loss != "sigmoid":
            raise problem_at(
                "label_smoothing",
                f"label_smoothing belongs to loss: sigmoid, and loss is {self.loss}",
                self.label_smoothing,
            )
        return self


class OrpoObjective(Config):
    """Odds ratio preference optimisation (Hong et al. 2024, arXiv:2403.07691): sft on the chosen answers and, at the
    same time, odds against the rejected ones. Needs no reference and no sft before it."""

    type: Literal["orpo"] = "orpo"
    """orpo."""
    beta: Positive = 0.1
    """Weight of the odds beside the sft part; the paper's lambda. Usual: 0.1-0.25."""


class SimpoObjective(Config):
    """SimPO (Meng et al. 2024, arXiv:2405.14734): the mean log-probability of a token is the reward, no reference."""

    type: Literal["simpo"] = "simpo"
    """simpo."""
    beta: Positive = 2.0
    """Scale of the reward. The paper's: 2.0-2.5, up to 10."""
    gamma: Annotated[float, Field(ge=0), Bound()] = 1.0
    """Margin by which the chosen reward shall lead, in the same unit as the reward: what is subtracted from the
    difference of log-probabilities is gamma / beta. The paper's: 0.3-1.6."""


class KtoObjective(Config):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv:2402.01306) on single answers with a verdict: rows
    with `completion` and `label` (true: like this). Rows with `chosen` and `rejected` count as two such rows."""

    type: Literal["kto"] = "kto"
    """kto."""
    beta: Positive = 0.1
    """How dear it is to leave the reference. Usual: 0.1-0.5."""
    desirable_weight: Positive = 1.0
    """Weight of answers with the verdict true. Where the verdicts are unequal in number, give the rarer kind more:
    weight times number of the two within 1 : 1 and 4 : 3 (the paper, eq. 8)."""
    undesirable_weight: Positive = 1.0
    """Weight of answers with the verdict false."""


class ClassificationObjective(Config):
    """Puts each text into one of the classes: a linear layer on the hidden state of its last token, trained whole."""

    idle: ClassVar[Mapping[str, str]] = {
        **_WRITES_NOTHING,
        **dict.fromkeys(_LIMITS, "a text to classify is cut by max_length alone"),
    }

    type: Literal["classification"] = "classification"
    """classification."""
    labels: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(
            lambda given: tuple(given) if isinstance(given, list) else given, json_schema_input_type=list[str]
        ),
    ] = ()
    """Names of the classes; a row may also give the number of one, counted from 0. Default: those of the training rows,
    sorted."""
    label_column: Annotated[str, Field(min_length=1)] | None = None
    """The column with the class. Default: `label`, or `labels`."""
    text: Literal["plain", "template"] = "plain"
    """plain reads the column `text` (or the question's columns) as it stands, so that any program that loads the model
    can be given bare text; template puts it into the prompt template, up to where an answer would begin, which suits
    chat models."""

    @model_validator(mode="after")
    def _at_least_two(self) -> Self:
        doubled = sorted({name for name in self.labels if self.labels.count(name) > 1})
        if doubled:
            raise problem_at("labels", f"given twice: {', '.join(doubled)}", list(self.labels))
        if len(self.labels) == 1:
            raise problem_at("labels", "two classes are wanted at least", list(self.labels))
        return self

    def not_exported(self) -> Mapping[str, str]:
        """Exporter -> why it cannot take what this objective makes, and what to do instead."""
        return _no_gguf("a classifier")


class RewardObjective(Config):
    """A reward model: one score for a prompt with its answer, higher for the better answer of each pair (Bradley &
    Terry 1952). Rows with `chosen` and `rejected`, and where they have it `margin`: by how much the first is better."""

    idle: ClassVar[Mapping[str, str]] = _WRITES_NOTHING

    type: Literal["reward"] = "reward"
    """reward."""
    center_rewards_coefficient: Annotated[float, Field(ge=0), Bound()] = 0.0
    """Weight of (chosen score + rejected score)², which keeps scores around 0 (Eisenstein et al. 2023). Usual: 0.01."""

    def not_exported(self) -> Mapping[str, str]:
        """Exporter -> why it cannot take what this objective makes, and what to do instead."""
        return _no_gguf("a reward model")


def _no_gguf(what: str) -> dict[str, str]:
    reason = f"{what} writes no text, as llama.cpp and Ollama want it; say to_merged, or ask it with `complete`"
    return dict.fromkeys(("gguf", "gguf-adapter", "ollama"), reason)


OBJECTIVES: dict[str, type[Config]] = {
    "sft": SftObjective,
    "pretrain": PretrainObjective,
    "dpo": DpoObjective,
    "orpo": OrpoObjective,
    "simpo": SimpoObjective,
    "kto": KtoObjective,
    "classification": ClassificationObjective,
    "reward": RewardObjective,
}
MEASURED: dict[str, tuple[str, ...]] = {
    "classification": ("eval_accuracy", "eval_f1"),
    "reward": ("eval_accuracy",),
    **dict.fromkeys(("dpo", "orpo", "simpo"), ("eval_rewards/accuracies", "eval_rewards/margins")),
    "kto": ("eval_rewards/margins",),
}
"""Objective -> what metric_for_best_model may be beside eval_loss; the others have eval_perplexity."""
PREFERENCES = frozenset({"dpo", "orpo", "simpo", "kto"})
"""Objectives that tell good answers from bad ones, in small steps away from where the model stands."""


def preference_rate(method: str, usual: float) -> float:
    """The default learning rate of a preference, from the method's usual one.

    A quarter of it, so that lora has the guide's 5e-5; all weights together have 1e-6, as in the DPO paper and TRL.
    """
    return 1e-6 if method == "full" else usual / 4


def _known(given: Any) -> Any:
    """Refuses a type that is not there, before the union is tried; a bare text is a type, and no type means sft."""
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        return given
    name = given.get("type", "sft")
    if not isinstance(name, str) or name not in OBJECTIVES:
        raise problem_at("type", f"there is no objective {name!r}; {did_you_mean(str(name), OBJECTIVES)}", name)
    return {"type": name, **given}


AnyObjective = (
    SftObjective
    | PretrainObjective
    | DpoObjective
    | OrpoObjective
    | SimpoObjective
    | KtoObjective
    | ClassificationObjective
    | RewardObjective
)
ObjectiveConfig = Annotated[
    Annotated[AnyObjective, Field(discriminator="type")],
    BeforeValidator(
        _known,
        json_schema_input_type=AnyObjective
        | Literal["sft", "pretrain", "dpo", "orpo", "simpo", "kto", "classification", "reward"],
    ),
]
"""The objective's config, told apart by `type`."""
