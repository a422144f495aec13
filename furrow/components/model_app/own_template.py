"""The template that a model brings itself, for asking it something in words."""

from __future__ import annotations

from furrow.components.prompt_template import PromptTemplate, TokenizerFacts
from furrow.components.registry import factory, find


def own_template(facts: TokenizerFacts) -> PromptTemplate:
    """Raises FurrowError where the model brings none."""
    component = find("prompt_template", "chat")
    template: PromptTemplate = factory(component)(component.config(), facts)
    return template
