"""The command that goes on with a run: what was typed, with --resume."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

RESUME, OVERWRITE, ALLOW = "--resume", "--overwrite", "--allow-change"


def resume_command(command: click.Command, arguments: Sequence[str] | None = None, *, as_asked: bool = False) -> str:
    """The command line of this process, to be pasted into a shell of the same folder. `arguments`: those of a caller
    who has no line. `as_asked`: the run was to be gone on with, and did not follow what it was told yet."""
    program = ["furrow"] if arguments is not None else _program()
    given = list(sys.argv[1:] if arguments is None else arguments)
    return shlex.join([*program, *(given if as_asked else [*_without(command, given), RESUME])])


def _program() -> list[str]:
    """How the program was called: its own name where the shell finds it by that, else as it stood in the command."""
    script = Path(sys.argv[0])
    found = shutil.which(script.name)
    if found is not None and Path(found).resolve() == script.resolve():
        return [script.name]
    return list(sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1])


def _without(command: click.Command, words: Sequence[str]) -> Iterator[str]:
    """All but --overwrite, an earlier --resume with its path, and the changes that were allowed: the run has followed
    them by now. What follows an option that wants a value is that value, whatever it looks like."""
    options = {name: option for option in command.params if isinstance(option, click.Option) for name in option.opts}
    rest = iter(words)
    word = next(rest, None)
    while word is not None:
        following = next(rest, None)
        option = options.get(word)
        if word == RESUME:
            word = next(rest, None) if following is not None and not following.startswith("-") else following
        elif word == OVERWRITE or word.startswith((f"{RESUME}=", f"{ALLOW}=")):
            word = following
        elif option is not None and not option.is_flag and following is not None:
            yield from (word, following) if word != ALLOW else ()
            word = next(rest, None)
        else:
            yield word
            word = following
