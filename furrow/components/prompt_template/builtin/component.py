"""The built-in templates as components. Here, only their settings."""

from __future__ import annotations

from furrow.components.prompt_template.builtin.table import TABLE
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.registry import Component


class BuiltInConfig(ChatConfig):
    """What is said before the conversation, and what ends an answer."""

    system: str | None = None
    """System message of conversations that bring none. Default: what the template itself says (alpaca and vicuna say
    something, the others nothing)."""


def _component(name: str) -> Component:
    return Component(
        summary=TABLE[name].summary,
        config=BuiltInConfig,
        factory=f"furrow.components.prompt_template.builtin.template:{name}",
        requires=("jinja2",),
    )


ALPACA = _component("alpaca")
CHATML = _component("chatml")
LLAMA2 = _component("llama2")
LLAMA3 = _component("llama3")
MISTRAL = _component("mistral")
GEMMA = _component("gemma")
PHI = _component("phi")
VICUNA = _component("vicuna")
ZEPHYR = _component("zephyr")
DEEPSEEK = _component("deepseek")
QWEN = _component("qwen")
