"""A number that is none, planted in a weight before a step or in a gradient within it: the run ends at that very step,
names it, and saves nothing of it."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from typing import Any

from tests.faults.campaign.children import Marks
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.runs import Job, events
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import Tally, Trial, last_line

FOUND, LATER, SAVED, UNNAMED = "found at the step", "not at the step", "saved", "not named"
STEPS = 6
SETTINGS = ("training_args.save_steps=1",)


@dataclass(frozen=True)
class Plant:
    """Where the number that is none is put."""

    job: Job
    number: int
    step: int
    gradient: bool

    def prepare(self, marks: Marks) -> None:
        from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop

        inner, task, calls = TrainingLoop._gradients, self, [0]

        def gradients(loop: Any, *arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == task.step and not task.gradient:
                plant(loop.model, task.number, gradient=False)
            found = inner(loop, *arguments, **named)
            if calls[0] == task.step and task.gradient:
                plant(loop.model, task.number, gradient=True)
            return found

        TrainingLoop._gradients = gradients


def plant(model: Any, number: int, *, gradient: bool) -> None:
    """Puts NaN into one number of a trained weight, or of its gradient, that chance chooses."""
    chance = random.Random(number)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    weight = weights[chance.randrange(len(weights))]
    numbers = (weight.grad if gradient else weight.data).view(-1)
    numbers[chance.randrange(len(numbers))] = float("nan")


def run(crew: Crew) -> list[Tally]:
    plants = [
        Plant(Job(crew.shop, METHODS[number % 2], SETTINGS), number, 1 + number // 4 % STEPS, bool(number // 2 % 2))
        for number in range(crew.count(100, 4))
    ]
    return [crew.tally(Tally("planted NaN", "furrow", (FOUND,)), _try, plants)]


def _try(task: Plant) -> Trial:
    folder = task.job.shop.room("nan") / "run"
    child = task.job.run(folder, prepare=task.prepare)
    steps = [event["step"] for event in events(folder) if event["event"] == "step_ended"]
    saved = [path.name for path in folder.glob("checkpoints/step-*") if int(path.name[5:]) >= task.step]
    if saved or (folder / "final_model").exists():
        trial = Trial(SAVED, f"{', '.join(saved)} was saved")
    elif child.code != 1 or steps != list(range(1, task.step)):
        trial = Trial(LATER, f"ended with {child.code} after steps {steps}: {last_line(child.said)}")
    elif f"step {task.step}" not in last_line(child.said) or "nan" not in last_line(child.said):
        trial = Trial(UNNAMED, last_line(child.said))
    else:
        trial = Trial(FOUND)
    shutil.rmtree(folder.parent)
    where = "gradient" if task.gradient else "weight"
    return Trial(trial.outcome, f"{trial.note} ({task.job.method}, {where}, step {task.step})")
