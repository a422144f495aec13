"""The factories of the built-in templates: one for every row of the table, and no code for any of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.resources import files

from furrow.components.prompt_template import TokenizerFacts
from furrow.components.prompt_template.builtin.component import BuiltInConfig
from furrow.components.prompt_template.builtin.table import TABLE
from furrow.components.prompt_template.chat.conversation import ConversationTemplate


def __getattr__(name: str) -> Callable[..., ConversationTemplate]:
    """The factory of the row of that name, which the registry asks for as an attribute."""
    if name not in TABLE:
        raise AttributeError(name)
    return functools.partial(built_in, name)


def built_in(name: str, config: BuiltInConfig, tokenizer: TokenizerFacts) -> ConversationTemplate:
    """The template over this tokenizer. Raises RequestError where its turns end with a token that this one lacks."""
    return ConversationTemplate(
        source_of(name),
        tokenizer,
        name=f"the template {name}",
        system=config.system,
        stop_sequences=config.stop_sequences,
    )


def source_of(name: str) -> str:
    """Its Jinja."""
    return (files(__package__) / f"{name}.jinja").read_text(encoding="utf-8")
