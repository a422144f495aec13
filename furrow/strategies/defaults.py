"""Defaults that follow from more than one block; they are written into the data, so that the filled file shows them."""

from __future__ import annotations

from typing import Any

from furrow.components.errors import FurrowError
from furrow.components.events import Event, Noted, Warned
from furrow.components.registry import find
from furrow.strategies.moved_keys import CONFIG
from furrow.strategies.schema import default_output_dir

BASE_MODEL = "seedling"
EVAL_SPLIT = 0.1
"""The guide's standard split, 90/10."""


def fill(key: str, data: dict[str, Any]) -> tuple[dict[str, Any], list[Event]]:
    """The data with what the strategy leaves to Furrow; the mapping that was given is not changed.

    Knows only the settings of the fine-tuner `pytorch`; one of another package has its own.
    """
    blocks = (CONFIG, (*CONFIG, "training_args"), ("dataset",), ("export",))
    if not all(_is_plain(data, path) for path in blocks):
        return data, []
    fine_tuner = _mapping(_mapping(data, "components"), "fine_tuner")
    if fine_tuner.get("type", "pytorch") != "pytorch":
        return data, []
    config = _mapping(fine_tuner, "config")
    events: list[Event] = []
    arguments = {"output_dir": default_output_dir(key), **_mapping(config, "training_args")}
    dataset, export = _mapping(data, "dataset"), {"model_name": key, **_mapping(data, "export")}
    if "base_model" not in config:
        config = {**config, "base_model": {"builtin": BASE_MODEL}}
        events.append(_no_base_model(key))
    says_nothing = not {"eval_file", "eval_split"} & dataset.keys() and not _has_own_share(dataset.get("splitter"))
    if arguments.get("eval_strategy") in ("steps", "epoch") and says_nothing:
        dataset = {**dataset, "eval_split": EVAL_SPLIT}
        events.append(
            Noted(
                message=f"{key}: no eval_file and no eval_split are given; {EVAL_SPLIT:.0%} of the rows "
                "are kept to evaluate on"
            )
        )
    config = {**config, "training_args": arguments}
    components = {**_mapping(data, "components"), "fine_tuner": {**fine_tuner, "config": config}}
    return {**data, "components": components, "dataset": dataset, "export": export}, events


def _no_base_model(key: str) -> Warned:
    return Warned(
        message=f"{key}: no base_model is given; the built-in model {BASE_MODEL} is tuned, "
        "which knows only a garden almanac",
        remedy="name one, such as base_model: {huggingface_id: meta-llama/Llama-3.2-1B-Instruct}",
    )


def _has_own_share(splitter: Any) -> bool:
    """Whether a splitter, as it is written, keeps rows to evaluate on without an eval_split: k_fold does."""
    kind = splitter.get("type") if isinstance(splitter, dict) else splitter
    try:
        return isinstance(kind, str) and getattr(find("dataset_splitter", kind).config, "own_share", False)
    except FurrowError:  # verification's to report
        return False


def _mapping(data: dict[str, Any], key: str) -> dict[str, Any]:
    return data.get(key) or {}


def _is_plain(data: Any, path: tuple[str | int, ...]) -> bool:
    """Whether each step down is a mapping, or absent; what is neither is verification's to report."""
    for step in path:
        data = data.get(step) or {}
        if not isinstance(data, dict):
            return False
    return True
