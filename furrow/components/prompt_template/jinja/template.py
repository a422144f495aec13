"""The template `jinja`: the user's own file, in the sandbox in which a model's template is rendered."""

from __future__ import annotations

from furrow.components.prompt_template import TokenizerFacts
from furrow.components.prompt_template.chat.conversation import ConversationTemplate
from furrow.components.prompt_template.jinja.component import JinjaConfig


def jinja_template(config: JinjaConfig, tokenizer: TokenizerFacts) -> ConversationTemplate:
    """Raises FurrowError for a template that cannot be read, or whose turns end with no token of this tokenizer."""
    return ConversationTemplate(
        config.text or "",
        tokenizer,
        name=f"the template {config.file or 'prompt_template.text'}",
        system=config.system,
        stop_sequences=config.stop_sequences,
    )
