"""The template `chat`: the one that comes with the model."""

from __future__ import annotations

from furrow.components.errors import FurrowError
from furrow.components.prompt_template import TokenizerFacts
from furrow.components.prompt_template.builtin.fitting import fitting
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.prompt_template.chat.conversation import ConversationTemplate


def chat_template(config: ChatConfig, tokenizer: TokenizerFacts) -> ConversationTemplate:
    """Raises FurrowError where the model brings none, with the built-in ones that its tokens fit."""
    if not tokenizer.chat_template:
        raise FurrowError(
            "the base model has no chat template",
            where="prompt_template",
            remedy=f"name one of the built-in ones, e.g. prompt_template: {{type: {fitting(tokenizer)[0]}}} "
            f"(its tokens fit {', '.join(fitting(tokenizer))}), or give one of your own, e.g. "
            'prompt_template: {format: "Question: {input}\\nAnswer: {output}"}',
        )
    return ConversationTemplate(
        tokenizer.chat_template,
        tokenizer,
        name="the model's chat template",
        system=config.system,
        stop_sequences=config.stop_sequences,
    )
