"""What a hostile payload is: something planted in a folder, and Furrow led to it."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from furrow.components.errors import FurrowError


@dataclass(frozen=True, kw_only=True)
class Payload:
    """It must end in a FurrowError, or in a text that says what harmless thing came of it. Any other exception is a
    fault of Furrow, and so is whatever the audit hook sees."""

    name: str
    """Unique in its topic; says what lies: `base_with_pickled_weights`."""
    attempt: Callable[[Path, Path], str]
    """`attempt(folder, marker)` plants the payload in `folder`, which is empty and the working directory, and uses it
    as a person would. What is planted tries to write `marker`, which lies elsewhere; nobody else does. Returns the
    harmless outcome in words. Heavy imports stand inside, or in `NEEDS` of the topic."""
    because: str = ""
    """What the refusal must say (a pattern of `re.search`): else it was refused for another reason than it should."""
    seconds: float = 20.0
    """Time it may take, on a busy machine. What is still at it then has hung."""
    bytes: int = 1 << 30
    """Address space it may take beyond what the process had. More is a fault too."""
    allows: frozenset[str] = frozenset()
    """Audit events that are right here: `socket.connect` where it speaks to a server of the test, and no other."""
    quick: bool = True
    """Cheap enough (below a second or two) for `make test`; the others run in `make faults`."""


class Command:
    """For pickles: an object whose loading writes the marker."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"echo executed > '{self._marker}'",)


def pickled(marker: Path) -> bytes:
    """A pickle that writes the marker when it is loaded."""
    return pickle.dumps(Command(marker))


def code(marker: Path) -> str:
    """Python source that writes the marker when it is run."""
    return f"import os\nos.system(\"echo executed > '{marker}'\")\n"


def by_command(*arguments: str | Path) -> str:
    """Runs the command line in this process. Raises FurrowError with what it printed where it ended with 1 or 2 and
    said why in its own words; returns what it printed where it ended with 0."""
    import contextlib
    import io

    from furrow.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
    if status == 0:
        return f"done: {(out.getvalue() + err.getvalue()).strip()[-200:]}"
    shown = (err.getvalue() or out.getvalue()).strip()
    if status in (1, 2) and re.search(r"^(error: |failed  )", shown, re.MULTILINE):
        raise FurrowError(shown)
    raise AssertionError(f"the command ended with {status} and said {shown!r}")
