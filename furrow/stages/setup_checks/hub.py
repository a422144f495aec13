"""The Hugging Face hub: what of a model is in the cache, what the hub has of it, and the download.

Shows whether there is a token, never the token.
"""

from __future__ import annotations

import errno
import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, get_token, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from furrow.components.base_models import BaseModelConfig
from furrow.components.errors import FurrowError
from furrow.components.models.snapshot import SETTINGS, WEIGHTS, verify_token

PATIENCE = 10.0
"""Seconds to wait for the hub's answer to a question."""


@dataclass(frozen=True)
class Offer:
    """What the hub has that training needs: file -> bytes, and the parameters if it counts them."""

    files: dict[str, int]
    parameters: int | None

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def cached_folder(model: BaseModelConfig) -> Path | None:
    """The snapshot in the cache; it may lack files. Asks nobody."""
    config = try_to_load_from_cache(str(model.huggingface_id), "config.json", revision=model.revision)
    return Path(config).parent if isinstance(config, str) else None


def cache() -> Path:
    """Where downloads go: HF_HUB_CACHE, else below HF_HOME."""
    return Path(constants.HF_HUB_CACHE)


def token_state() -> str:
    """Whether the hub will know who asks."""
    return "a token is set" if get_token() else "no token is set"


def ask_for(model: BaseModelConfig) -> Offer:
    """What the hub offers to whoever holds this machine's token.

    Raises FurrowError in the hub's own words: no such repository, gated, offline, no network.
    """
    with _in_its_own_words(model):
        api, name = HfApi(), str(model.huggingface_id)
        info = api.model_info(name, revision=model.revision, files_metadata=True, timeout=PATIENCE)
        if info.gated:  # its page is public, its files are not
            api.auth_check(name)
    wanted = SETTINGS if model.init == "random" else (*SETTINGS, WEIGHTS)
    files = {file.rfilename: file.size or 0 for file in info.siblings or [] if _matches(file.rfilename, wanted)}
    if model.init == "pretrained" and not any(_matches(name, (WEIGHTS,)) for name in files):
        raise FurrowError(
            f"{name} has no {WEIGHTS}: weights are read from safetensors only",
            where="base_model.huggingface_id",
            remedy="choose a repository that has them; most models of 2023 and later do",
        )
    return Offer(files, info.safetensors.total if info.safetensors else None)


def download(model: BaseModelConfig, offer: Offer) -> Path:
    """Puts those files into the cache and returns the snapshot. Raises FurrowError in the hub's own words."""
    with _in_its_own_words(model):
        files = sorted(offer.files)
        return Path(snapshot_download(str(model.huggingface_id), revision=model.revision, allow_patterns=files))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Files at the top of the repository only; folders hold the model in other formats."""
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@contextmanager
def _in_its_own_words(model: BaseModelConfig) -> Iterator[None]:
    verify_token(get_token())
    try:
        yield
    except (OSError, HTTPError, ValueError) as error:  # its refusals, a broken connection, a name that cannot be one
        words = " ".join(str(error).split())
        raise FurrowError(f"{model.label} ({token_state()}): {words}", remedy=_remedy(error, model)) from error


def _remedy(error: Exception, model: BaseModelConfig) -> str:
    match error:
        case GatedRepoError():
            return f"accept its licence at {constants.ENDPOINT}/{model.huggingface_id}, then set HF_TOKEN"
        case RepositoryNotFoundError():
            return "check the name in base_model.huggingface_id; a private or gated model needs HF_TOKEN"
        case RevisionNotFoundError():
            return "check base_model.revision"
        case OfflineModeIsEnabled():
            return "unset HF_HUB_OFFLINE once and run setup again, or name a folder in base_model.path"
        case OSError(errno=errno.ENOSPC):
            return "free some space, or set HF_HOME to a larger disk"
    return "check the network (and HF_ENDPOINT, if set), or copy the model here and name its folder in base_model.path"
