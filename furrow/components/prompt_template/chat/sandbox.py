"""A chat template, rendered as transformers renders it, in a sandbox that counts what it does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node, Template
from jinja2.parser import Parser

from furrow.components.errors import FurrowError
from furrow.components.prompt_template import Message
from furrow.components.prompt_template.chat.metered import Metered

MAX_CHARACTERS = 64 * 1024
"""Of a template; the longest in use have about 30,000."""
MAX_COMPLAINT = 300
_NO_CLOCK = (
    "it asks for today's date (strftime_now), and gets none: tomorrow's prompt would be another one than today's "
    "training text; a system message of your own (prompt_template.system) takes the place of the one that has the date "
    "in it, or write a fixed date into the model's chat_template.jinja"
)


class _GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}` marks text for other trainers; here it means its content."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own declaration)

    def parse(self, parser: Parser) -> Node | list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def fault_in(source: str) -> tuple[int | None, str] | None:
    """The line of what no template can be compiled with, where there is one, and what is wrong with it; None for a
    template that can be. Nothing of it runs."""
    if len(source) > MAX_CHARACTERS:
        return None, f"it has {len(source):,} characters; at most {MAX_CHARACTERS:,} are read"
    try:
        _compiled(_environment(), source)
    except Exception as error:
        return getattr(error, "lineno", None), _complaint(error)
    return None


def _environment() -> Metered:
    environment = Metered(trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols])
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _compiled(environment: Metered, source: str) -> jinja2.Template:
    """Raises whatever two compilers raise about untrusted text: too deep, too many digits, too many blocks, …"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, about the code that Jinja makes of it
        return environment.from_string(source)


class SandboxedTemplate:
    """A compiled chat template; `name` is what errors call it.

    `strftime_now` is not defined on purpose: a date in the prompt would make tomorrow's prompt another one than today's
    training text; the templates that know it fall back to a fixed date.
    """

    def __init__(
        self,
        source: str,
        *,
        bos_token: str | None,
        eos_token: str | None,
        strip_bos: bool,
        name: str = "the model's chat template",
    ) -> None:
        self._name = name
        if len(source) > MAX_CHARACTERS:
            raise self._unusable(f"has {len(source):,} characters; at most {MAX_CHARACTERS:,} are read")
        environment = _environment()
        self._stripped = bos_token if strip_bos else None
        environment.globals |= {"bos_token": bos_token or "", "eos_token": eos_token or ""}
        self._environment, self._source = environment, source
        try:
            self._template = _compiled(environment, source)
        except Exception as error:
            raise self._unusable(f"cannot be read: {_complaint(error)}") from error
        self._globals = dict(environment.globals)

    def parsed(self) -> Template:
        """Its syntax."""
        return self._environment.parse(self._source)

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """The conversation as text; with `strip_bos` without a BOS token before it, for a tokenizer that adds its own.

        Raises FurrowError when the template refuses the conversation.
        """
        given = [{key: value for key, value in message.items() if key != "weight"} for message in messages]
        self._environment.refill(given)
        try:
            variables = {**self._globals, "messages": given, "add_generation_prompt": add_generation_prompt}
            variables["tools"] = list(tools) or None  # as transformers hands them over
            text = "".join(self._template.root_render_func(self._template.new_context(variables, shared=True)))
            text.encode()  # half a character cannot be tokenised
        except Exception as error:  # whatever a program of somebody else's raises
            roles = ", ".join(message["role"] for message in messages[:8]) + (", …" if len(messages) > 8 else "")
            raise self._unusable(f"refuses a conversation of {roles}: {_complaint(error)}") from error
        return text.removeprefix(self._stripped) if self._stripped else text

    def _unusable(self, what: str) -> FurrowError:
        return FurrowError(f"{self._name} {what}", where="prompt_template")


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _complaint(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, jinja2.UndefinedError) and "'strftime_now'" in text:
        return _NO_CLOCK
    return text if len(text) <= MAX_COMPLAINT else text[:MAX_COMPLAINT] + "…"
