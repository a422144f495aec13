"""Training rows in other words, beside those that they are made of: never what is measured on, and nothing twice."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from furrow.components.augmentation import AskedModel, AugmentationConfig, Unusable
from furrow.components.errors import FurrowError
from furrow.components.events import Emit, RowsAugmented, TextsSent
from furrow.components.fingerprint import fingerprint
from furrow.components.model_app import ModelApp
from furrow.components.models.identity import folder_of, identity
from furrow.components.progress import counted
from furrow.components.records import Row
from furrow.stages import wire
from furrow.stages.data.asking import Asking, NotAsked, identity_of
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.gather import prefixed, unprefixed
from furrow.stages.data.kept_answers import FILE, KeptAnswers, answers_folder
from furrow.stages.data.measured import AT_ONCE, Measured
from furrow.stages.data.print_set import PrintSet
from furrow.strategies.schema import DatasetConfig, Strategy
from furrow.strategies.wiring import Wired

SHOWN = 5
"""Reasons that the event tells."""


def augmented(
    strategy: Strategy,
    train: Sequence[Row],
    evaluation: Sequence[Row],
    emit: Emit,
    answers: Path,
    *,
    ask: bool = True,
    bad: BadRows | None = None,
    print_of: Callable[[Row], bytes] = fingerprint,
) -> Iterator[Row]:
    """The rows that `dataset.augmentation` makes of the training rows, one type after the other, each with its `origin`
    and with `where` as `file:12 (paraphrase 1)`. `answers`: the folder that keeps what models answer. Without `ask`
    nothing is asked and nothing written: made is what is known.

    What says what a training row says, or one made before, is left out; so is what an evaluation row asks, or nearly
    so. Both are counted and said, as is what could not be made. Raises RequestError for a row that a type cannot vary,
    unless `bad` sets it aside, and FurrowError where a model cannot be had; what it answered until then is kept.
    """
    if not strategy.dataset.augmentation:
        return
    known = PrintSet(_prints(train))
    measured = Measured(evaluation, strategy.data_preprocessing.duplicate_similarity)
    with contextlib.closing(KeptAnswers(answers, writing=ask)) as kept:
        for wired in strategy.dataset.augmentation:
            asking = _asking(wired, strategy, kept, emit if ask else None)
            made = _Made(wired, asking, strategy.dataset, bad or BadRows())
            for batch in _batches(made.of(counted(train, emit, f"augmenting rows ({wired.type})", len(train)))):
                for row, is_measured in zip(batch, measured.among(batch), strict=True):
                    if is_measured:
                        made.like_evaluation += 1
                    elif not known.add(print_of(row)):
                        made.equal += 1
                    else:
                        yield row
            emit(made.event())


def models_asked(strategy: Strategy) -> list[dict[str, Any]]:
    """Which models the augmentations ask: what a cache of the rows must be keyed by beside the strategy."""
    models = map(_model_of, strategy.dataset.augmentation)
    return [_identity(model, strategy) for model in models if model is not None]


def answers_kept(strategy: Strategy) -> Path | None:
    """The file of what models answered; None where none is asked, or none has answered yet."""
    if not any(map(_model_of, strategy.dataset.augmentation)):
        return None
    file = answers_folder(strategy.dataset) / FILE
    return file if file.exists() else None


class _Made:
    """What one augmentation makes, and the account of it."""

    def __init__(self, wired: Wired, ask: Asking | None, dataset: DatasetConfig, bad: BadRows) -> None:
        if not isinstance(wired.config, AugmentationConfig):
            raise FurrowError(f"the settings of the augmentation {wired.type} are no AugmentationConfig")
        self._type, self._config, self._ask, self._bad = wired.type, wired.config, ask, bad
        self._augmentation = wire.augmentation(wired, ask)
        self._prefixes = [source.prefix for source in dataset.mix]
        self.rows = self.made = self.equal = self.like_evaluation = 0
        self._reasons: Counter[str] = Counter()

    def of(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if row not in self._bad and _is_chosen(row, self._config):
                made: list[Row] = []
                with self._bad.looking_at(row):
                    made = list(self._variants(row))
                    self.rows += 1
                self.made += len(made)
                yield from made

    def _variants(self, row: Row) -> Iterator[Row]:
        prefix = self._prefixes[row.source] if self._prefixes else ""
        variants = self._augmentation.variants(unprefixed(row, prefix))
        try:
            for number, made in enumerate(variants, 1):
                if isinstance(made, Unusable):
                    self._reasons[made.why] += 1
                    continue
                made = prefixed(made, prefix) if prefix else made
                yield Row(made.columns, f"{row.where} ({self._type} {number})", row.source, self._type)
        except NotAsked:
            self._reasons["the model was not asked yet"] += 1

    def event(self) -> RowsAugmented:
        return RowsAugmented(
            type=self._type,
            rows=self.rows,
            made=self.made - self.equal - self.like_evaluation,
            equal=self.equal,
            like_evaluation=self.like_evaluation,
            failed=self._reasons.total(),
            reasons=dict(self._reasons.most_common(SHOWN)),
            asked=None if self._ask is None else self._ask.asked,
        )


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    each = iter(rows)
    while batch := list(itertools.islice(each, AT_ONCE)):
        yield batch


def _is_chosen(row: Row, config: AugmentationConfig) -> bool:
    """By a number drawn for what the row says."""
    if config.share == 1:
        return True
    drawn = hashlib.blake2b(fingerprint(row), key=config.seed.to_bytes(8, "big"), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < config.share * 2**64


def _prints(rows: Sequence[Row]) -> Sequence[bytes]:
    """Of rows on disk they are known."""
    known: Sequence[bytes] | None = getattr(rows, "prints", None)
    return list(map(fingerprint, rows)) if known is None else known


def _asking(wired: Wired, strategy: Strategy, kept: KeptAnswers, emit: Emit | None) -> Asking | None:
    """Who is asked; without `emit` nobody is."""
    model = _model_of(wired)
    if model is None:
        return None
    identity, told = _identity(model, strategy), model.told
    if emit is None:
        return Asking(model.type, identity, None, kept)

    def make() -> ModelApp:
        emit(TextsSent(message=f"{wired.type}: texts of the rows are put to {told}"))
        return wire.asked_app(strategy, model)

    return Asking(model.type, identity, make, kept)


def _model_of(wired: Wired) -> AskedModel | None:
    model = getattr(wired.config, "model_app", None)
    return model if isinstance(model, AskedModel) else None


def _identity(model: AskedModel, strategy: Strategy) -> dict[str, Any]:
    app = model.app
    if getattr(app, "adapter", None) is not False:
        return identity_of(model.type, app, None)
    config = strategy.fine_tuner.config.base_model  # type: ignore[attr-defined]
    folder = folder_of(config)
    base = identity(folder) if folder is not None else None
    return identity_of(model.type, app, base or {"huggingface_id": config.huggingface_id})
