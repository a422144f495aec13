"""How a command ends that did not do its work: what is said of it, and how the process leaves."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import NoReturn

import click

from furrow.components.errors import FurrowError
from furrow.components.interruption import Interrupted


def leave(code: int, ours: bool, *, at_once: bool = False) -> NoReturn:
    """Ends the process without waiting for a thread that loads a model which nobody wants any more. Where a program
    called the command line, the process is not `ours`, and is left to it."""
    waits = sum(not thread.daemon for thread in threading.enumerate()) > 1
    if ours and (at_once or waits):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # gone, or closed
                stream.flush()
        os._exit(code)
    sys.exit(code)


def show_error(error: FurrowError) -> None:
    """What the user can mend."""
    from furrow.screen.text import message

    prefix = click.style("error:", fg="red", bold=True)
    with contextlib.suppress(OSError):  # nobody reads it any more; the exit code still says it
        click.echo(f"{prefix} {message(str(error))}", err=True)


def show_interruption(error: Interrupted, how_to_go_on: str) -> None:
    """What a signal left; that is no error."""
    from furrow.screen.text import printable

    if error.resumable:
        error.remedy = "\n  ".join(filter(None, (error.remedy, how_to_go_on)))
    with contextlib.suppress(OSError):
        click.echo(printable(str(error)), err=True)


def show_usage(error: click.ClickException) -> None:
    """What is wrong with the command line, as click words it: it quotes what was given."""
    from furrow.screen.text import message

    shown = io.StringIO()
    error.show(file=shown)
    click.echo(message(shown.getvalue()), err=True, nl=False)


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A fault of the program; what it quotes may come from data or a model."""
    from furrow.screen.text import message

    sys.stderr.write(message("".join(traceback.format_exception(kind, error, trace))))


def of_the_system(error: OSError) -> FurrowError:
    """An error of the system that nobody foresaw, by the file that it names."""
    what = ": ".join(filter(None, (str(error.filename or ""), error.strerror or str(error))))
    return FurrowError(what, remedy="\n  ".join(getattr(error, "__notes__", ())) or None)
