"""On what an export is compared with its model."""

from __future__ import annotations

from furrow.components.exporter import ExportRequest

TEXTS = (
    "When do I sow leeks?",
    "two  spaces,\ttab\nand  newlines\n\n\nend  ",
    "I'll say it's HERE: don't, we've, they'RE",
    "In 1999 12345 plants cost 3.50 EUR (=0x1F)",
    "def f(x):\n    return x ** 2  # 100%",
    "Überraschung: ça coûte señor žlutý",
    "Привет, мир! Γειά σου Κόσμε",
    "你好，世界。今天天气怎么样？ こんにちは",
    "مرحبا بالعالم שלום עולם",
    "नमस्ते दुनिया สวัสดี",
    "🌱🥕 → ∑ ½ ™ …",
)
"""Scripts, digits, contractions, white space and code: whatever pre-tokenizers cut in different places."""


def rendered_texts(request: ExportRequest) -> list[str]:
    """TEXTS as questions in the request's template."""
    return [request.template.prompt([{"role": "user", "content": text}]) for text in TEXTS]


def probes(request: ExportRequest) -> list[str]:
    """The request's prompts; where it brings none, TEXTS."""
    return list(request.probe_prompts) or rendered_texts(request)
