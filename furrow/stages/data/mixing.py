"""Several sets learned together: from each so many examples as its weight says, and an account of what came of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furrow.components.errors import RequestError
from furrow.components.events import Emit, MixDelivered, Noted, Warned
from furrow.components.stored.examples import StoredExamples
from furrow.stages.data.split_advice import odd
from furrow.strategies.schema import DatasetConfig, Strategy

OFTEN = 10
"""Rows that are learned more often than this in one epoch are learned by heart."""
_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def mixed(
    strategy: Strategy, train: StoredExamples, evaluation: StoredExamples, emit: Emit
) -> tuple[StoredExamples, StoredExamples]:
    """One epoch of the mix, and evaluation examples in the same proportions; the same two where there is no mix.

    An eval_file is measured on whole. Raises RequestError for a set of which nothing is left, or which its weight gives
    no part.
    """
    dataset = strategy.dataset
    if not dataset.mix:
        return train, evaluation
    weights, seed = [source.weight for source in dataset.mix], _seed(strategy)
    _refuse_empty(np.bincount(train.sources, minlength=len(weights)), dataset)
    drawn = train.only(draw(train.sources, weights, dataset.stopping_strategy, seed))
    measured = evaluation
    if dataset.eval_file is None and len(evaluation):
        measured = evaluation.only(draw(evaluation.sources, weights, "first_exhausted", seed, may_miss=True))
    event = _delivered(dataset, train, drawn, measured)
    emit(event)
    if len(measured) < len(evaluation) and (advice := odd(len(drawn) + len(measured), len(measured))):
        emit(Noted(message=f"of {len(evaluation):,} evaluation rows the mix takes {len(measured):,}: {advice}"))
    for number, (rows, available) in enumerate(zip(event.rows, event.available, strict=True)):
        if rows > OFTEN * available:
            emit(
                Warned(
                    message=f"each of the {available:,} rows of {event.files[number]} is learned {rows // available:,} "
                    "times in one epoch, and others once",
                    remedy="lower its weight, or set dataset.stopping_strategy to first_exhausted",
                )
            )
    return drawn, measured


def draw(
    sources: np.ndarray, weights: Sequence[float], stopping_strategy: str, seed: int, *, may_miss: bool = False
) -> np.ndarray:
    """Places of the examples of one epoch: from each set as many as `counts` says, all sets evenly interleaved, each in
    its own order. Which ones they are is drawn by `seed` and by nothing else.

    `may_miss`: a set without examples, or of which less than half of one is due, gives none; else it is refused.
    """
    available = np.bincount(sources, minlength=len(weights))
    present = [number for number, count in enumerate(available) if count]
    wanted = counts(available[present], [weights[number] for number in present], stopping_strategy)
    chosen, positions = [], []
    for number, count in zip(present, wanted.tolist(), strict=True):
        if not count and not may_miss:
            raise RequestError(
                f"with weight {weights[number]:g} of {sum(weights):g} no row of it is learned: an epoch has "
                f"{int(wanted.sum()):,} rows",
                where=f"dataset.mix.{number}.weight",
                remedy="raise it, take the set out, or set dataset.stopping_strategy to all_exhausted",
            )
        members = np.flatnonzero(sources == number)
        times, rest = divmod(count, len(members))
        some = np.sort(np.argsort(_lots(len(members), seed, number), kind="stable")[:rest])
        chosen += [np.tile(members, times), members[some]]
        positions.append((np.arange(count) + 0.5) / max(count, 1))
    order = np.argsort(np.concatenate(positions), kind="stable")
    places: np.ndarray = np.concatenate(chosen)[order]
    return places


def counts(available: np.ndarray, weights: Sequence[float], stopping_strategy: str) -> np.ndarray:
    """How many examples each set gives: one set all it has, every other one in proportion, to the nearest number.

    `first_exhausted`: that set is the one that is used up first, so that no example comes twice; `all_exhausted`: the
    one that is used up last.
    """
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    lasting = available / shares
    used_up = int(np.argmin(lasting) if stopping_strategy == "first_exhausted" else np.argmax(lasting))
    given = np.floor(available[used_up] * shares / shares[used_up] + 0.5).astype(np.int64)
    return np.minimum(given, available) if stopping_strategy == "first_exhausted" else np.maximum(given, available)


def _lots(count: int, seed: int, source: int) -> np.ndarray:
    """A number drawn for each of so many examples, the same under every version of numpy (SplitMix64)."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed) * _GOLDEN + np.uint64(source + 1) * _SECOND
        lots = state + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        lots = (lots ^ (lots >> np.uint64(30))) * _FIRST
        lots = (lots ^ (lots >> np.uint64(27))) * _SECOND
        return np.asarray(lots ^ (lots >> np.uint64(31)))


def _seed(strategy: Strategy) -> int:
    """Of the rows' order; a mix is drawn also where `shuffle` is off."""
    if strategy.data_preprocessing.seed is not None:
        return strategy.data_preprocessing.seed
    return int(getattr(getattr(strategy.fine_tuner.config, "training_args", None), "seed", 42))


def _refuse_empty(available: np.ndarray, dataset: DatasetConfig) -> None:
    for number, count in enumerate(available.tolist()):
        if not count:
            raise RequestError(
                f"no row of {dataset.mix[number].file} is left to learn",
                where=f"dataset.mix.{number}.file",
                remedy="see what was dropped from it, or take it out of the mix",
            )


def _delivered(
    dataset: DatasetConfig, train: StoredExamples, drawn: StoredExamples, measured: StoredExamples
) -> MixDelivered:
    sets = len(dataset.mix)

    def summed(of: np.ndarray) -> list[int]:
        return np.bincount(drawn.sources, weights=of, minlength=sets).astype(np.int64).tolist()

    total = sum(source.weight for source in dataset.mix)
    return MixDelivered(
        files=[source.file for source in dataset.mix],
        wanted=[source.weight / total for source in dataset.mix],
        available=np.bincount(train.sources, minlength=sets).tolist(),
        rows=np.bincount(drawn.sources, minlength=sets).tolist(),
        tokens=summed(drawn.lengths),
        learned_tokens=summed(drawn.learned),
        eval_rows=np.bincount(measured.sources, minlength=sets).tolist() if dataset.eval_file is None else [],
    )
