"""What comes after training: the trained model in the forms that the strategy's `export` block asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from furrow.components.events import Emit, StageStarted
from furrow.components.exporter import ExportRequest
from furrow.components.models.folder import ModelFolder
from furrow.components.prompt_template import Message, PromptTemplate
from furrow.components.records import Row
from furrow.stages import wire
from furrow.strategies.schema import ExportConfig, Strategy

PROBES = ("What is this?", "Name three things.", "Why?", "Give an example, and say what it shows.")
"""Prompts on which an export is compared with its model where no data is at hand."""
MOST_PROBES = 4
"""Each is compared at every one of its tokens."""


def wanted(export: ExportConfig, model_name: str, exports: Path) -> list[tuple[str, Path, dict[str, Any]]]:
    """(exporter type, destination, settings) of every export that is asked for."""
    quantization = {"quantization": export.quantization}
    asked: list[tuple[bool, str, Path, dict[str, Any]]] = [
        (export.to_merged, "merged", exports / "merged", {}),
        (export.to_gguf, "gguf", exports / f"{model_name}-{export.quantization}.gguf", quantization),
        (export.to_gguf_adapter, "gguf-adapter", exports / f"{model_name}-adapter.gguf", {}),
        (export.to_ollama, "ollama", exports / "ollama", quantization),
    ]
    return [(kind, destination, settings) for is_asked, kind, destination, settings in asked if is_asked]


def export_all(
    strategy: Strategy,
    source: ModelFolder,
    template: PromptTemplate,
    probe_prompts: Sequence[str],
    exports: Path,
    emit: Emit,
    *,
    overwrite: bool,
) -> list[Path]:
    """Makes every export of the strategy; each verifies itself against the model, and one that disagrees raises."""
    made = []
    for kind, destination, settings in wanted(strategy.export, strategy.model_name, exports):
        emit(StageStarted(stage=f"exporting {kind}"))
        request = ExportRequest(
            source=source,
            destination=destination,
            template=template,
            generation=strategy.generation,
            model_name=strategy.model_name,
            probe_prompts=tuple(probe_prompts),
            overwrite=overwrite,
        )
        made.append(wire.exporter(kind, **settings).export(request, emit))
    return made


def probes_from(rows: Sequence[Row], template: PromptTemplate) -> list[str]:
    """Prompts for the comparison from the beginnings of a few rows, as the template renders them."""
    prompts = []
    for row in rows[:MOST_PROBES]:
        given = ""
        for segment in template.train_segments(row):
            if segment.learned:
                break
            given += segment.text
        prompts.append(given)
    return prompts


def general_probes(template: PromptTemplate) -> list[str]:
    """The same without data."""
    return [template.prompt([_asked(question)]) for question in PROBES]


def _asked(question: str) -> Message:
    return {"role": "user", "content": question}
