"""A text with `{input}` and `{output}` in it, as the guide writes prompts. Here, only its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from furrow.components.config import Config, Free
from furrow.components.prompt_template.format.parse import parse_format
from furrow.components.registry import Component


class FormatConfig(Config):
    """The text of a row, what is said before it, and what ends an answer."""

    format: Annotated[str, Field(min_length=1)]
    """The text of one row: `{name}` stands for a column, `{{` and `}}` for braces. Exactly one of {output},
    {completion}, {answer}, {response} is the answer; what stands before it is the prompt, and only it is learned."""
    system: str | None = None
    """Put before the text, on a line of its own."""
    stop_sequences: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Free("no row is learned with them")] = ()
    """Texts that end an answer, beside the end token."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The columns that it reads by name."""
        return parse_format(self.format).placeholders

    @field_validator("format")
    @classmethod
    def _placeholders_are_names(cls, text: str) -> str:
        parse_format(text)
        return text


COMPONENT = Component(
    summary="a text with {input} and {output} in it",
    config=FormatConfig,
    factory="furrow.components.prompt_template.format.template:FormatTemplate",
)
