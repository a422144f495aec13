"""The base model: where its files are, whether they are whole, and what a download would bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from furrow.components.base_models import BaseModelConfig, source_of
from furrow.components.checks import Check
from furrow.components.disk.sizes import readable
from furrow.components.errors import FurrowError
from furrow.components.models.inspection import inspect_config, inspect_model, inspect_tokenizer
from furrow.stages.setup_checks import hub
from furrow.stages.setup_checks.model_files import Size, absent_files, changed_files, size_of

NAME = "base model"
LARGE = 1e9
"""Bytes of a download from which on it is asked for."""


@dataclass(frozen=True)
class Found:
    """What could be found out without loading it: `folder` where it is on this machine, else what the hub offers.

    `size` is None with fresh weights (`init: random`), of which there are no files.
    """

    config: BaseModelConfig
    folder: Path | None
    offer: hub.Offer | None
    size: Size | None

    @property
    def to_download(self) -> int:
        """Bytes."""
        return self.offer.bytes if self.offer else 0


def folder_of(config: BaseModelConfig) -> Path | None:
    """Where its files are on this machine, whole or not; None where there are none. Asks nobody.

    Raises RequestError when a folder that is named does not hold a model.
    """
    return hub.cached_folder(config) if config.huggingface_id is not None else Path(source_of(config))


def find_base_model(config: BaseModelConfig) -> Found:
    """Looks at the disk, and asks the hub for what is not there. Raises FurrowError when it cannot be had."""
    pretrained = config.init == "pretrained"
    folder = folder_of(config)
    if folder is not None:
        inspect_tokenizer(str(folder))
        (inspect_model if pretrained else inspect_config)(str(folder))
    if config.huggingface_id is not None:
        if folder is None or absent_files(folder, weights=pretrained):
            offer = hub.ask_for(config)
            return Found(config, None, offer, _size_offered(offer) if pretrained else None)
    elif folder is not None:
        _verify_whole(folder, config)
    return Found(config, folder, None, size_of(folder) if pretrained and folder else None)


def describe(base: Found) -> Check:
    """Where it is; a warning where it must be downloaded first."""
    label = base.config.label
    if base.offer is not None:
        what = f"{label} is not in the cache; {readable(base.to_download)} would be downloaded ({hub.token_state()})"
        return Check(NAME, "warning", what, "run setup without --verify-only, or leave the download to train")
    size = f"{base.size.parameters:,} parameters, {readable(base.size.bytes)}" if base.size else "fresh weights"
    return Check(NAME, "passed", f"{label}: {size}, in {base.folder}")


def fetch(base: Found, ask: Callable[[str], bool]) -> tuple[Found, Check]:
    """Downloads what is missing into the hub's cache, asking first where it is LARGE; says what was done.

    Raises FurrowError in the hub's own words, also where what came is not whole.
    """
    if base.offer is None:
        return base, describe(base)
    what = f"{base.config.label} ({len(base.offer.files)} files, {readable(base.to_download)})"
    if base.to_download > LARGE and not ask(f"Download {what} into {hub.cache()}?"):
        refused = f"{what} is not in the cache, and was not downloaded: nobody said yes"
        return base, Check(NAME, "failed", refused, "answer yes, or say --yes")
    folder = hub.download(base.config, base.offer)
    return find_base_model(base.config), Check(NAME, "passed", f"downloaded {what} to {folder}")


def _verify_whole(folder: Path, config: BaseModelConfig) -> None:
    remedy = "install Furrow again" if config.builtin else "copy the whole folder, or name another in base_model.path"
    if absent := absent_files(folder, weights=config.init == "pretrained"):
        raise FurrowError(f"{folder} lacks {', '.join(absent)}", remedy=remedy)
    if config.builtin and (changed := changed_files(folder)):
        raise FurrowError(f"{folder}: {', '.join(changed)} differ from what manifest.json says", remedy=remedy)


def _size_offered(offer: hub.Offer) -> Size:
    """Of what the hub offers; two bytes a parameter where it does not count them, as most models are kept."""
    weights = sum(size for name, size in offer.files.items() if name.endswith(".safetensors"))
    return Size(weights, offer.parameters or weights // 2)
