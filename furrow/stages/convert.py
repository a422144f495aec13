"""The stage `convert`: a trained model in another format, with the template that it was trained with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from furrow.components.disk.publish import refuse_existing
from furrow.components.errors import RequestError, did_you_mean
from furrow.components.events import Emit, Noted
from furrow.components.exporter import ExportRequest
from furrow.components.generation import GenerationConfig
from furrow.components.models.folder import STRATEGY_FILE, ModelFolder, recognise
from furrow.components.prompt_template import PromptTemplate
from furrow.components.registry import factory, find
from furrow.stages import wire
from furrow.stages.export import general_probes
from furrow.strategies import files
from furrow.strategies.containment import wrong_model_name
from furrow.strategies.schema import Strategy

EXPORTED = re.compile(
    r"Modelfile|README\.md|strategy\.yaml|.+\.(gguf|gguf\.json|safetensors|jinja)"
    r"|(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens"
    r"|model\.safetensors\.index)\.json"
)
"""Names of the files that exports write into a folder."""


def convert(
    source: Path,
    destination: Path,
    *,
    format: str,
    quantization: str | None,
    model_name: str | None,
    overwrite: bool,
    emit: Emit,
) -> Path:
    """Exports `source` (final_model, adapter, checkpoint, run folder or whole weights) as `format` to `destination`.

    The template, system prompt, stops and generation settings come from the strategy that was saved beside the weights.
    Raises RequestError for a folder that holds no model, a destination that exists, a setting the format does not have.
    """
    if model_name is not None and (what := wrong_model_name(model_name)):
        raise RequestError(what, where="--model-name")
    refuse_existing(destination, overwrite)
    folder = recognise(source)
    _refuse_foreign(destination, folder.path)
    _refuse_scorer(folder, format)
    settings = _settings(format, quantization)
    strategy = saved_strategy(folder.path)
    tokenizer = wire.load_tokenizer(folder.tokenizer)
    template = _template(strategy, tokenizer, folder, emit)
    request = ExportRequest(
        source=folder,
        destination=destination,
        template=template,
        generation=strategy.generation if strategy else GenerationConfig(),
        model_name=model_name or (strategy.model_name if strategy else destination.stem),
        probe_prompts=tuple(general_probes(template)),
        overwrite=overwrite,
    )
    return wire.exporter(format, **settings).export(request, emit)


def _refuse_foreign(destination: Path, model: Path) -> None:
    """`--overwrite` replaces a folder whole: raises RequestError if it holds the model itself, or anything that no
    export writes."""
    if not destination.is_dir():
        return
    if destination.resolve() in (model.resolve(), *model.resolve().parents):
        raise RequestError(
            f"{destination} holds the model that is to be converted", remedy="choose another destination"
        )
    foreign = [file.name for file in destination.iterdir() if file.is_dir() or not EXPORTED.fullmatch(file.name)]
    if foreign:
        raise RequestError(
            f"{destination} holds what no export wrote: {', '.join(sorted(foreign)[:5])}",
            remedy="choose another destination; --overwrite replaces the whole folder",
        )


def _refuse_scorer(folder: ModelFolder, format: str) -> None:
    """Raises RequestError for a classifier or a reward model in a format of servers that write text."""
    if folder.labels is not None and format in ("gguf", "gguf-adapter", "ollama"):
        raise RequestError(
            f"{folder.path} holds a model that scores texts, and what serves {format} only writes them",
            where="--format",
            remedy="use --format merged, or ask the model with `complete`",
        )


def saved_strategy(folder: Path) -> Strategy | None:
    """The filled strategy beside the weights, or in the run folder above a checkpoint; None if there is none."""
    for place in (folder, *folder.resolve().parents[:3]):
        file = place / STRATEGY_FILE
        if file.is_file() and (place == folder or (place / "manifest.json").is_file()):
            names = files.names(file)
            if len(names) != 1:
                raise RequestError(f"{file} holds {len(names)} strategies; the one that made the weights is wanted")
            return files.load(names[0], file).strategy
    return None


def _settings(format: str, quantization: str | None) -> dict[str, Any]:
    """Asked before anything is loaded: is there such a format, and does it take that quantization?"""
    fields = find("exporter", format).config.model_fields
    if quantization is None:
        return {}
    if "quantization" not in fields:
        raise RequestError(
            f"the format {format!r} has no quantization", where="--quantization", remedy="use --format gguf or ollama"
        )
    name, allowed = quantization.lower(), get_args(fields["quantization"].annotation)
    if allowed and name not in allowed:
        raise RequestError(
            f"the format {format!r} has no number type {quantization!r}",
            where="--quantization",
            remedy=did_you_mean(name, allowed),
        )
    return {"quantization": name}


def _template(strategy: Strategy | None, tokenizer: Any, folder: ModelFolder, emit: Emit) -> PromptTemplate:
    if strategy is not None:
        return wire.prompt_template(strategy, tokenizer)
    component = find("prompt_template", "chat")
    if tokenizer.chat_template:
        emit(Noted(message=f"no {STRATEGY_FILE} beside {folder.path}: the tokenizer's own chat template is used"))
        return factory(component)(component.config(), tokenizer)
    raise RequestError(
        f"{folder.path} has neither a {STRATEGY_FILE} nor a chat template: how it is to be prompted is not known",
        remedy=f"put the {STRATEGY_FILE} of the run that made it beside the weights",
    )
