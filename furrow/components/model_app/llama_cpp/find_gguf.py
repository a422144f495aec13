"""Which GGUF file answers."""

from __future__ import annotations

import shlex
import struct
from pathlib import Path

from furrow.components.errors import RequestError
from furrow.components.models.served import Served

_ADAPTER = b"general.type" + struct.pack("<IQ", 8, 7) + b"adapter"
"""The metadata of a GGUF that holds an adapter only: key, type string, length, value."""


def find_gguf(named: str | None, served: Served) -> Path:
    """The named file, else the newest GGUF under the exports; adapters and half-written files do not count.

    Raises RequestError with the command that makes one.
    """
    if named is not None:
        path = Path(named).expanduser()
        if path.is_file():
            return path
        raise RequestError(f"{path} is not there", where="model_app.config.gguf", remedy=_how_to_make(path, served))
    found = [
        path for path in served.exports.rglob("*.gguf") if not _hidden(path, served.exports) and not _adapter(path)
    ]
    if not found:
        raise RequestError(
            f"there is no GGUF in {served.exports}", remedy=_how_to_make(served.exports / "model.gguf", served)
        )
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path))


def _how_to_make(path: Path, served: Served) -> str:
    return f"make one: furrow convert {shlex.quote(str(served.model.path))} {shlex.quote(str(path))} --format gguf"


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _adapter(path: Path) -> bool:
    with path.open("rb") as file:
        return _ADAPTER in file.read(1 << 16)  # the general.* keys come first
