"""One table: (slot, type) -> where the component is written. Reading it imports nothing.

An entry point in the group `furrow.<slot>` is a row of the same table; only the one that a strategy names is loaded.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from furrow.components.checks import Checks, no_checks
from furrow.components.config import Config
from furrow.components.errors import FurrowError, RequestError, did_you_mean

BUILT_IN: dict[tuple[str, str], str] = {
    ("dataset_reader", "jsonl"): "furrow.components.dataset_reader.jsonl:COMPONENT",
    ("dataset_reader", "json"): "furrow.components.dataset_reader.json_array:COMPONENT",
    ("dataset_reader", "csv"): "furrow.components.dataset_reader.csv_table:COMPONENT",
    ("dataset_reader", "parquet"): "furrow.components.dataset_reader.parquet.component:COMPONENT",
    ("dataset_reader", "text"): "furrow.components.dataset_reader.text_files:COMPONENT",
    ("dataset_reader", "datasets"): "furrow.components.dataset_reader.hub_datasets.component:COMPONENT",
    ("dataset_splitter", "random"): "furrow.components.dataset_splitter.settings:RANDOM",
    ("dataset_splitter", "stratified"): "furrow.components.dataset_splitter.settings:STRATIFIED",
    ("dataset_splitter", "grouped"): "furrow.components.dataset_splitter.settings:GROUPED",
    ("dataset_splitter", "hash"): "furrow.components.dataset_splitter.settings:HASH",
    ("dataset_splitter", "time"): "furrow.components.dataset_splitter.settings:TIME",
    ("dataset_splitter", "file"): "furrow.components.dataset_splitter.settings:FILE",
    ("dataset_splitter", "k_fold"): "furrow.components.dataset_splitter.settings:K_FOLD",
    ("prompt_template", "format"): "furrow.components.prompt_template.format.component:COMPONENT",
    ("prompt_template", "chat"): "furrow.components.prompt_template.chat.component:COMPONENT",
    ("prompt_template", "jinja"): "furrow.components.prompt_template.jinja.component:COMPONENT",
    ("prompt_template", "alpaca"): "furrow.components.prompt_template.builtin.component:ALPACA",
    ("prompt_template", "chatml"): "furrow.components.prompt_template.builtin.component:CHATML",
    ("prompt_template", "llama2"): "furrow.components.prompt_template.builtin.component:LLAMA2",
    ("prompt_template", "llama3"): "furrow.components.prompt_template.builtin.component:LLAMA3",
    ("prompt_template", "mistral"): "furrow.components.prompt_template.builtin.component:MISTRAL",
    ("prompt_template", "gemma"): "furrow.components.prompt_template.builtin.component:GEMMA",
    ("prompt_template", "phi"): "furrow.components.prompt_template.builtin.component:PHI",
    ("prompt_template", "vicuna"): "furrow.components.prompt_template.builtin.component:VICUNA",
    ("prompt_template", "zephyr"): "furrow.components.prompt_template.builtin.component:ZEPHYR",
    ("prompt_template", "deepseek"): "furrow.components.prompt_template.builtin.component:DEEPSEEK",
    ("prompt_template", "qwen"): "furrow.components.prompt_template.builtin.component:QWEN",
    ("fine_tuner", "pytorch"): "furrow.components.fine_tuner.pytorch.component:COMPONENT",
    ("fine_tuner", "trl"): "furrow.components.fine_tuner.trl.component:COMPONENT",
    ("exporter", "merged"): "furrow.components.exporter.merged.component:COMPONENT",
    ("exporter", "gguf"): "furrow.components.exporter.gguf.component:COMPONENT",
    ("exporter", "gguf-adapter"): "furrow.components.exporter.gguf.component:ADAPTER_COMPONENT",
    ("exporter", "ollama"): "furrow.components.exporter.ollama.component:COMPONENT",
    ("augmentation", "instruction_variation"): "furrow.components.augmentation.instruction_variation:COMPONENT",
    ("augmentation", "token_replacement"): "furrow.components.augmentation.token_replacement:COMPONENT",
    ("augmentation", "paraphrase"): "furrow.components.augmentation.paraphrase:COMPONENT",
    ("augmentation", "back_translation"): "furrow.components.augmentation.back_translation:COMPONENT",
    ("reward", "contains"): "furrow.components.reward.contains:COMPONENT",
    ("reward", "exact_match"): "furrow.components.reward.exact_match:COMPONENT",
    ("reward", "json_object"): "furrow.components.reward.json_object:COMPONENT",
    ("reward", "length"): "furrow.components.reward.length:COMPONENT",
    ("model_app", "transformers"): "furrow.components.model_app.transformers.component:COMPONENT",
    ("model_app", "llama_cpp"): "furrow.components.model_app.llama_cpp.component:COMPONENT",
    ("model_app", "ollama"): "furrow.components.model_app.ollama.component:COMPONENT",
    ("model_app", "openai_compatible"): "furrow.components.model_app.openai_compatible.component:COMPONENT",
    ("tracker", "jsonl"): "furrow.components.tracker.jsonl:COMPONENT",
    ("tracker", "tensorboard"): "furrow.components.tracker.tensorboard.component:COMPONENT",
    ("tracker", "wandb"): "furrow.components.tracker.accelerated.component:WANDB",
    ("tracker", "mlflow"): "furrow.components.tracker.accelerated.component:MLFLOW",
    ("tracker", "comet"): "furrow.components.tracker.accelerated.component:COMET",
    ("tracker", "trackio"): "furrow.components.tracker.accelerated.component:TRACKIO",
}

SLOTS = tuple(dict.fromkeys(slot for slot, _ in BUILT_IN))


@dataclass(frozen=True, kw_only=True)
class Component:
    """What the table's row points at: light, so that a strategy is verified without the packages that do the work."""

    summary: str
    """One line for `components list`."""
    config: type[Config]
    """The settings it takes."""
    factory: str
    """`module:attribute` of what builds it; imported only when a stage does the work."""
    requires: tuple[str, ...] = ()
    """Distributions that the factory imports."""
    extra: str | None = None
    """The extra of furrow (or of the plugin) that installs them."""
    checks: Checks = no_checks
    """Questions that `setup` asks of this config."""


