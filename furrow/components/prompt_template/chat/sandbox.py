"""A model's own chat template, rendered as transformers renders it, in Jinja's sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from furrow.components.errors import FurrowError
from furrow.components.prompt_template import Message


class _GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}` marks text for other trainers; here it means its content."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own declaration)

    def parse(self, parser: Parser) -> Node | list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class SandboxedTemplate:
    """A compiled chat template.

    `strftime_now` is not defined on purpose: a date in the prompt would make tomorrow's prompt another one than today's
    training text; the templates that know it fall back to a fixed date.
    """

    def __init__(self, source: str, *, bos_token: str | None, eos_token: str | None, strip_bos: bool) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
        )
        environment.globals["raise_exception"] = _raise_exception
        self._variables: dict[str, Any] = {"bos_token": bos_token or "", "eos_token": eos_token or ""}
        self._stripped = bos_token if strip_bos else None
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise FurrowError(f"the model's chat template cannot be read: {error}", where="prompt_template") from error

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """The conversation as text; with `strip_bos` without a BOS token before it, for a tokenizer that adds its own.

        Raises FurrowError when the template refuses the conversation.
        """
        try:
            text = self._template.render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=add_generation_prompt,
                **self._variables,
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(message["role"] for message in messages)
            raise FurrowError(
                f"the model's chat template refuses a conversation of {roles}: {error}", where="prompt_template"
            ) from error
        return text.removeprefix(self._stripped) if self._stripped else text


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
