"""Slot `prompt_template`: one object renders what is trained, what is asked, and what every export carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from furrow.components.records import Row, Segment

Message = Mapping[str, Any]
"""`{"role": "system" | "user" | "assistant" | "tool", "content": text}`; the content is None only beside `tool_calls`.

An assistant may have `tool_calls` (`[{"type": "function", "function": {"name", "arguments": object}}]`) and a `weight`
from 0 to 1 (how much it is learned); a tool's answer may have `name` and `tool_call_id`.
"""


class PromptTemplate(Protocol):
    """The factory takes the config and the tokenizer's facts (`TokenizerFacts`), and returns one of these."""

    stop_sequences: Sequence[str]
    """Texts that end an answer, beside the end token."""

    def train_segments(self, row: Row) -> list[Segment]:
        """The row as the model will see it, each piece learned or not. RequestError names a row that does not fit."""
        ...

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text after which the model answers: a conversation that ends with the user. Equal to the unlearned
        beginning of `train_segments` of the same conversation. Holds no BOS token."""
        ...

    def jinja(self) -> str:
        """The same template as a chat template for GGUF metadata and tokenizers (messages, add_generation_prompt)."""
        ...

    def go(self) -> str:
        """The same template in Ollama's Go language, over .System, .Messages or .Prompt."""
        ...

    def end_of_turn(self) -> str | None:
        """The token text that ends an answer where it is not the tokenizer's eos token, else None."""
        ...

    def system(self) -> str | None:
        """The system prompt that the template puts first when a conversation brings none."""
        ...


class TokenizerFacts(Protocol):
    """What a template may know of the tokenizer: names, no tokenisation. Any transformers tokenizer is one."""

    chat_template: str | None
    bos_token: str | None
    eos_token: str | None
