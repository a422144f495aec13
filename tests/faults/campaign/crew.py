"""Who runs the trials: some forked workers, each of them one trial after the other, and a line that shows how far."""

from __future__ import annotations

import functools
import multiprocessing
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.faults.campaign.children import Hung
from tests.faults.campaign.tiny import Shop
from tests.faults.campaign.verdict import STUCK, Tally, Trial

Task = TypeVar("Task")
BROKEN = "broken harness"


@dataclass(frozen=True)
class Crew:
    """What a campaign is given: the shop, the workers, and whether a sample is enough."""

    shop: Shop
    workers: int
    quick: bool
    only: str | None = None
    """The one campaign that is wanted of a module that has several."""

    def count(self, whole: int, sample: int) -> int:
        return sample if self.quick else whole

    def tally(self, tally: Tally, trial: Callable[[Task], Trial], tasks: Sequence[Task]) -> Tally:
        """Tries all tasks, in the workers, and counts what came of them."""
        if self.only not in (None, tally.campaign):
            return tally
        started = time.monotonic()
        for done, outcome in enumerate(self._outcomes(functools.partial(_tried, trial), tasks), 1):
            tally.add(outcome)
            _show(tally, done, len(tasks))
        tally.seconds += time.monotonic() - started
        return tally

    def _outcomes(self, trial: Callable[[Task], Trial], tasks: Sequence[Task]) -> Iterator[Trial]:
        if self.workers == 1:
            yield from map(trial, tasks)
            return
        with multiprocessing.get_context("fork").Pool(self.workers) as pool:
            yield from pool.imap_unordered(trial, tasks)


def _tried(trial: Callable[[Task], Trial], task: Task) -> Trial:
    try:
        return trial(task)
    except Hung as error:
        return Trial(STUCK, str(error))
    except Exception:
        return Trial(BROKEN, f"{task}: {traceback.format_exc()}")


def _show(tally: Tally, done: int, of: int) -> None:
    terminal = sys.stdout.isatty()
    if terminal or done == of:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.counts.items()))
        end = "" if terminal and done < of else "\n"
        start = "\r\033[K" if terminal else ""
        print(f"{start}{tally.campaign} · {tally.system}: {done}/{of}: {counts}", end=end, flush=True)
