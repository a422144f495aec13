"""The stage `complete`: a prompt goes through the very template of the training to the strategy's model app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from furrow.components.base_models import BaseModelConfig, source_of
from furrow.components.errors import FurrowError
from furrow.components.models.folder import ModelFolder, recognise
from furrow.components.models.served import Served
from furrow.components.prompt_template import Message
from furrow.stages import wire
from furrow.stages.run.folder import RunFolder
from furrow.strategies.schema import Strategy


class Answerer:
    """A model made ready to answer the strategy's way: its template, its app, its generation settings."""

    def __init__(self, strategy: Strategy, *, base: bool = False) -> None:
        """`base`: the untrained base model instead of what the strategy's app is wired to.

        Raises FurrowError if there is no trained model yet, naming the command that makes it.
        """
        model = base_model(strategy) if base or _wants_base(strategy) else trained_model(strategy)
        self._strategy = strategy
        self._template = wire.prompt_template(strategy, wire.load_tokenizer(model.tokenizer))
        served = Served(
            model=model,
            exports=RunFolder(strategy.output_dir).exports,
            model_name=strategy.model_name,
            device=str(getattr(getattr(strategy.fine_tuner.config, "hardware", None), "device", "auto")),
        )
        self._app = wire.app("transformers", served) if base else wire.model_app(strategy, served)

    def answer(self, messages: Sequence[Message], **changed: float) -> Iterator[str]:
        """Pieces of the answer as they come, without white space at its beginning; `changed` generation settings."""
        generation = self._strategy.generation.model_copy(update=changed)
        end = self._template.end_of_turn()
        stops = [*self._template.stop_sequences, *([end] if end else [])]
        begun = False
        for piece in self._app.answer(self._template.prompt(messages), generation, stops):
            text = piece if begun else piece.lstrip()
            begun = begun or bool(text)
            if text:
                yield text

    def ask(self, prompt: str, **changed: float) -> str:
        """The whole answer to one question, without white space around it."""
        return "".join(self.answer([{"role": "user", "content": prompt}], **changed)).strip()


def trained_model(strategy: Strategy) -> ModelFolder:
    """What the strategy trained. Raises FurrowError that names the command that makes it."""
    run = RunFolder(strategy.output_dir)
    if not run.final_model.is_dir():
        raise FurrowError(
            f"there is no trained model of {strategy.key} yet: {run.final_model} does not exist",
            remedy=f"make it with: python cli.py train --strategy {strategy.key} (and the same --strategy-file)",
        )
    return recognise(run.final_model)


def base_model(strategy: Strategy) -> ModelFolder:
    """The base model of the strategy, as weights without an adapter. A hub id stands as it is."""
    config: BaseModelConfig = strategy.fine_tuner.config.base_model  # type: ignore[attr-defined]
    return ModelFolder(Path(source_of(config)), "weights")


def _wants_base(strategy: Strategy) -> bool:
    """Whether the app is wired to the base model alone (`adapter: false`)."""
    return getattr(strategy.model_app.config, "adapter", True) is False
