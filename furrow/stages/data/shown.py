"""A row as the model sees it, token by token: what is learned, what is special, and what the limits cut away."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from furrow.components.preferences import judged_of
from furrow.components.records import Example, Row
from furrow.components.tokens import control_tokens
from furrow.stages.data.examples import PAIRS, VERDICTS, ExampleMaker

MOST_WINDOWS = 3
"""Of a long plain text, which becomes an example every max_length tokens."""
MOST_KEPT, MOST_CUT = 4096, 120
"""Tokens of one stretch that are shown: what the model sees, and what it does not."""
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER = 4
"""Bytes of one character in UTF-8, and so the most tokens that it can be torn into."""


class Token(NamedTuple):
    """`text`: what it adds to the text before it, '' where it is a part of a character that a later one completes."""

    id: int
    text: str
    learned: bool
    special: bool
    kept: bool
    """False: the limits cut it away, and the model does not see it."""
    weight: float
    """Of its share in the loss; 0 where it is not learned."""


class Shown(NamedTuple):
    """One sequence of a row. `role`: what it is within the row ('chosen', 'rejected', …); '' where that goes without
    saying. `note`: what else is to be said."""

    where: str
    role: str
    tokens: list[Token]
    note: str = ""

    @property
    def seen(self) -> int:
        """Tokens that reach the model; 0 of a row that is dropped."""
        return sum(token.kept for token in self.tokens)

    @property
    def learned(self) -> int:
        return sum(token.kept and token.learned for token in self.tokens)

    @property
    def cut(self) -> int:
        return len(self.tokens) - self.seen


@dataclass(frozen=True)
class Hidden:
    """Tokens of a long stretch that are not shown."""

    count: int
    kept: bool

    def __str__(self) -> str:
        return f"… {self.count:,} more tokens{'' if self.kept else ' cut away'} …"


def abridged(tokens: Sequence[Token]) -> Iterator[Token | Hidden]:
    """The tokens, without the middle of what is too long to be read."""
    for kept, stretch in itertools.groupby(tokens, lambda token: token.kept):
        run = list(stretch)
        most = MOST_KEPT if kept else MOST_CUT
        if len(run) <= most:
            yield from run
            continue
        yield from run[: most // 2]
        yield Hidden(len(run) - 2 * (most // 2), kept)
        yield from run[len(run) - most // 2 :]


def shown(row: Row, maker: ExampleMaker) -> list[Shown]:
    """All sequences of a row, in order. Raises RequestError, as training does, for a row that does not fit."""
    special = special_ids(maker.tokenizer)
    if maker.template is None:
        return _windows(row, maker, special)
    return [
        Shown(row.where, role, _tokens(whole, kept, maker.tokenizer, special), "" if kept else _dropped(maker))
        for role, (whole, kept) in zip(_roles(row, maker), maker.uncut(row), strict=True)
    ]


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Of the tokens that steer the model instead of being read by it."""
    names = control_tokens(tokenizer)
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return frozenset(number for number, token in added.items() if token.content in names)


def token_texts(ids: Sequence[int], tokenizer: Any) -> Iterator[str]:
    """What each token adds to the text of those before it. Together they are the whole text, also where a token is half
    a character, or loses its blank when it stands alone."""
    begin = read = 0
    for at in range(1, len(ids) + 1):
        before, now = _decoded(tokenizer, ids[begin:read]), _decoded(tokenizer, ids[begin:at])
        torn = now.endswith(_UNFINISHED) and at < len(ids) and at - read < _LONGEST_CHARACTER
        if torn and len(now) > len(before):
            yield ""
            continue
        yield now[len(before) :]
        begin, read = read, at


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)) if ids else ""


def _tokens(whole: Example, kept: Sequence[int], tokenizer: Any, special: frozenset[int]) -> list[Token]:
    stays = set(kept)
    weights = whole.learned if whole.weights is None else whole.weights
    texts = token_texts(whole.input_ids, tokenizer)
    return [
        Token(number, text, learned, number in special, at in stays, float(weight) if learned else 0.0)
        for at, (number, text, learned, weight) in enumerate(
            zip(whole.input_ids, texts, whole.learned, weights, strict=True)
        )
    ]


def _windows(row: Row, maker: ExampleMaker, special: frozenset[int]) -> list[Shown]:
    examples = [sequence for example in maker.prepare([row]).examples for sequence in example.sequences]
    found = []
    for number, example in enumerate(examples[:MOST_WINDOWS], 1):
        tokens = _tokens(example, range(len(example.input_ids)), maker.tokenizer, special)
        role = f"part {number:,} of {len(examples):,}" if len(examples) > 1 else ""
        found.append(Shown(row.where, role, tokens))
    return found


def _roles(row: Row, maker: ExampleMaker) -> list[str]:
    if maker.classes is not None:
        number = maker.classes.labels.number(row)
        return [f"class {number} ({maker.classes.labels.names[number]})"]
    if maker.objective in PAIRS:
        return ["chosen", "rejected"]
    if maker.objective in VERDICTS:
        return ["wanted" if desirable else "unwanted" for _, desirable in judged_of(row)]
    return [""]


def _dropped(maker: ExampleMaker) -> str:
    if maker.limits.truncation == "drop":
        return f"dropped: longer than {maker.max_length:,} tokens"
    return f"dropped: nothing to learn is left within {maker.max_length:,} tokens"
