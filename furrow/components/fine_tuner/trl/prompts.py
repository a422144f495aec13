"""Labelled examples as prompts: what is given before the first answer, and that answer as what the data says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

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


class Prompts(Sequence[Prompt]):
    """Those of `examples`, each made when it is asked for."""

    def __init__(self, examples: Sequence[AnyExample], tokenizer: Any) -> None:
        self._examples, self._tokenizer = examples, tokenizer

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, place: int) -> Prompt: ...

    @overload
    def __getitem__(self, place: slice) -> list[Prompt]: ...

    def __getitem__(self, place: int | slice) -> Prompt | list[Prompt]:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        given, answer, where = _parts(self._examples[place])
        shown = given[len(beginning_of_sequence(self._tokenizer)) :]
        asked = Asked(_text(self._tokenizer, answer, skip_special_tokens=True), where)
        return Prompt(given, _text(self._tokenizer, shown), asked, answer[-1])


def verify(examples: Iterable[AnyExample]) -> None:
    """Raises RequestError with `file:line` for a row that is no prompt with an answer."""
    for example in examples:
        _parts(example)


def end_ids(examples: Iterable[AnyExample], tokenizer: Any) -> list[int]:
    """What ends an answer: the tokenizer's token, and the one that ends the answers in the data (a chat template's).
    Raises RequestError as `verify`."""
    [(common, _)] = Counter(_parts(example)[1][-1] for example in examples).most_common(1)
    is_special = not _text(tokenizer, [common], skip_special_tokens=True)
    return list(dict.fromkeys([tokenizer.eos_token_id, *([common] if is_special else [])]))


def _parts(example: AnyExample) -> tuple[list[int], list[int], str]:
    """(what is given, the first answer, where the row stands)."""
    if not isinstance(example, Example) or True not in example.learned[1:]:
        raise RequestError("policy optimisation wants rows with a prompt and an answer", where=example.where)
    start = example.learned.index(True)
    if start == 0:
        raise RequestError("the row has no prompt: its answer begins at the first token", where=example.where)
    stop = next((at for at in range(start, len(example.learned)) if not example.learned[at]), len(example.learned))
    return example.input_ids[:start], example.input_ids[start:stop], example.where


def _text(tokenizer: Any, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
    return tokenizer.decode(ids, skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False)
