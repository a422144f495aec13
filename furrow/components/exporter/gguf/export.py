"""The exporter `gguf`: merge, write, quantise, compare with the model, publish."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from furrow.components.disk.publish import publishing_together, refuse_existing
from furrow.components.disk.staging import scratch
from furrow.components.errors import FurrowError
from furrow.components.events import Emit, Exported, Noted, Progressed, StageStarted, Warned
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.gguf import checkout, hyperparameters, verify
from furrow.components.exporter.gguf.component import GgufConfig
from furrow.components.exporter.gguf.destination import gguf_file
from furrow.components.exporter.gguf.families import FAMILIES, Family, architecture_of, family_of
from furrow.components.exporter.gguf.llama import LlamaCpp
from furrow.components.exporter.gguf.manifest import manifest_path, write_manifest
from furrow.components.exporter.gguf.quantize import quantize, tensor_types
from furrow.components.exporter.gguf.stream import PLAIN
from furrow.components.exporter.gguf.vocabulary import normal_form, read_vocabulary
from furrow.components.exporter.gguf.weights import Weights
from furrow.components.exporter.gguf.writer import write_model
from furrow.components.exporter.merged.agreement import Agreement, Logits
from furrow.components.exporter.merged.folder import (
    load,
    load_config,
    load_tokenizer,
    logits,
    merged_folder,
    refuse_unmergeable,
)
from furrow.components.exporter.merged.probes import probes, rendered_texts
from furrow.components.models.folder import ModelFolder

_SAID = {role: {"role": role, "content": "Why? It is so."} for role in ("user", "assistant")}
_LOSSLESS = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


@dataclass(frozen=True)
class _Probed:
    """What the file is compared with: token ids and the model's logits on them."""

    ids: list[list[int]]
    logits: list[Logits]


class GgufExporter:
    """Writes one GGUF file and its manifest; see `Exporter` for the contract."""

    def __init__(self, config: GgufConfig) -> None:
        self._quantization = config.quantization

    def export(self, request: ExportRequest, emit: Emit) -> Path:
        """The destination is a file `*.gguf`, or a folder: then `<folder>/<model_name>-<quantization>.gguf`."""
        destination = gguf_file(request, self._quantization)
        refuse_existing(destination, request.overwrite)
        refuse_unmergeable(request.source)
        script = _converter_for(request)
        tokenizer = load_tokenizer(request.source)
        tokenizer.chat_template = request.template.jinja()
        both = [destination, manifest_path(destination)]  # never the old figures beside a new file
        with publishing_together(both, overwrite=request.overwrite) as (staging, manifest):
            with scratch(destination.parent, destination.name) as work:
                agreements = self._write(request, tokenizer, script, work, staging, emit)
            write_manifest(manifest, staging, request.source, self._quantization, agreements)
        emit(agreements[self._quantization].event(destination))
        emit(Exported(format="gguf", path=str(destination), bytes=destination.stat().st_size))
        return destination

    def _write(
        self, request: ExportRequest, tokenizer: Any, script: Path | None, work: Path, staging: Path, emit: Emit
    ) -> dict[str, Agreement]:
        """Write `staging`, compared at every step; the measured agreements by file type."""
        emit(StageStarted(stage="computing the model's own answers"))
        probed = _probe(request, tokenizer)
        with merged_folder(request.source, work) as folder:
            plain = self._quantization if self._quantization in PLAIN else _stored_type(folder)
            first = staging if plain == self._quantization else work / f"{plain}.gguf"
            emit(StageStarted(stage=f"writing {plain}"))
            if script is None:
                _write_own(request, folder, tokenizer, plain, first, emit)
            else:
                checkout.convert(script, folder, tokenizer, work, first, dtype=plain, name=request.model_name)
        emit(StageStarted(stage="comparing llama.cpp with the model"))
        _check_tokens(first, request, tokenizer, emit)
        agreements = {plain: _compared(first, plain, probed)}
        if first != staging:
            emit(StageStarted(stage=f"quantising to {self._quantization}"))
            quantize(first, staging, self._quantization)
            agreements[self._quantization] = _compared(staging, self._quantization, probed)
            emit(Noted(message=f"types of the tensors: {tensor_types(staging)}"))
        return agreements


def _converter_for(request: ExportRequest) -> Path | None:
    """None: written here. Refuses what cannot be written before any work is done."""
    config = load_config(request.source)
    if architecture_of(config) not in FAMILIES and (script := checkout.converter()):
        return script
    family_of(config)
    return None


def _write_own(request: ExportRequest, folder: Path, tokenizer: Any, dtype: str, into: Path, emit: Emit) -> None:
    config = load_config(ModelFolder(folder, "weights"))
    _warn_of_window(config, family_of(config), emit)
    write_model(
        folder,
        config,
        read_vocabulary(tokenizer, probes(request), request.template.end_of_turn()),
        into,
        dtype=dtype,
        name=request.model_name,
        chat_template=request.template.jinja(),
        progress=lambda done, total: emit(Progressed(stage=f"writing {dtype}", done=done, total=total)),
    )


def _warn_of_window(config: Any, family: Family, emit: Emit) -> None:
    tokens = hyperparameters.context_length(config, family.windowed)
    if tokens < config.max_position_embeddings:
        emit(
            Warned(
                message=f"llama.cpp knows no sliding window for this family: the file allows {tokens} tokens of "
                f"context, up to which it computes the same, not {config.max_position_embeddings}"
            )
        )


def _probe(request: ExportRequest, tokenizer: Any) -> _Probed:
    ids = [list(tokenizer(prompt).input_ids) for prompt in probes(request)]
    return _Probed(ids, logits(load(request.source), ids))


def _check_tokens(path: Path, request: ExportRequest, tokenizer: Any, emit: Emit) -> None:
    texts = [*request.probe_prompts, *rendered_texts(request)]
    talk = request.template.prompt([_SAID["user"], _SAID["assistant"], _SAID["user"]])
    with LlamaCpp(path) as llama:
        verify.check_tokens(llama, tokenizer, texts, normal_form(tokenizer))
        try:
            verify.check_tokens(llama, tokenizer, [talk], normal_form(tokenizer))
        except FurrowError:
            emit(
                Warned(
                    message="llama.cpp cuts conversations of several turns into other tokens than those of the "
                    "training: this tokenizer puts a space before a text and none behind a special token",
                    remedy="ask one question at a time, or train with a template whose turns begin with special tokens",
                )
            )


def _compared(path: Path, quantization: str, probed: _Probed) -> Agreement:
    measured = verify.compare(path, probed.ids, probed.logits)
    verify.require(measured, verify.gate(quantization), f"the {quantization} file")
    return measured


def _stored_type(folder: Path) -> str:
    """The plain type that loses nothing of the weights, to quantise from."""
    weights = Weights(folder)
    return _LOSSLESS[max((weights.dtype(name) for name in weights.names), key=lambda dtype: dtype.itemsize)]
