"""A model of the hub as a folder on this machine: one commit of it, the same for everything that this process loads.

What is inspected is then what is loaded: the main branch may change between two questions, a folder of one commit
does not. transformers is given the folder, so that it looks for nothing else on the hub either, such as weights that
somebody proposed in a pull request.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from furrow.components.errors import FurrowError, RequestError

SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
"""Settings and tokenizers in any of their forms."""
WEIGHTS = "model*.safetensors"
"""Not `*.safetensors`: some repositories hold the same weights twice, the second time as consolidated.safetensors."""
_ELSEWHERE = "*/*"
"""Folders hold the model in other formats."""
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def local(source: str, *, weights: bool = False) -> str:
    """`source` itself where it is no hub id; else the folder with what the hub (or the cache, where the hub does not
    answer) has of it, which is downloaded where it is not there yet. Raises OSError in the hub's own words, and
    RequestError where it has no safetensors and `weights` are wanted."""
    if Path(source).is_dir() or not _ID.fullmatch(source):
        return source
    from huggingface_hub import constants

    folder = _fetch(source, _commit(source, constants.HF_HUB_CACHE), (*SETTINGS, *([WEIGHTS] if weights else [])))
    if weights and not any(folder.glob(WEIGHTS)):
        raise RequestError(
            f"{source} has no {WEIGHTS}: weights are read from safetensors only",
            where="base_model.huggingface_id",
            remedy="choose a repository that has them; most models of 2023 and later do",
        )
    return str(folder)


@functools.cache
def _commit(name: str, cache: str) -> str:
    """Of the main branch, when this process asked first; `cache` is where its files go."""
    return _fetch(name, None, ("config.json",)).name


def _fetch(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import get_token, snapshot_download

    verify_token(get_token())
    try:
        found = snapshot_download(name, revision=revision, allow_patterns=[*patterns], ignore_patterns=[_ELSEWHERE])
    except Exception as error:  # its refusals (OSError, ValueError) and what the HTTP library raises
        raise OSError(" ".join(str(error).split())[:500] or type(error).__name__) from error
    return Path(found)


def verify_token(token: str | None) -> None:
    """Refuses what no HTTP header can hold, because the error of the HTTP library would quote the token."""
    if token and not (token.isascii() and token.isprintable()):
        raise FurrowError("the token of the hub holds characters that no token has", remedy="set HF_TOKEN again")
