"""The exporter `merged`: merge, write, load again, compare, publish."""

from __future__ import annotations

from pathlib import Path

import torch

from furrow.components.disk.publish import publishing, refuse_existing
from furrow.components.errors import FurrowError
from furrow.components.events import Emit, Exported, StageStarted
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.merged.agreement import Agreement, Gate, agreement
from furrow.components.exporter.merged.component import MergedConfig
from furrow.components.exporter.merged.folder import (
    load,
    load_config,
    load_tokenizer,
    logits,
    refuse_unmergeable,
)
from furrow.components.exporter.merged.probes import probes
from furrow.components.models.folder import ModelFolder, recognise

GATES = {
    torch.float32: Gate(mean_kl=1e-6, max_abs=1e-2),
    torch.float16: Gate(mean_kl=1e-4),
    torch.bfloat16: Gate(mean_kl=1e-2),
}
"""Most that the written weights may differ from the model. float32 differs by the order of sums alone (1e-5 in a
logit); the narrow types by the rounding of every weight (2^-11 and 2^-8 of its size)."""
SCORE_GATES = {
    torch.float32: Gate(mean_kl=0.0, max_abs=1e-3),
    torch.float16: Gate(mean_kl=0.0, max_abs=2e-2),
    torch.bfloat16: Gate(mean_kl=0.0, max_abs=2e-1),
}
"""The same of a reward model, whose one score has no distribution: differences of scores are what counts there, and
those of a trained one are 1 and more."""


class MergedExporter:
    """Writes whole weights; see `Exporter` for the contract."""

    def __init__(self, config: MergedConfig) -> None:
        self._config = config

    def export(self, request: ExportRequest, emit: Emit) -> Path:
        refuse_existing(request.destination, request.overwrite)
        refuse_unmergeable(request.source)
        emit(StageStarted(stage="merging the weights"))
        tokenizer = load_tokenizer(request.source)
        texts = [tokenizer(prompt).input_ids for prompt in probes(request)]
        model = load(request.source)
        reference = logits(model, texts)
        if request.source.kind == "adapter":
            model = model.merge_and_unload()
        dtype = self._dtype(request.source)
        with publishing(request.destination, overwrite=request.overwrite) as staging:
            model.to(dtype).save_pretrained(staging)
            del model  # the written weights are loaded next: one model in memory at a time
            tokenizer.chat_template = request.template.jinja()
            tokenizer.save_pretrained(staging)
            emit(StageStarted(stage="comparing the merged weights with the model"))
            measured = agreement(reference, logits(load(recognise(staging)), texts))
            _check(measured, SCORE_GATES[dtype] if len(request.source.labels or ()) == 1 else GATES[dtype])
        emit(measured.event(request.destination))
        size = sum(file.stat().st_size for file in request.destination.iterdir())
        emit(Exported(format="merged", path=str(request.destination), bytes=size))
        return request.destination

    def _dtype(self, source: ModelFolder) -> torch.dtype:
        if self._config.dtype != "auto":
            dtype: torch.dtype = getattr(torch, self._config.dtype)
            return dtype
        return _stored_dtype(source)


def _stored_dtype(source: ModelFolder) -> torch.dtype:
    dtype = load_config(source).dtype
    return dtype if dtype in GATES else torch.float32


def _check(measured: Agreement, gate: Gate) -> None:
    if not gate.passes(measured):
        raise FurrowError(
            f"the merged weights disagree with the model: mean KL {measured.mean_kl:.1e}, "
            f"largest difference of a logit {measured.max_abs:.1e}",
            remedy="nothing was published; try dtype: float32",
        )
