"""Which files of a folder are its data: one rule for whoever reads them and for whoever says that they are the same."""

from __future__ import annotations

import os
from pathlib import Path

from furrow.components.data_files.opening import refuse_no_access, refuse_no_text_name
from furrow.components.errors import RequestError

_LEFT_OUT = (".", "_")
"""What the names of files and folders begin with that are beside the data, such as `.git` and `_SUCCESS`."""


def files_below(folder: Path) -> list[Path]:
    """Every file, in the order of their names, but those whose names begin with `.` or `_`, and what lies in such
    folders. Links to folders are not followed.

    Raises RequestError for a folder that may not be read, and for a file that may not be looked at, or whose name is no
    text.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(_LEFT_OUT)]
        found += [Path(place, name) for name in names if not name.startswith(_LEFT_OUT)]
    found.sort()
    for file in found:
        refuse_no_text_name(file)
        refuse_no_access(file)
    return found


def _refuse(error: OSError) -> None:
    raise RequestError(f"{error.filename} cannot be read: {error.strerror}") from error
