"""A run that is cut and gone on with ends as one that was left alone, in every cell: method, accumulation, dropout,
optimiser, the place of the cut in the epoch, and whether it is killed or stopped by a signal."""

from __future__ import annotations

import itertools
import shutil
import signal
from dataclasses import dataclass

from tests.faults import resume_grid
from tests.faults.campaign.children import Marks, fork
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.going_on import gone_on_with
from tests.faults.campaign.kills import left_alone
from tests.faults.campaign.marking import mark_saves
from tests.faults.campaign.runs import Job
from tests.faults.campaign.tiny import METHODS, Shop
from tests.faults.campaign.verdict import EXACT, WRONG, Tally, Trial

OPTIMIZERS = ("adamw", "adafactor", "lion", "sgd")
BATCH = {1: 4, 3: 1}
"""Rows of a micro-batch by accumulation: steps of 4 or of 3 rows, so 3 or 4 steps an epoch of 12."""


@dataclass(frozen=True)
class Cell:
    """One way to train, and one way to be cut."""

    job: Job
    cut: int
    """The step after which it is cut; it is the last that is saved."""
    killed: bool
    name: str


def run(crew: Crew) -> list[Tally]:
    cells = list(_cells(crew))
    chosen = cells[:: max(1, len(cells) // 4)] if crew.quick else cells
    within = [*grid_of_the_engine(), *resume_grid.others()]
    chosen_within = resume_grid.sample()[:2] if crew.quick else within
    rooms = [(cell, crew.shop) for cell in chosen_within]
    return [
        crew.tally(Tally("resume grid", "furrow", (EXACT,)), _try, chosen),
        crew.tally(Tally("resume grid of the engine", "furrow", (EXACT,)), _try_engine, rooms),
    ]


def grid_of_the_engine() -> list[resume_grid.Cell]:
    """Every ninth cell of the whole product: the whole of it takes as long as all the rest of the campaign."""
    return resume_grid.cells()[::9]  # 9: so that every value of every axis occurs


def _try_engine(task: tuple[resume_grid.Cell, Shop]) -> Trial:
    cell, shop = task
    room = shop.room("cell")

    def action(marks: Marks) -> int:
        if wrong := resume_grid.run_cell(cell, room):
            print("\n".join(wrong))
        return int(bool(wrong))

    child = fork(action, room / "said")
    code, said = child.wait(), child.said
    shutil.rmtree(room)
    return Trial(EXACT) if code == 0 else Trial(WRONG, f"{cell}: {said[-300:]}")


def _cells(crew: Crew):
    kinds = itertools.product(METHODS, BATCH, OPTIMIZERS, ("mid-epoch", "epoch end"), (True, False))
    for number, (method, accumulation, optimizer, place, killed) in enumerate(kinds):
        dropout = (f"method.dropout={(0.0, 0.2)[number // 4 % 2]}",) if method == "lora" else ()
        epoch = 12 // (BATCH[accumulation] * accumulation)
        cut = epoch if place == "epoch end" else epoch - 1
        settings = (
            f"training_args.gradient_accumulation_steps={accumulation}",
            f"training_args.per_device_train_batch_size={BATCH[accumulation]}",
            f"training_args.optim={optimizer}", "training_args.save_steps=1", "training_args.lr_scheduler_type=cosine",
            *dropout,
        )  # fmt: skip
        name = f"{method}, accumulation {accumulation}, {optimizer}, {place}, {'killed' if killed else 'signalled'}"
        yield Cell(Job(crew.shop, method, settings), cut, killed, ", ".join([name, *dropout]))


def _try(task: Cell) -> Trial:
    whole = left_alone(task.job)
    folder = task.job.shop.room("cell") / "run"
    child = task.job.start(folder, prepare=lambda marks: mark_saves(marks, halt=f"over {task.cut}"))
    child.until(f"over {task.cut}")
    child.kill(signal.SIGKILL if task.killed else signal.SIGTERM)
    child.go()
    child.wait()
    trial = gone_on_with(task.job, folder, whole, saved=True)
    shutil.rmtree(folder.parent)
    return Trial(trial.outcome, f"{trial.note} ({task.name})")
