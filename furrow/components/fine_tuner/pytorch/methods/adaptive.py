"""AdaLoRA and (IA)³: what is trained in a layer is no fixed pair of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Bound, problem_at
from furrow.components.fine_tuner.pytorch.methods.shared import (
    DROPOUT,
    MERGE,
    Alpha,
    Dropout,
    GoesOn,
    InLayers,
    ModuleName,
    ModuleNames,
    Modules,
    Rank,
    as_tuple,
)

Decay = Annotated[float, Field(gt=0, lt=1)]
Steps = Annotated[int, Field(ge=0)]


class AdaloraMethod(InLayers):
    """AdaLoRA (Zhang et al. 2023, arXiv:2303.10512): P·Λ·Q in every layer, whose least important singular values are
    set to zero while training goes on, until the average rank is target_r."""

    not_here: ClassVar[Mapping[str, str]] = {
        "r": "AdaLoRA begins at init_r and ends at target_r on average",
        "rank_pattern": "AdaLoRA finds the rank of each layer itself",
        "init_from": "an AdaLoRA adapter has had its ranks cut and cannot be cut again; start from a fresh one, or "
        "go on with `type: lora` from the merged weights (base_model.path)",
        "quantization": "say `type: qlora` to train on quantised weights",
        "bias": "biases stay frozen; say `type: lora` to train them",
    }

    type: Literal["adalora"] = "adalora"
    """adalora."""
    init_r: Rank = 12
    """Rank of every layer at the beginning."""
    target_r: Rank = 8
    """Average rank at the end; lower than init_r."""
    alpha: Alpha = 24
    """Numerator of the scale alpha / init_r. Default: 2 · init_r."""
    dropout: Dropout = DROPOUT
    """Share of the adapter's inputs that is zeroed in training."""
    tinit: Steps | None = None
    """Steps before the first rank is cut. Default: a tenth of all steps."""
    tfinal: Steps | None = None
    """Steps at the end in which the ranks stay as they are. Default: three tenths of all steps."""
    deltaT: Annotated[int, Field(ge=1)] = 1
    """Steps between two cuts. Guide: 1 for short runs, 10 and more for thousands of steps."""
    beta1: Decay = 0.85
    """Decay of the mean of each weight's importance."""
    beta2: Decay = 0.85
    """Decay of the mean of that importance's fluctuation."""
    orth_reg_weight: Annotated[float, Field(ge=0), Bound()] = 0.5
    """Weight of the penalty that keeps P and Q orthogonal. Part of the loss that is shown."""

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        rank = given.get("init_r", 12)
        if "alpha" not in given and isinstance(rank, int) and not isinstance(rank, bool) and rank > 0:
            return {**given, "alpha": 2 * rank}
        return given

    @model_validator(mode="after")
    def _has_something_to_cut(self) -> Self:
        if self.target_r >= self.init_r:
            why = f"must be lower than init_r ({self.init_r}), got {self.target_r}: there is nothing to cut; "
            raise problem_at("target_r", f"{why}say `type: lora` for a fixed rank", self.target_r)
        return self

    def not_exported(self) -> Mapping[str, str]:
        return {"gguf-adapter": f"a GGUF adapter holds LoRA matrices only, not AdaLoRA's singular values; {MERGE}"}


def _ia3_targets(given: Any) -> Any:
    if isinstance(given, str) and given != "auto":
        raise ValueError(f"got {given!r}; wanted is auto or a list such as [k_proj, v_proj, down_proj]")
    return as_tuple(given)


class Ia3Method(GoesOn):
    """(IA)³ (Liu et al. 2022, arXiv:2205.05638): a learned vector that scales keys, values and the feed-forward's
    hidden layer; the fewest weights of all methods."""

    not_here: ClassVar[Mapping[str, str]] = {
        "r": "(IA)³ learns vectors, which have no rank; leave it out, or say `type: lora`",
        "alpha": "(IA)³ has no scale; leave it out, or say `type: lora`",
        "dropout": "(IA)³ has no dropout; leave it out, or say `type: lora`",
        "layers_to_transform": "(IA)³ acts on every layer; leave it out, or say `type: lora`",
        "use_dora": "DoRA is LoRA with lengths; say `type: dora` instead",
        "quantization": "say `type: qlora` to train on quantised weights",
    }

    type: Literal["ia3"] = "ia3"
    """ia3."""
    target_modules: Annotated[
        ModuleNames | Literal["auto"],
        BeforeValidator(_ia3_targets, json_schema_input_type=list[str] | Literal["auto"]),
    ] = "auto"
    """Linear layers that are scaled, by the last part of their name; auto: the paper's choice where PEFT knows it for
    the architecture (Llama: k_proj, v_proj, down_proj)."""
    feedforward_modules: Annotated[
        tuple[ModuleName, ...], BeforeValidator(as_tuple, json_schema_input_type=list[str])
    ] = ()
    """Those of target_modules whose input is scaled, not their output. Default: PEFT's choice with auto, else none."""
    modules_to_save: Modules | None = None
    """Modules that learn whole beside the vectors and are saved with them (`[lm_head]`)."""

    @model_validator(mode="after")
    def _feedforward_is_targeted(self) -> Self:
        missing = [name for name in self.feedforward_modules if name not in self.target_modules]
        if missing:
            why = f"{', '.join(missing)} must stand in target_modules too"
            raise problem_at("feedforward_modules", why, list(self.feedforward_modules))
        return self

    def not_exported(self) -> Mapping[str, str]:
        return {"gguf-adapter": f"a GGUF adapter holds LoRA matrices only, not (IA)³'s vectors; {MERGE}"}
