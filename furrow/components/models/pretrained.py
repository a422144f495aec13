"""The one door through which tokenizers and settings of models come in: inspected, then read by transformers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from furrow.components.errors import FurrowError
from furrow.components.interruption import Hung
from furrow.components.models.inspection import inspect_config, inspect_tokenizer
from furrow.components.models.snapshot import local


class Unreadable(FurrowError):
    """A library could not read it. `reason` is the library's own, on one line."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} cannot be read: {reason}", remedy="download or copy it again")
        self.reason = reason


def load_tokenizer(source: str) -> Any:
    """The tokenizer in a folder or of a hub id. Raises FurrowError for one that is not to be trusted, Unreadable for
    one that is not whole or not there."""
    with refusing_nonsense(f"the tokenizer of {source}"):
        folder = local(source)
        inspect_tokenizer(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.name_or_path = source
    return tokenizer


def load_config(source: str) -> Any:
    """The settings of a model, likewise."""
    with refusing_nonsense(f"config.json of {source}"):
        folder = local(source)
        inspect_config(folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    config.name_or_path = source
    return config


@contextlib.contextmanager
def refusing_nonsense(what: str) -> Iterator[None]:
    """Whatever libraries raise over files that hold something else than they expect becomes Unreadable: KeyError and
    its like, and what is no Exception even: the panics of `tokenizers`, the errors of torch.distributed."""
    try:
        yield
    except (FurrowError, KeyboardInterrupt, SystemExit, GeneratorExit, Hung):
        raise
    except BaseException as error:
        raise _unreadable(what, error) from error


def _unreadable(what: str, error: BaseException) -> FurrowError:
    first, _, rest = str(error).strip()[:2000].partition("\n")
    if first.endswith(":"):
        first = f"{first} {rest.partition(chr(10))[0]}"
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "allocate memory" in first:
        return FurrowError(
            f"{what} does not fit into memory ({first or 'no more is given'})", remedy="take a smaller one"
        )
    own = isinstance(error, OSError | ValueError)  # these are written for people; a KeyError says only which key
    return Unreadable(what, first if own and first else f"{type(error).__name__}: {first}")
