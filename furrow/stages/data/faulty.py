"""Data that cannot be meant: what a run over it would tell is not worth its time, so that it does not begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from furrow.components.errors import RequestError
from furrow.components.events import Emit, Warned, listed
from furrow.components.plural import plural
from furrow.stages.data.cut_by import answers_cut_by
from furrow.stages.data.dropped import PLACES
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.prepared import Prepared
from furrow.stages.data.rows import Rows, leaked
from furrow.strategies.schema import DatasetConfig

MOST_LEAKED = 0.01
"""Share of the evaluation rows that may be learned too: with more, the loss on them says little."""
MOST_CUT = 0.2
"""Share of the answers that may be cut: with more, the model learns to break off, and max_length is a mistake."""
GO_ON = "or go on as it is with dataset.on_faulty_data: warn"


@dataclass(frozen=True)
class Fault:
    """One reason not to train on it."""

    what: str
    where: str
    remedy: str


def judge(dataset: DatasetConfig, faults: list[Fault], emit: Emit) -> None:
    """Raises RequestError with all of them, or says them where the strategy goes on nevertheless."""
    if dataset.on_faulty_data == "warn":
        for fault in faults:
            emit(Warned(message=f"{fault.what} ({fault.where})", remedy=fault.remedy))
    elif faults:
        first, *others = faults
        also = [f"{fault.where}: {fault.what}; {fault.remedy}" for fault in others]
        raise RequestError(first.what, where=first.where, remedy="\n  ".join([first.remedy, *also, GO_ON]))


def faults_of(rows: Rows, train: Prepared, evaluation: Prepared, maker: ExampleMaker) -> list[Fault]:
    """What is wrong with them; `maker` made the examples. A classifier learns no tokens."""
    return [
        *leaks(rows),
        *cuts(train, maker),
        *(_nothing_learned(train) if maker.classes is None else ()),
        *cuts(evaluation, maker, " to evaluate on"),
    ]


def leaks(rows: Rows) -> Iterator[Fault]:
    """Evaluation rows that are learned."""
    places, measured = leaked(rows), len(rows.evaluation)
    if len(places) > MOST_LEAKED * measured:
        first = [rows.evaluation[int(place)].where for place in places[:PLACES]]
        yield Fault(
            f"{len(places):,} of {plural(measured, 'evaluation row')} ({len(places) / measured:.0%}) "
            f"{'is' if len(places) == 1 else 'are'} learned too: "
            f"{listed(first)}",
            "dataset.eval_file",
            "take them out of one of the files: the loss on them says how well rows are remembered, and no more",
        )


def cuts(prepared: Prepared, maker: ExampleMaker, side: str = "") -> Iterator[Fault]:
    """Answers that the limits break off."""
    total = len(prepared.examples) + len(prepared.dropped)
    if len(prepared.cut_answers) > MOST_CUT * total:
        limit = answers_cut_by(prepared, maker)
        yield Fault(
            f"{len(prepared.cut_answers):,} of {plural(total, 'row')}{side} ({len(prepared.cut_answers) / total:.0%}) "
            f"{'loses' if len(prepared.cut_answers) == 1 else 'lose'} a "
            f"part of their answer to {limit.told}: {listed(prepared.cut_answers)}",
            limit.where,
            "raise it, or split the rows",
        )


def _nothing_learned(prepared: Prepared) -> Iterator[Fault]:
    if not prepared.learned_tokens:
        yield Fault(
            f"no token of the {plural(len(prepared.examples), 'row')} is learned",
            "prompt_template",
            "let the template mark answers as learned, or give the messages of the assistant a weight above 0",
        )
