"""What a signal leaves of a run, said as an event and as the error that the command ends with."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from furrow.components.disk.checkpoint_folder import checkpoints_in
from furrow.components.errors import FurrowError
from furrow.components.events import Emit, Stopped
from furrow.components.interruption import Interrupted, StopRequest, Unwound
from furrow.stages.run.folder import RunFolder


@contextlib.contextmanager
def before_it_began(
    run: RunFolder, stop: StopRequest, resume: bool, answers: Callable[[], Path | None] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Where a signal changes nothing: an earlier run is as it was, and one that is gone on with can be again. To be
    told when the run begins. `answers`: the file that keeps those of models that were asked for rows, if any.

    A signal can cut a lock of Python's own open, whose error is then what arrives here.
    """
    begun = False

    def begins() -> None:
        nonlocal begun
        begun = True

    try:
        yield begins
    except Interrupted:
        raise
    except (Exception, KeyboardInterrupt) as error:
        number = error.number if isinstance(error, Unwound) else stop.unwound
        if number is None:
            raise
        if begun:
            raise Interrupted(number, f"at once; {_kept(run)}", resumable=run.resumable) from error
        what = "before the training went on" if resume else "before the run began; nothing is kept"
        if (file := answers()) is not None:
            what += f"{'; kept are' if resume else ' but'} the answers of the models that were asked ({file})"
        raise Interrupted(number, what, resumable=resume, as_asked=True) from error


@contextlib.contextmanager
def after_it_began(run: RunFolder, emit: Emit) -> Iterator[None]:
    """Names what is kept, for those who watch the run and for who called: of a signal, and of whatever else ends it."""
    try:
        yield
    except Unwound as unwound:
        error = Interrupted(unwound.number, f"at once; {_kept(run)}", resumable=run.resumable)
        _say(error, emit)
        raise error from unwound
    except Interrupted as error:
        if not error.says_kept:
            error.what, error.resumable = f"{error.what}; {_kept(run)}", run.resumable
        _say(error, emit)
        raise
    except FurrowError as error:
        if run.resumable or run.keeps_record:
            error.remedy, error.resumable = "\n  ".join(filter(None, (error.remedy, _kept(run)))), run.resumable
        raise
    except (Exception, KeyboardInterrupt) as error:
        if run.resumable:
            error.add_note(f"{_kept(run)}; the same command with --resume goes on with it")
        raise


def _say(error: Interrupted, emit: Emit) -> None:
    emit(Stopped(signal=signal.Signals(error.signal).name, message=error.what, resumable=error.resumable))


def _kept(run: RunFolder) -> str:
    if run.finished:
        return f"the run is done ({run.final_model})"
    if run.trained:
        return f"the model is trained ({run.final_model}), and its exports are not all made"
    if steps := checkpoints_in(run.checkpoints):
        return f"what is kept is that after step {max(steps)}, saved as {steps[max(steps)]}"
    if run.keeps_record:
        return f"nothing was learned that could be kept; the record is {run.metrics}"
    return "nothing was saved, and nothing is kept"
