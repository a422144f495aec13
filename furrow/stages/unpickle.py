"""The stage `convert --format safetensors`: a model whose weights are pickles, written again without them."""

from __future__ import annotations

from pathlib import Path

from furrow.components.disk.publish import publishing, refuse_existing
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Exported

FORMAT = "safetensors"


def unpickle(source: Path, destination: Path, *, allowed: bool, emit: Emit) -> Path:
    """The folder `source` again at `destination`, its `.bin` weights as safetensors; every number is the same.

    `allowed` is the operator's word that whoever made the pickles is trusted: RequestError without it.
    """
    if not allowed:
        raise RequestError(
            "a pickle can run code when it is read",
            where="--format safetensors",
            remedy="if you trust whoever made it, say --allow-pickle: its numbers are read, and nothing else",
        )
    refuse_existing(destination, overwrite=False)
    if not source.is_dir():
        raise RequestError(f"{source} is no folder", remedy="name the folder that holds the model")
    from furrow.components.models.pickled_weights import unpickled

    with publishing(destination) as staging:
        staging.mkdir()
        unpickled(source, staging)
        size = sum(file.stat().st_size for file in staging.iterdir())
    emit(Exported(format=FORMAT, path=str(destination), bytes=size))
    return destination
