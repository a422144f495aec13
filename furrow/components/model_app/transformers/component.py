"""Answers with transformers: the base model, with or without what was trained on it."""

from __future__ import annotations

from furrow.components.config import Config
from furrow.components.registry import Component


class TransformersAppConfig(Config):
    """What answers. Where it runs is `hardware.device` of the strategy."""

    adapter: bool = True
    """Answer with the model that the strategy trained; false answers with the base model alone."""

    @property
    def lacks_own_model(self) -> str | None:
        """What is missing for answering with a model that the strategy did not train."""
        return "set adapter to false, for the base model of the strategy" if self.adapter else None


COMPONENT = Component(
    summary="answers with transformers, the base model or what was trained on it",
    config=TransformersAppConfig,
    factory="furrow.components.model_app.transformers.app:make_app",
    requires=("torch", "transformers", "peft"),
)