@dataclass(frozen=True)
class Claim:
    """One claim to a (slot, type): the place it points at and the distribution that makes it."""

    target: str
    package: str


def claims(slot: str) -> dict[str, list[Claim]]:
    """Every type of the slot with who claims it, built-in first. Imports nothing.

    Raises RequestError for a slot that does not exist.
    """
    if slot not in SLOTS:
        raise RequestError(f"there is no slot {slot!r}", remedy=did_you_mean(slot, SLOTS))
    found: dict[str, list[Claim]] = {}
    for (row_slot, name), target in BUILT_IN.items():
        if row_slot == slot:
            found.setdefault(name, []).append(Claim(target, "furrow"))
    for point in entry_points(f"furrow.{slot}", tuple(sys.path)):
        package = point.dist.name if point.dist else "unknown package"
        claim = Claim(point.value, package)
        if claim not in found.setdefault(point.name, []):
            found[point.name].append(claim)
    return found


@functools.cache
def entry_points(group: str, _path: tuple[str, ...]) -> importlib.metadata.EntryPoints:
    """Those of all packages on the path. Looking through them takes 10 ms, and a strategy asks for each component."""
    return importlib.metadata.entry_points(group=group)


def find(slot: str, name: str) -> Component:
    """The component of that slot and type; only its light module is imported.

    Raises RequestError for an unknown type or one that two packages claim, FurrowError for a plugin that does not load.
    """
    known = claims(slot)
    if name not in known:
        raise RequestError(f"there is no {slot} of type {name!r}", remedy=did_you_mean(name, known))
    if len(known[name]) > 1:
        packages = " and ".join(sorted(claim.package for claim in known[name]))
        raise RequestError(f"{slot} type {name!r} is claimed by {packages}", remedy="uninstall one of them")
    [claim] = known[name]
    try:
        component = _load(claim.target)
    except Exception as error:  # a plugin may fail in any way; only the strategy that names it is hurt
        raise FurrowError(
            f"{slot} type {name!r} of package {claim.package} cannot be loaded: {type(error).__name__}: {error}",
            remedy=f"mend or uninstall {claim.package}",
        ) from error
    if not isinstance(component, Component):
        raise FurrowError(
            f"{slot} type {name!r} of package {claim.package} is not a Component ({claim.target})",
            remedy=f"mend or uninstall {claim.package}",
        )
    return component


def factory(component: Component) -> Callable[..., Any]:
    """The implementation's factory; this is where the heavy imports happen.

    Raises FurrowError when a package that it requires is not installed.
    """
    try:
        return _load(component.factory)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("furrow"):
            raise
        wanted = f"pip install 'furrow[{component.extra}]'" if component.extra else f"pip install {error.name}"
        raise FurrowError(f"{component.summary}: the package {error.name!r} is not installed", remedy=wanted) from error


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
