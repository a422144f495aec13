"""Many rendered rows become token ids at a time: the ids of `tokens.runs_of`, at the speed of the tokenizer.

`runs_of` encodes a row from its beginning for every piece of it. Here a row is encoded once, and cut where its pieces
meet; all rows go to the tokenizer's own threads together. A cut is made only where it gives the same ids: the few
letters between it and the nearest place at which the tokenizer begins anew (`borders`) are encoded by themselves, and
must be the very tokens that stand there in the row. What cannot be cut so, `runs_of` encodes.

Such a place is found among the tokens by the offsets of the row's encoding; or, where it is a special token, by that
token alone. Each time that such a token stands in the text it is one of the ids. Are there as many of these ids in the
row as there are such texts in it, then none of them comes from anything else, and the third of the text is the third of
the ids. Where tokens stand for the very bytes of the text, a cue that is in it once is found by its tokens too. Rows of
the usual templates need no offsets then, which are a sixth of the tokenizer's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tokenizers import pre_tokenizers

from furrow.components.borders import BEFORE_BLANK, BEFORE_LETTER, NOWHERE, borders_of, steps_of
from furrow.components.records import Run, Segment
from furrow.components.tokens import backend_of, beginning_of_sequence, end_text, joined, panicked, runs_of

_CUES = 10_000
"""Texts before a cut whose tokens are remembered: mostly the few cues of a template."""

Rendered = tuple[Sequence[Segment], int]
"""(a row's segments, the token that ends its answers)"""


class _Special(NamedTuple):
    """A special token that the tokenizer finds wherever its text stands."""

    text: str
    number: int


class _Cue:
    """What stands between a cut and the place before it at which the tokenizer begins anew. `stand_in`: what may stand
    before it; `special`: what it begins with, where it can be found by that."""

    __slots__ = ("ids", "special", "stand_in", "text")

    def __init__(self, stand_in: str, text: str, special: _Special | None) -> None:
        self.stand_in, self.text, self.special = stand_in, text, special
        self.ids: list[int] | None = None
        """Not known before it is encoded, with the rows that have it."""


_Part = tuple[Segment, int, _Cue | None, int | None]
"""(a segment, where in the text the cue of the cut before it begins, that cue where a run stands there, the place of
its end token where it has one that is not the last of the row). No class of its own: three of them a row are felt."""


class _Plan(NamedTuple):
    """`text` is what is encoded: all of the row but its last end token. `exact`: special tokens tell all cuts."""

    text: str
    parts: list[_Part]
    exact: bool


class Batch:
    """Rows on their way: what is to be encoded, then what came of it."""

    def __init__(self, rows: list[Rendered], plans: list[_Plan | None], cues: list[_Cue]) -> None:
        self.rows, self.plans, self.cues = rows, plans, cues
        self.encodings: Iterator[Any] | None = None
        """Of the rows that have offsets;"""
        self.without_offsets: Iterator[Any] | None = None
        """and of the others."""


class BatchEncoder:
    """Of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = backend_of(tokenizer)
        self._borders = NOWHERE if self._backend is None else borders_of(self._backend)
        self._beginning = beginning_of_sequence(tokenizer)
        self._cues: dict[tuple[str, str], _Cue] = {}
        self._ends: dict[int, tuple[str, _Special | None]] = {}
        self._spelled, self._composes = _spells(self._backend)
        self._stand_ins = {"": 0}
        if self._backend is not None:
            for text in (BEFORE_BLANK, BEFORE_LETTER):
                self._stand_ins[text] = len(self._backend.encode(text, add_special_tokens=False).ids)

    def encode(self, rows: Iterable[Rendered]) -> list[list[Run]]:
        """The runs of each row, as `runs_of` makes them."""
        batch = self.planned(rows)
        self.tokenise(batch)
        return list(self.runs(batch))

    def planned(self, rows: Iterable[Rendered]) -> Batch:
        """The first third of `encode`. Batches are to be tokenised in the order in which they are planned."""
        if len(self._cues) > _CUES:
            self._cues = {}
        known = list(rows)
        new: list[_Cue] = []
        return Batch(known, [self._plan(segments, end_id, new) for segments, end_id in known], new)

    def tokenise(self, batch: Batch) -> None:
        """The second, nearly all of the work. May run in another thread, beside the Python of the other two."""
        plans = [plan for plan in batch.plans if plan is not None]
        if not plans:
            return
        texts = [cue.stand_in + cue.text for cue in batch.cues]
        try:
            backend: Any = backend_of(self._tokenizer)
            for cue, encoding in zip(batch.cues, backend.encode_batch(texts, add_special_tokens=False), strict=True):
                cue.ids = encoding.ids[self._stand_ins[cue.stand_in] :]
            exact = [plan.text for plan in plans if plan.exact]
            others = [plan.text for plan in plans if not plan.exact]
            encodings = backend.encode_batch(others, add_special_tokens=False)
            batch.without_offsets = iter(backend.encode_batch_fast(exact, add_special_tokens=False))
            batch.encodings = iter(encodings)
        except BaseException as error:  # who encodes row by row will know on which one it gives up
            if not panicked(error):
                raise

    def runs(self, batch: Batch) -> Iterator[list[Run]]:
        """The last: the runs of each row, made as they are asked for."""
        with_offsets, without = batch.encodings, batch.without_offsets
        for (segments, end_id), plan in zip(batch.rows, batch.plans, strict=True):
            runs = None
            if plan is not None and with_offsets is not None and without is not None:
                if plan.exact:
                    runs = self._runs(plan, next(without), end_id)
                else:
                    runs = self._runs(plan, next(with_offsets), end_id)
            yield runs or runs_of(self._tokenizer, segments, end_id)

    def _plan(self, segments: Sequence[Segment], end_id: int, new: list[_Cue]) -> _Plan | None:
        """None where a run begins that has no such place before it. `new` takes cues that are not known yet."""
        if self._borders is NOWHERE:
            return None
        parts: list[_Part] = []
        text, start = "", 0  # where the row begins, or the last end token in it
        fresh = exact = True  # nothing stands between there and here
        pieces = joined(segments)
        for number, segment in enumerate(pieces, 1):
            cue = end = None
            place = 0
            if segment.text:
                if not fresh:
                    found = self._borders.nearest(text[start:] if start else text)
                    if found is None:
                        return None
                    place = start + found[0]
                    cue = self._cue(found[1], text[place:], new)
                    exact = exact and cue.special is not None
                text, fresh = text + segment.text, False
            if segment.end and number < len(pieces):
                written, special = self._end(end_id)
                if special is None:
                    return None
                start = end = len(text)
                text, fresh = text + written, True
            parts.append((segment, place, cue, end))
        if not exact and self._spelled and (text.isascii() or not self._composes):
            exact = all(cue is None or cue.special or text.count(cue.text) == 1 for _, _, cue, _ in parts)
        return _Plan(text, parts, exact)

    def _cue(self, stand_in: str, text: str, new: list[_Cue]) -> _Cue:
        cue = self._cues.get((stand_in, text))
        if cue is None:
            begins = None if stand_in or self._borders.specials is None else self._borders.specials.match(text)
            cue = _Cue(stand_in, text, self._special(begins.group()) if begins else None)
            self._cues[stand_in, text] = cue
            new.append(cue)
        return cue

    def _end(self, end_id: int) -> tuple[str, _Special | None]:
        if end_id not in self._ends:
            text = end_text(self._tokenizer, end_id)
            self._ends[end_id] = text, self._special(text)
        return self._ends[end_id]

    def _special(self, text: str) -> _Special | None:
        if self._backend is None or not self._borders.ends_row_parts(text):
            return None
        number = self._backend.token_to_id(text)
        return None if number is None else _Special(text, number)

    def _runs(self, plan: _Plan, encoding: Any, end_id: int) -> list[Run] | None:
        """None where a run cannot be cut out of the row."""
        ids: list[int] = encoding.ids
        specials = _Specials(plan.text, ids) if plan.exact else None
        runs = [Run(self._beginning)] if self._beginning else []
        begin, text = 0, None  # where the run begins that is not over, and its segment
        for segment, place, cue, end in plan.parts:
            if cue is not None and text is not None:
                if specials is None:
                    first = _token_at(encoding, place)
                else:
                    first = specials.token_at(place, cue.special) if cue.special else _only(cue.ids, ids)
                if first is None or cue.ids is None:
                    return None
                stop = first + len(cue.ids)
                if stop < begin or ids[first:stop] != cue.ids:
                    return None
                runs.append(Run(ids[begin:stop], text.learned, False, text.weight))
                begin = stop
            if segment.text:
                text = segment
            if segment.end:
                at = len(ids)
                if end is not None:
                    known = specials.token_at(end, self._end(end_id)[1]) if specials else _token_at(encoding, end)
                    if known is None or ids[known] != end_id:
                        return None
                    at = known
                if text is not None:
                    runs.append(Run(ids[begin:at], text.learned, False, text.weight))
                runs.append(Run([end_id], segment.learned, True, segment.weight))
                begin, text = at + 1, None
        if text is not None:
            runs.append(Run(ids[begin:], text.learned, False, text.weight))
        return runs


class _Specials:
    """The special tokens of a row, in its text and among its ids. Mostly asked from left to right."""

    __slots__ = ("_checked", "_from", "_ids", "_text", "_token")

    def __init__(self, text: str, ids: list[int]) -> None:
        self._text, self._ids = text, ids
        self._from = self._token = 0  # behind the last one that was found
        self._checked: set[int] = set()

    def token_at(self, place: int, special: _Special | None) -> int | None:
        if special is None:
            return None
        text, number = special
        if number not in self._checked:
            if self._ids.count(number) != self._text.count(text):
                return None
            self._checked.add(number)
        if place < self._from:
            self._from = self._token = 0
        for _ in range(self._text.count(text, self._from, place)):
            self._token = self._ids.index(number, self._token) + 1
        token = self._ids.index(number, self._token)
        self._from, self._token = place + len(text), token + 1
        return token


def _only(cue: list[int] | None, ids: list[int]) -> int | None:
    """Where the cue stands, which is once in the text: tokens that spell it can be nowhere else."""
    if not cue:
        return None
    at = -1
    for _ in range(ids.count(cue[0])):
        at = ids.index(cue[0], at + 1)
        if ids[at : at + len(cue)] == cue:
            return at
    return None


def _spells(backend: Any) -> tuple[bool, bool]:
    """(whether every token stands for certain bytes, and those of a text for all its bytes, one after the other;
    whether this holds for ASCII only, since a normalizer may change other letters first)"""
    if backend is None or type(backend.model).__name__ != "BPE":
        return False, False
    if backend.model.continuing_subword_prefix or backend.model.end_of_word_suffix:
        return False, False
    normalizers = {step["type"] for step in steps_of(backend.normalizer, "normalizers")}
    cuts = steps_of(backend.pre_tokenizer, "pretokenizers")
    for cut in cuts:
        match cut:
            case {"type": "ByteLevel", "add_prefix_space": False} | {"type": "Split", "behavior": "Isolated"}:
                pass
            case {"type": "Digits"}:
                pass
            case _:
                return False, False
    spelled = (
        any(cut["type"] == "ByteLevel" for cut in cuts)
        and normalizers <= {"NFC", "NFD", "NFKC", "NFKD"}
        and all(backend.model.token_to_id(byte) is not None for byte in pre_tokenizers.ByteLevel.alphabet())
    )
    return spelled, bool(normalizers)


def _token_at(encoding: Any, place: int) -> int | None:
    """The number of the first token that begins at this place of the text; None where one goes across it. (A blank at
    the place may not count as a part of the token that holds it.)"""
    number: int | None = encoding.char_to_token(place)
    if number is None:
        number = encoding.char_to_token(place + 1)
    if number is None or (number and encoding.token_to_chars(number - 1)[1] > place):
        return None
    return number if encoding.token_to_chars(number)[0] >= place else None
