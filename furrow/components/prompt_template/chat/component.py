"""The model's own chat template, rendered in a sandbox. Here, only its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from furrow.components.config import Config, Free
from furrow.components.registry import Component


class ChatConfig(Config):
    """What is said before the conversation, and what ends an answer."""

    system: str | None = None
    """System message of conversations that bring none. Default: what the chat template itself says."""
    stop_sequences: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Free("no row is learned with them")] = ()
    """Texts that end an answer, beside the end token."""


COMPONENT = Component(
    summary="the chat template that comes with the model",
    config=ChatConfig,
    factory="furrow.components.prompt_template.chat.template:chat_template",
    requires=("jinja2",),
)
