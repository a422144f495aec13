"""Room on the disk for what a run writes: an estimate from the size of the base model, on the side of too much."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from furrow.components.checks import Check
from furrow.components.disk.sizes import readable
from furrow.stages.setup_checks import hub
from furrow.stages.setup_checks.base_model import Found
from furrow.stages.setup_checks.model_files import read_json
from furrow.stages.setup_checks.output import nearest_existing
from furrow.stages.space import estimated_space
from furrow.strategies.schema import Strategy


def check_disk(strategy: Strategy, base: Found | None) -> Iterator[Check]:
    """Where the run folder will be, and where the hub's cache is if there is something to download."""
    if base is not None and base.to_download:
        yield _compare("disk (hub cache)", hub.cache(), base.to_download, "set HF_HOME to a larger disk")
    folder = strategy.output_dir
    if base is None or base.size is None:
        free = shutil.disk_usage(nearest_existing(folder)).free
        yield Check("disk", "passed", f"{readable(free)} free at {folder}; without the base model's size, no estimate")
        return
    space = estimated_space(strategy, base.size.parameters, _hidden_size(base.folder))
    yield _compare("disk", folder, space.needed, space.remedy)


def _compare(name: str, folder: Path, needed: float, remedy: str) -> Check:
    free = shutil.disk_usage(nearest_existing(folder)).free
    found = f"{readable(free)} free at {folder}, about {readable(needed)} needed"
    return Check(name, "passed", found) if free >= needed else Check(name, "failed", found, remedy)


def _hidden_size(folder: Path | None) -> int:
    """Of the base model; 2,048, that of a 1B Llama, where config.json is not here or does not say."""
    if folder is None:
        return 2048
    settings = read_json(folder / "config.json")
    return int(settings.get("hidden_size") or settings.get("n_embd") or 2048)
