"""How text becomes token ids: in one place, so that training, completing and comparing see the same ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from furrow.components.errors import FurrowError
from furrow.components.records import Run, Segment

_TRANSFORMERS_FAST = "transformers.tokenization_utils_tokenizers"


def beginning_of_sequence(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before every text: `[bos_token_id]` or nothing. Found by encoding an empty text."""
    ids = _called(tokenizer, "")
    return ids[:1] if ids and ids[0] == tokenizer.bos_token_id else []


def prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a rendered prompt, BOS first where the model wants one. Nothing is appended."""
    return beginning_of_sequence(tokenizer) + _encode(tokenizer, text)


def refuse_unknown_tokens(model: Any, texts: Iterable[Sequence[int]]) -> None:
    """Raises FurrowError where an id has no row in the model's table of embeddings: tokenizer and weights of two
    models were put into one folder."""
    rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    largest = max((max(ids, default=0) for ids in texts), default=0)
    if rows is not None and largest >= rows:
        raise FurrowError(
            f"the tokenizer gives token {largest:,}, and the model has {rows:,} of them",
            remedy="the tokenizer belongs to another model: download or copy the whole folder again",
        )


def end_token_id(tokenizer: Any, end_of_turn: str | None) -> int:
    """The id of the token that ends an answer: the template's own, else the tokenizer's eos.

    Raises FurrowError when there is none: a model that never learns to stop answers without end.
    """
    if end_of_turn is None:
        if tokenizer.eos_token_id is None:
            raise FurrowError(
                "the tokenizer has no end-of-sequence token", remedy="set eos_token in tokenizer_config.json"
            )
        return int(tokenizer.eos_token_id)
    ids = _encode(tokenizer, end_of_turn)
    if len(ids) != 1:
        raise FurrowError(
            f"the chat template ends an answer with {end_of_turn!r}, which is no single token of this tokenizer",
            remedy="use prompt_template.format, or add it to the tokenizer as a special token",
        )
    return ids[0]


def control_tokens(tokenizer: Any) -> frozenset[str]:
    """The texts that become one token wherever they stand, and steer the model instead of being read by it."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return frozenset(token.content for token in added.values() if token.special and token.content)


def answer_ends(tokenizer: Any, model_ends: int | Sequence[int] | None, stops: Sequence[str]) -> set[int]:
    """Every token at which an answer is over: the tokenizer's, the model's own (many chat models have a list), and the
    stop texts that are special tokens, for such a token never shows up in the decoded text."""
    ends = [model_ends] if model_ends is None or isinstance(model_ends, int) else list(model_ends)
    for stop in stops:
        ids = _encode(tokenizer, stop)
        if len(ids) == 1 and not tokenizer.decode(ids, skip_special_tokens=True):
            ends.append(ids[0])
    return {int(end) for end in [*ends, tokenizer.eos_token_id] if end is not None}


def segment_ids(tokenizer: Any, segments: Sequence[Segment], end_id: int) -> tuple[list[int], list[bool]]:
    """Token ids of a rendered row, and for each whether it is learned; BOS (never learned) first where wanted."""
    runs = runs_of(tokenizer, segments, end_id)
    return [token for run in runs for token in run.ids], [run.learned for run in runs for _ in run.ids]


def runs_of(tokenizer: Any, segments: Sequence[Segment], end_id: int) -> list[Run]:
    """A rendered row as token ids, run by run; BOS (never learned) first where wanted.

    A piece is tokenised in the light of what stands before it, as the whole text would be, wherever that leaves the
    tokens before it as they are; so an answer begins with the very tokens that a model continuing the prompt would
    write. Where it would not (the tokenizer joins letters across the border), the piece is tokenised by itself.

    `BatchEncoder` gives the same for many rows at a time.
    """
    runs = [Run(ids)] if (ids := beginning_of_sequence(tokenizer)) else []
    text, text_ids = "", list[int]()
    for segment in joined(segments):
        if segment.text:
            joint = _encode(tokenizer, text + segment.text)
            new = joint[len(text_ids) :] if joint[: len(text_ids)] == text_ids else _encode(tokenizer, segment.text)
            text, text_ids = text + segment.text, text_ids + new
            runs.append(Run(new, segment.learned, False, segment.weight))
        if segment.end:
            runs.append(Run([end_id], segment.learned, True, segment.weight))
            text += end_text(tokenizer, end_id)
            text_ids = [*text_ids, end_id]
    return runs


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbours of the same kind in one: what a server tokenises in one go is tokenised in one go here."""
    runs: list[Segment] = []
    for segment in segments:
        if runs and not (runs[-1].end or segment.end) and _kind(runs[-1]) == _kind(segment):
            runs[-1] = segment._replace(text=runs[-1].text + segment.text)
        else:
            runs.append(segment)
    return runs


def _kind(segment: Segment) -> float | None:
    return segment.weight if segment.learned else None


def end_text(tokenizer: Any, end_id: int) -> str:
    """How the end token stands in a text."""
    return str(tokenizer.convert_ids_to_tokens(end_id))


def backend_of(tokenizer: Any) -> Any | None:
    """The `tokenizers.Tokenizer` that does the work of this tokenizer, ready for text without limits; None where there
    is none, or where Python code stands between (it may change the text first)."""
    kind = type(tokenizer)
    own = getattr(kind, "IS_ITS_BACKEND", False)
    if not own and getattr(getattr(kind, "_encode_plus", None), "__module__", "") != _TRANSFORMERS_FAST:
        return None
    _called(tokenizer, "")  # transformers switches off what an earlier call has left on: truncation, padding
    return tokenizer.backend_tokenizer


def _encode(tokenizer: Any, text: str) -> list[int]:
    return _called(tokenizer, text, add_special_tokens=False)


def panicked(error: BaseException) -> bool:
    """Whether `tokenizers` gave up: its error is no Exception, and cannot be imported."""
    return type(error).__name__ == "PanicException"


def _called(tokenizer: Any, text: str, **settings: bool) -> list[int]:
    try:
        return list(tokenizer(text, **settings).input_ids)
    except BaseException as error:
        if not panicked(error):
            raise
        raise FurrowError(
            f"the tokenizer gives up on {text[:60]!r}: {' '.join(str(error).split())[:200]}",
            remedy="its rules are broken, or a pattern in them has no end: choose another tokenizer",
        ) from error
