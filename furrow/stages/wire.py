"""Builds what a strategy wires: the one place where stages ask the registry for factories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from furrow.components.augmentation import Ask, AskedModel, Augmentation
from furrow.components.base_models import source_of
from furrow.components.exporter import Exporter
from furrow.components.fine_tuner import FineTuner
from furrow.components.model_app import Judge, ModelApp
from furrow.components.models.folder import ModelFolder
from furrow.components.models.served import Served
from furrow.components.prompt_template import PromptTemplate
from furrow.components.registry import factory, find
from furrow.components.tracker import TrackedRun, Tracker
from furrow.strategies.schema import MonitoringConfig, Strategy
from furrow.strategies.wiring import Wired


def fine_tuner(strategy: Strategy) -> FineTuner:
    """The strategy's fine-tuner, nothing loaded yet."""
    return factory(strategy.fine_tuner.component)(strategy.fine_tuner.config)


def prompt_template(strategy: Strategy, tokenizer: Any) -> PromptTemplate:
    """The strategy's template over the facts of this tokenizer; one that adds nothing to classify plain text."""
    if getattr(getattr(strategy.fine_tuner.config, "objective", None), "text", "template") == "plain":
        component = find("prompt_template", "format")
        return factory(component)(component.config.model_validate({"format": "{input}{output}"}), tokenizer)
    return factory(strategy.prompt_template.component)(strategy.prompt_template.config, tokenizer)


def templates_of_mix(strategy: Strategy, tokenizer: Any, usual: PromptTemplate) -> list[PromptTemplate]:
    """Those of the sets of a mix, by their number; `usual` where a set names none. A classifier's text has no other."""
    if getattr(getattr(strategy.fine_tuner.config, "objective", None), "text", "template") == "plain":
        return []
    named = [source.template for source in strategy.dataset.mix]
    return [usual if each is None else factory(each.component)(each.config, tokenizer) for each in named]


def model_app(strategy: Strategy, served: Served) -> ModelApp:
    """The strategy's app, its model loaded."""
    return factory(strategy.model_app.component)(strategy.model_app.config, served)


def judge(strategy: Strategy, served: Served) -> Judge:
    """The strategy's app for a model that scores texts, loaded."""
    return factory(strategy.model_app.component)(strategy.model_app.config, served)


def trackers(monitoring: MonitoringConfig) -> list[Wired]:
    """The trackers that are asked for, each type once; one that is named in the list has the settings given there."""
    asked = {"jsonl": monitoring.track_training_metrics, "tensorboard": monitoring.log_tensorboard}
    found = {kind: _with_defaults("tracker", kind) for kind, is_asked in asked.items() if is_asked}
    return list((found | {wired.type: wired for wired in monitoring.trackers}).values())


def tracker(wired: Wired, run: TrackedRun) -> Tracker:
    """The tracker, ready for events."""
    return factory(wired.component)(wired.config, run)


def _with_defaults(slot: str, kind: str) -> Wired:
    component = find(slot, kind)
    return Wired(slot, kind, component, component.config())


def app(kind: str, served: Served) -> ModelApp:
    """An app of that type with its default settings."""
    component = find("model_app", kind)
    return factory(component)(component.config(), served)


def augmentation(wired: Wired, ask: Ask | None) -> Augmentation:
    """What makes rows of rows; `ask` for one whose settings name a model."""
    return factory(wired.component)(wired.config, ask)


def asked_app(strategy: Strategy, model: AskedModel) -> ModelApp:
    """The app that an augmentation asks, its model loaded: of its own, or the strategy's base model."""
    served = Served(
        model=ModelFolder(Path(source_of(strategy.fine_tuner.config.base_model)), "weights"),  # type: ignore[attr-defined]
        exports=strategy.output_dir / "exports",
        model_name=strategy.model_name,
        device=str(getattr(getattr(strategy.fine_tuner.config, "hardware", None), "device", "auto")),
    )
    return factory(find("model_app", model.type))(model.app, served)


def exporter(kind: str, **settings: Any) -> Exporter:
    """The exporter of that type; settings that its config does not know are an error of the caller."""
    component = find("exporter", kind)
    return factory(component)(component.config(**settings))


def load_tokenizer(source: str) -> Any:
    """The tokenizer in a folder, or of a hub id. Raises FurrowError when there is none."""
    from furrow.components.models import pretrained

    return pretrained.load_tokenizer(source)
