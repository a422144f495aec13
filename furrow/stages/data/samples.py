"""The prompts that a model answers while it learns: rows of its data, or the user's own questions."""

from __future__ import annotations

from collections.abc import Sequence

from furrow.components.columns import text
from furrow.components.fine_tuner import SamplePrompt
from furrow.components.prompt_template import PromptTemplate
from furrow.components.records import Row
from furrow.strategies.schema import SamplesConfig

USUAL = 3
"""Prompts where the strategy says nothing: enough to see a change, and read in a minute."""
BEGINNING_WORDS = 12
"""Of a plain text, what is given; a fifth of it where it is short."""
REFERENCE_LETTERS = 600
"""Longer references are cut: they are for looking at."""


def sample_prompts(
    config: SamplesConfig, rows: Sequence[Row], template: PromptTemplate | None, *, evaluates: bool
) -> list[SamplePrompt]:
    """Rendered as in training; `template` is None where plain text is learned. `evaluates`: the run has evaluations."""
    asked = config.prompts if config.prompts is not None else USUAL if evaluates else 0
    if isinstance(asked, int):
        found = [_of_text(text(row)) if template is None else _of_row(row, template) for row in rows[:asked]]
    elif template is None:
        found = [(prompt, None) for prompt in asked]
    else:
        found = [(template.prompt([{"role": "user", "content": question}]), None) for question in asked]
    stop = _stops(template)
    return [
        SamplePrompt(prompt=prompt, stop=stop, max_new_tokens=config.max_new_tokens, reference=reference)
        for prompt, reference in found
    ]


def _of_row(row: Row, template: PromptTemplate) -> tuple[str, str | None]:
    """What is given before the first learned piece, and that piece without its end."""
    given, learned = "", ""
    for segment in template.train_segments(row):
        if segment.learned and not segment.end:
            learned += segment.text
        elif learned:
            break
        else:
            given += segment.text
    return given, _short(learned.strip()) or None


def _of_text(whole: str) -> tuple[str, str | None]:
    words = whole.split(" ")
    count = min(BEGINNING_WORDS, max(1, len(words) // 5))
    return " ".join(words[:count]), _short(" ".join(words[count:])) or None


def _short(answer: str) -> str:
    return answer if len(answer) <= REFERENCE_LETTERS else answer[: REFERENCE_LETTERS - 1] + "…"


def _stops(template: PromptTemplate | None) -> tuple[str, ...]:
    """What ends an answer when it is served."""
    if template is None:
        return ()
    end = template.end_of_turn()
    return (*template.stop_sequences, *([end] if end else []))
