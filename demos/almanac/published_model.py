"""Seedling as it ships: its weights in bfloat16, a model card, and a manifest of what made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

import furrow
from almanac.blank_model import WEIGHTS
from almanac.facts import crops, facts
from furrow.components.disk.hashing import sha256_of
from furrow.components.disk.publish import publishing
from furrow.components.errors import RequestError

TOKENIZER, MANIFEST = "tokenizer.json", "manifest.json"
CARD = Path(__file__).with_name("model_card.md")
MOST_BYTES = 8_000_000
"""Of the weights: they are part of the repository."""


def publish(run: Path, blank: Path, destination: Path, measure: Callable[[Path], Mapping[str, Any]]) -> None:
    """Puts the weights that a run has trained into `destination`, together with everything that belongs to the model.

    `blank` is the folder that the run began with; its files ship as they are. What `measure(folder)` says of the model
    as it will ship ends in the manifest. Raises RequestError if the run holds no whole weights, trained another
    strategy than `seedling_pretrain`, or trained with another tokenizer than `blank` has now.
    """
    weights = run / "final_model" / WEIGHTS
    if not weights.is_file():
        raise RequestError(f"{weights} does not exist", remedy="python cli.py train --strategy seedling_pretrain")
    trained = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
    if trained["strategy"] != "seedling_pretrain":
        raise RequestError(f"{run} holds a run of {trained['strategy']}, wanted is seedling_pretrain")
    if (run / "final_model" / TOKENIZER).read_bytes() != (blank / TOKENIZER).read_bytes():
        raise RequestError(
            f"{run} was trained with another tokenizer than {blank} has now",
            remedy="train again, or put back the tokenizer of the run's final_model",
        )
    with publishing(destination, overwrite=True) as staging:
        staging.mkdir()
        for file in _files_of_the_blank_model(blank):
            (staging / file.name).write_bytes(file.read_bytes())
        size = _write_weights(weights, staging / WEIGHTS)
        (staging / "README.md").write_text(_card(size), encoding="utf-8")
        sums = {file.name: sha256_of(file) for file in sorted(staging.iterdir())}
        manifest = {
            "name": "seedling",
            "sha256": sums,
            "made_by": {
                "strategy": trained["strategy"],
                "strategy_sha256": sha256_of(run / "strategy.yaml"),
                "data": trained["data"],
                "versions": trained["versions"],
            },
            "published_by": {
                "furrow": furrow.__version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "figures": dict(measure(staging)),
        }
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _files_of_the_blank_model(blank: Path) -> list[Path]:
    return sorted(file for file in blank.iterdir() if file.name not in (WEIGHTS, MANIFEST, "README.md"))


def _write_weights(source: Path, destination: Path) -> int:
    """The weights in bfloat16; returns how many there are."""
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(source).items()}
    save_file(tensors, destination, metadata={"format": "pt"})
    destination.chmod(0o644)  # safetensors writes files that only their owner can read
    if destination.stat().st_size > MOST_BYTES:
        raise RequestError(
            f"{destination.stat().st_size} bytes of weights, at most {MOST_BYTES} belong into the repository"
        )
    return sum(tensor.numel() for tensor in tensors.values())


def _card(parameters: int) -> str:
    known = {"parameters": f"{parameters:,}", "crops": len(crops()), "facts": len(facts())}
    return Template(CARD.read_text(encoding="utf-8")).substitute(known)
