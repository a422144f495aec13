"""Answers with transformers: the base model, with or without what was trained on it."""

from __future__ import annotations

from furrow.components.config import Config
from furrow.components.registry import Component


class TransformersAppConfig(Config):
    """What answers. Where it runs is `hardware.device` of the strategy."""

    adapter: bool = True
    """Answer with the model that the strategy trained; false answers with the base model alone."""


COMPONENT = Component(
    summary="answers with transformers, the base model or what was trained on it",
    config=TransformersAppConfig,
    factory="furrow.components.model_app.transformers.app:make_app",
    requires=("torch", "transformers", "peft"),
)
