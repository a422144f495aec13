"""Where the file goes: the destination may name a file or a folder."""

from __future__ import annotations

from pathlib import Path

from furrow.components.exporter import ExportRequest


def gguf_file(request: ExportRequest, ending: str) -> Path:
    """The destination itself if it ends in `.gguf`, else `<destination>/<model_name>-<ending>.gguf`."""
    if request.destination.suffix == ".gguf":
        return request.destination
    return request.destination / f"{request.model_name}-{ending}.gguf"
