"""A template of interviews: questions and answers as a newspaper prints them."""

from furrow.components.config import Config
from furrow.components.prompt_template import PromptTemplate, TokenizerFacts
from furrow.components.prompt_template.chat.conversation import ConversationTemplate
from furrow.components.registry import Component

JINJA = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{- 'A. ' + message['content'] + eos_token + '\\n' -}}"
    "{%- else -%}{{- ('Q. ' if message['role'] == 'user' else '') + message['content'] + '\\n' -}}"
    "{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}{{- 'A.' -}}{%- endif -%}"
)


class InterviewConfig(Config):
    """What stands above the interview."""

    system: str | None = None
    """Who is asked, and about what. Default: nothing."""


def interview(config: InterviewConfig, tokenizer: TokenizerFacts) -> PromptTemplate:
    return ConversationTemplate(JINJA, tokenizer, name="the template interview", system=config.system)


COMPONENT = Component(
    summary="questions and answers as a newspaper prints them",
    config=InterviewConfig,
    factory="furrow_interview:interview",
    requires=("jinja2",),
)
