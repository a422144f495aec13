"""What a program said, fit to be published: without the folders and addresses of the machine it ran on."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 300
"""Characters of a line that are kept."""
_ADDRESS = re.compile(r"\b[a-z][\w+.-]*://[^\s'\")>\]]+|(?<=host=)'[^']*'", re.IGNORECASE)
_FOLDERS = re.compile(r"(?<![\w.…])~?/(?:[^\s/'\":,)]+/)+")


def published(line: str) -> str:
    """A file keeps its name (one of this checkout its path in it), an address and a folder keep nothing."""
    for place, name in ((ROOT, "…"), (Path.home(), "~")):
        line = re.sub(rf"{re.escape(str(place))}(?![\w-])", name, line)
    return _FOLDERS.sub("…/", _ADDRESS.sub("<address>", line)).strip()[:MOST]
