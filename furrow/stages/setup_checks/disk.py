"""Room on the disk for what a run writes: an estimate from the size of the base model, on the side of too much."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from furrow.components.checks import Check
from furrow.stages.setup_checks import hub
from furrow.stages.setup_checks.base_model import Found
from furrow.stages.setup_checks.model_files import read_json
from furrow.stages.setup_checks.output import nearest_existing
from furrow.stages.setup_checks.sizes import readable
from furrow.strategies.schema import ExportConfig, Strategy

MERGED = 4.0
"""Bytes a parameter of the exporter `merged`, in float32."""
GGUF = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 1.1}
"""Bytes a parameter of a GGUF by number type; what is not listed has at most OTHER_GGUF (q6_k: 0.82)."""
OTHER_GGUF = 0.9
WORKSPACE = 8.0
"""Bytes a parameter that an export needs for a while: whole weights and an unquantised GGUF beside the result."""
CHECKPOINT = 4.0
"""Bytes of a checkpoint for each parameter that learns: the weight in float32."""
KEPT = 3
"""Checkpoints assumed where save_total_limit does not say."""


def check_disk(strategy: Strategy, base: Found | None) -> Iterator[Check]:
    """Where the run folder will be, and where the hub's cache is if there is something to download."""
    if base is not None and base.to_download:
        yield _compare("disk (hub cache)", hub.cache(), base.to_download, "set HF_HOME to a larger disk")
    folder = strategy.output_dir
    if base is None or base.size is None:
        free = shutil.disk_usage(nearest_existing(folder)).free
        yield Check("disk", "passed", f"{readable(free)} free at {folder}; without the base model's size, no estimate")
        return
    learning = base.size.parameters * _learning_share(strategy, base.folder)
    needed = learning * (4 + CHECKPOINT * _checkpoints(strategy)) + base.size.parameters * _exported(strategy.export)
    remedy = "free some, lower save_total_limit, ask for fewer exports, or choose another output_dir"
    yield _compare("disk", folder, needed, remedy)


def _compare(name: str, folder: Path, needed: float, remedy: str) -> Check:
    free = shutil.disk_usage(nearest_existing(folder)).free
    found = f"{readable(free)} free at {folder}, about {readable(needed)} needed"
    return Check(name, "passed", found) if free >= needed else Check(name, "failed", found, remedy)


def _exported(export: ExportConfig) -> float:
    """Bytes a parameter of the base model."""
    gguf = GGUF.get(export.quantization, OTHER_GGUF)
    sizes = [(export.to_merged, MERGED), (export.to_gguf, gguf), (export.to_ollama, gguf)]
    asked = [size for is_asked, size in sizes if is_asked]
    return sum(asked) + (WORKSPACE if asked else 0.0)


def _checkpoints(strategy: Strategy) -> int:
    """How many lie there at once: those that are kept, and the one being written."""
    arguments = getattr(strategy.fine_tuner.config, "training_args", None)
    if getattr(arguments, "save_strategy", "steps") == "no":
        return 0
    return (getattr(arguments, "save_total_limit", None) or KEPT) + 1


def _learning_share(strategy: Strategy, folder: Path | None) -> float:
    """The part of the parameters that learns: all, or for LoRA about 2 · r / hidden size, as for square matrices."""
    rank = getattr(getattr(strategy.fine_tuner.config, "method", None), "r", None)
    if rank is None:
        return 1.0
    hidden = _hidden_size(folder)
    return min(1.0, 2 * rank / hidden)


def _hidden_size(folder: Path | None) -> int:
    """Of the base model; 2,048, that of a 1B Llama, where config.json is not here or does not say."""
    if folder is None:
        return 2048
    settings = read_json(folder / "config.json")
    return int(settings.get("hidden_size") or settings.get("n_embd") or 2048)
