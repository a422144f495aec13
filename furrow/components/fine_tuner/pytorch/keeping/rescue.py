"""Whatever ends a training, its last whole step is saved before the error goes on to who called."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from furrow.components.disk.storage import StorageError
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.components.fine_tuner.pytorch.engine.nonfinite import Diverged
from furrow.components.fine_tuner.pytorch.keeping.keeper import Keeper
from furrow.components.interruption import Hung, Interrupted, Unwound


@contextlib.contextmanager
def rescuing(kept: Keeper, loop: TrainingLoop) -> Iterator[None]:
    """For the length of the block. Not for whoever leaves at once, nor for numbers that went wrong: what came before
    them is saved, or is to be computed otherwise.

    A disk that does not take what a signal asks to save raises Interrupted, which says so.
    """
    try:
        yield
    except (Unwound, Diverged, Interrupted):
        raise
    except Hung as hung:
        hung.saved = kept.rescue()
        raise
    except (Exception, KeyboardInterrupt) as error:
        try:
            kept.rescue()
        except Exception as another:  # the first one is what there is to mend
            error.add_note(f"step {loop.step} is not saved: {another}")
        if isinstance(error, StorageError) and loop.stop.signal is not None:
            what = f"after step {loop.step}, which is not saved: {error.where}: {error.what}"
            raise Interrupted(loop.stop.signal, what, remedy=error.remedy, says_kept=False) from error
        raise
