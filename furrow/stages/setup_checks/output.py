"""The run folder: free, and open to writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from furrow.components.checks import Check
from furrow.components.errors import RequestError
from furrow.stages.run.folder import RunFolder


def check_output(folder: Path) -> Iterator[Check]:
    """An earlier run there is a warning: it may well be the one that is to be replaced, or talked to."""
    there = nearest_existing(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        problem = "may not be written to" if there.is_dir() else "is a file, a folder is wanted"
        yield Check("output folder", "failed", f"{there} {problem}", "choose another training_args.output_dir")
        return
    try:
        RunFolder(folder).refuse_earlier(overwrite=False)
    except RequestError as error:
        remedy = "train --overwrite replaces it; --output-dir DIR keeps both"
        yield Check("output folder", "warning", error.what, remedy)
    else:
        yield Check("output folder", "passed", f"{folder} is free")


def nearest_existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
