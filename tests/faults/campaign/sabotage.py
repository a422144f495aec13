"""Ways to break the product, so that a campaign can be seen to fail: one that cannot is worth nothing.

`python -m tests.faults.campaign.sabotage [WAY …]` breaks it in each way and wants the campaign that looks there to
see it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from tests.faults.campaign.crew import BROKEN, Crew
from tests.faults.campaign.warm import ready_crew


@contextlib.contextmanager
def broken(name: str) -> Iterator[None]:
    """The product is broken in that way for the length of the block, here and in every child that is forked in it."""
    with contextlib.ExitStack() as stack:
        for patch in SABOTAGES[name][0]():
            stack.enter_context(patch)
        yield


def _in_place() -> Iterator[Any]:
    """Checkpoints are written where they are to lie, as most programs do it."""

    @contextlib.contextmanager
    def publishing(destination: Path, **_: Any) -> Iterator[Path]:
        destination.parent.mkdir(parents=True, exist_ok=True)
        yield destination

    yield mock.patch("furrow.components.disk.checkpoint_saving.publishing", publishing)
    yield from _unread_hashes()


def _unread_hashes() -> Iterator[Any]:
    """Nobody looks whether a checkpoint is as it was written."""
    for place in ("furrow.components.disk.checkpoint_folder.damage", "furrow.stages.run.resume.damage"):
        yield mock.patch(place, lambda checkpoint: None)


def _forgotten_optimizer() -> Iterator[Any]:
    """A run goes on with an optimiser that remembers nothing."""
    place = "furrow.components.fine_tuner.pytorch.keeping.training_state.restore_state"
    yield mock.patch(place, lambda *arguments: None)


def _deaf_to_nan() -> Iterator[Any]:
    """Losses and gradients that are no numbers pass, as a filter would let them."""
    import math
    import types

    deaf = types.SimpleNamespace(**{**vars(math), "isfinite": lambda value: True})
    for module in ("loop", "nonfinite"):
        yield mock.patch(f"furrow.components.fine_tuner.pytorch.engine.{module}.math", deaf)


def _open_door() -> Iterator[Any]:
    """The lock of a run folder holds nobody."""
    import fcntl

    yield mock.patch.object(fcntl, "flock", lambda *arguments: None)


def _lost_step() -> Iterator[Any]:
    """A signal ends a run without its last steps being saved."""
    from furrow.components.fine_tuner.pytorch.keeping.keeper import Keeper

    def newest(keeper: Any) -> Path:
        return keeper._checkpoints.path(keeper._loop.step)

    yield mock.patch.object(Keeper, "keep_last", newest)


SABOTAGES: dict[str, tuple[Callable[[], Iterator[Any]], str, str]] = {
    "in place": (_in_place, "kills", "kills in a save"),
    "unread hashes": (_unread_hashes, "flips", "flipped bits"),
    "forgotten optimizer": (_forgotten_optimizer, "grid", "resume grid"),
    "deaf to NaN": (_deaf_to_nan, "nans", "planted NaN"),
    "open door": (_open_door, "locks", "races for a folder"),
    "lost step": (_lost_step, "signals", "signals"),
}
"""Name -> how it is done, and the module and the campaign that must fail then."""


def seen(name: str, crew: Crew) -> bool:
    """Whether the campaign fails when the product is broken in that way, and not for a fault of its own."""
    _, module, campaign = SABOTAGES[name]
    with broken(name):
        tallies = importlib.import_module(f"tests.faults.campaign.{module}").run(replace(crew, only=campaign))
    [tally] = [tally for tally in tallies if tally.campaign == campaign]
    return not tally.passed and BROKEN not in tally.counts


def main(names: Sequence[str]) -> None:
    with ready_crew(1, quick=True) as crew:
        missed = []
        for name in names:
            print(f"-- {name}", flush=True)
            if not seen(name, crew):
                missed.append(name)
    print(f"{len(names)} ways to break it; not seen: {', '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SABOTAGES))
