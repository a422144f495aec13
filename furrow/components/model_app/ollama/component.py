"""What the table's row `model_app: ollama` points at."""

from __future__ import annotations

from collections.abc import Iterable

from furrow.components.checks import Check
from furrow.components.config import Config
from furrow.components.ollama_api import check_reachable
from furrow.components.registry import Component


class OllamaAppConfig(Config):
    """Settings of the model app `ollama`."""

    model: str | None = None
    """The name under which Ollama knows the model; default: the name that the strategy exports it by."""
    host: str | None = None
    """Where Ollama answers, `host:port` or a URL; default: OLLAMA_HOST, else 127.0.0.1:11434."""

    @property
    def lacks_own_model(self) -> str | None:
        """What is missing for answering with a model that the strategy did not train."""
        return None if self.model else "set model to what Ollama calls it"


def _checks(config: OllamaAppConfig) -> Iterable[Check]:
    yield check_reachable(config.host)


COMPONENT = Component(
    summary="a model of a running Ollama server answers",
    config=OllamaAppConfig,
    factory="furrow.components.model_app.ollama.app:OllamaApp",
    checks=_checks,
)
