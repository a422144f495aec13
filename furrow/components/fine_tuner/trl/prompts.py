"""Labelled examples as prompts: what is given before the first answer, and that answer as what the data says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.records import AnyExample, Example
from furrow.components.reward import Asked
from furrow.components.tokens import beginning_of_sequence


@dataclass(frozen=True)
class Prompt:
    """`ids` begin with BOS where the model wants one, `text` does not show it; `end_id` closes the data's answer."""

    ids: list[int]
    text: str
    asked: Asked
    end_id: int


def prompts_of(examples: Sequence[AnyExample], tokenizer: Any) -> list[Prompt]:
    """Raises RequestError with `file:line` for a row that is no prompt with an answer."""
    return [_prompt(example, tokenizer) for example in examples]


def _prompt(example: AnyExample, tokenizer: Any) -> Prompt:
    if not isinstance(example, Example) or True not in example.learned[1:]:
        raise RequestError("policy optimisation wants rows with a prompt and an answer", where=example.where)
    start = example.learned.index(True)
    if start == 0:
        raise RequestError("the row has no prompt: its answer begins at the first token", where=example.where)
    stop = next((at for at in range(start, len(example.learned)) if not example.learned[at]), len(example.learned))
    given, answer = example.input_ids[:start], example.input_ids[start:stop]
    shown = given[len(beginning_of_sequence(tokenizer)) :]
    asked = Asked(_text(tokenizer, answer, skip_special_tokens=True), example.where)
    return Prompt(given, _text(tokenizer, shown), asked, answer[-1])


def end_ids(prompts: Sequence[Prompt], tokenizer: Any) -> list[int]:
    """What ends an answer: the tokenizer's token, and the one that ends the answers in the data (a chat template's)."""
    [(common, _)] = Counter(prompt.end_id for prompt in prompts).most_common(1)
    is_special = not _text(tokenizer, [common], skip_special_tokens=True)
    return list(dict.fromkeys([tokenizer.eos_token_id, *([common] if is_special else [])]))


def _text(tokenizer: Any, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
    return tokenizer.decode(ids, skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False)
