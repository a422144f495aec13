"""The exporter `gguf-adapter`: the LoRA matrices alone, compared on the base model's GGUF, published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftConfig

from furrow.components.disk.publish import publishing_together, refuse_existing
from furrow.components.disk.staging import scratch
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Exported, StageStarted
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.gguf import verify
from furrow.components.exporter.gguf.adapter import read_pairs, refuse_special, write_adapter
from furrow.components.exporter.gguf.component import GgufAdapterConfig
from furrow.components.exporter.gguf.destination import gguf_file
from furrow.components.exporter.gguf.families import family_of
from furrow.components.exporter.gguf.manifest import manifest_path, write_manifest
from furrow.components.exporter.gguf.vocabulary import read_vocabulary
from furrow.components.exporter.gguf.writer import write_model
from furrow.components.exporter.merged.agreement import Agreement
from furrow.components.exporter.merged.folder import (
    load,
    load_config,
    load_tokenizer,
    logits,
    refuse_unmergeable,
)
from furrow.components.exporter.merged.probes import probes


class GgufAdapterExporter:
    """Writes one GGUF adapter and its manifest; see `Exporter` for the contract."""

    def __init__(self, config: GgufAdapterConfig) -> None:
        self._dtype = config.quantization

    def export(self, request: ExportRequest, emit: Emit) -> Path:
        """The destination is a file `*.gguf`, or a folder: then `<folder>/<model_name>-adapter-<quantization>.gguf`."""
        destination = gguf_file(request, f"adapter-{self._dtype}")
        refuse_existing(destination, request.overwrite)
        if request.source.kind != "adapter":
            raise RequestError(
                f"{request.source.path} holds whole weights, not an adapter", remedy="export it with format gguf"
            )
        refuse_unmergeable(request.source)
        adapter: Any = PeftConfig.from_pretrained(str(request.source.path))
        refuse_special(adapter)
        config = load_config(request.source)
        family_of(config)
        both = [destination, manifest_path(destination)]
        with publishing_together(both, overwrite=request.overwrite) as (staging, manifest):
            with scratch(destination.parent, destination.name) as work:
                measured = self._write(request, config, float(adapter.lora_alpha), work, staging, emit)
            write_manifest(manifest, staging, request.source, self._dtype, {self._dtype: measured})
        emit(measured.event(destination))
        emit(Exported(format="gguf-adapter", path=str(destination), bytes=destination.stat().st_size))
        return destination

    def _write(
        self, request: ExportRequest, config: Any, alpha: float, work: Path, staging: Path, emit: Emit
    ) -> Agreement:
        emit(StageStarted(stage="computing the model's own answers"))
        tokenizer = load_tokenizer(request.source)
        ids = [list(tokenizer(prompt).input_ids) for prompt in probes(request)]
        model = load(request.source)
        reference = logits(model, ids)
        emit(StageStarted(stage="writing the adapter"))
        pairs = read_pairs(model)
        write_adapter(pairs, config, alpha, staging, dtype=self._dtype, name=request.model_name)
        model.unload().save_pretrained(work / "base")
        base = work / "base.gguf"
        vocabulary = read_vocabulary(tokenizer, probes(request), None)
        write_model(work / "base", config, vocabulary, base, dtype="f32", name="base", chat_template="")
        emit(StageStarted(stage="comparing base and adapter in llama.cpp with the model"))
        measured = verify.compare(base, ids, reference, adapter=staging)
        verify.require(measured, verify.gate(self._dtype), "the adapter")
        return measured
