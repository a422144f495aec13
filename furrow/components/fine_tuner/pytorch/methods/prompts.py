"""Prefix and prompt tuning: the model stays as it is, and learns from trained positions before the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from furrow.components.config import problem_at
from furrow.components.fine_tuner.pytorch.methods.shared import NO_LAYERS, GoesOn

_NOT_MERGED = (
    "virtual tokens stand before the text and cannot be merged into weights; train `type: lora` to export, or answer "
    "with the model app `transformers`"
)


class VirtualTokens(GoesOn):
    """Trained positions before every text."""

    not_here: ClassVar[Mapping[str, str]] = NO_LAYERS

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 20
    """Trained positions before the text; each costs the attention as much as a token. Guide: 10-100."""

    def not_exported(self) -> Mapping[str, str]:
        return dict.fromkeys(("merged", "gguf", "gguf-adapter", "ollama"), _NOT_MERGED)


class PrefixMethod(VirtualTokens):
    """Prefix tuning (Li & Liang 2021, arXiv:2101.00190): trained keys and values before the text, in every layer."""

    not_here: ClassVar[Mapping[str, str]] = {
        **NO_LAYERS,
        "prefix_projection": "the prefix is learned as it is: a projection cannot be gone on from once it is saved",
        "encoder_hidden_size": "the prefix is learned as it is, without a projection",
    }

    type: Literal["prefix"] = "prefix"
    """prefix (also said prefix_tuning)."""


class PromptMethod(VirtualTokens):
    """Prompt tuning (Lester et al. 2021, arXiv:2104.08691): trained embeddings before the text."""

    type: Literal["prompt"] = "prompt"
    """prompt (also said prompt_tuning)."""
    init: Literal["random", "sample_vocab", "text"] = "sample_vocab"
    """What the virtual tokens begin as: random numbers, the embeddings of random tokens, or those of `init_text`."""
    init_text: Annotated[str, Field(min_length=1)] | None = None
    """The text whose tokens, repeated or cut to num_virtual_tokens, the virtual ones begin as; implies init: text."""

    @model_validator(mode="before")
    @classmethod
    def _text_is_meant(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("init_text") is not None and "init" not in given:
            return {**given, "init": "text"}
        return given

    @model_validator(mode="after")
    def _text_and_its_use(self) -> Self:
        if self.init == "text" and self.init_text is None:
            raise problem_at("init", "init: text wants init_text", self.init)
        if self.init != "text" and self.init_text is not None:
            raise problem_at("init_text", f"has no effect with init: {self.init}; leave init out", self.init_text)
        return self
