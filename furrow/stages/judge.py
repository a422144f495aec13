"""The stage `complete` for models that score a text instead of continuing it: classifiers and reward models."""

from __future__ import annotations

from collections.abc import Mapping

from furrow.components.errors import RequestError
from furrow.components.model_app import Judge
from furrow.components.models.served import WRITERS, Served
from furrow.components.prompt_template import Message
from furrow.components.records import Row
from furrow.components.tokens import prompt_ids
from furrow.stages import wire
from furrow.stages.complete import trained_model
from furrow.stages.data.classification_examples import within
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.limits import example_of
from furrow.stages.run.folder import RunFolder
from furrow.strategies.schema import Strategy


class Assessor:
    """A trained classifier or reward model, asked the strategy's way: through the very template of the training, and
    cut where training cut."""

    def __init__(self, strategy: Strategy) -> None:
        """Raises FurrowError if there is no trained model yet, or the strategy's app cannot serve it."""
        model = trained_model(strategy)
        refusal = RequestError(
            f"{strategy.model_app.type} serves models that write text, and {model.path} holds one that scores it",
            where="components.model_app.type",
            remedy="use transformers",
        )
        if strategy.model_app.type in WRITERS:
            raise refusal
        self._tokenizer = wire.load_tokenizer(model.tokenizer)
        self._template = wire.prompt_template(strategy, self._tokenizer)
        self._scores_answers = len(model.labels or ()) == 1
        served = Served(
            model=model,
            exports=RunFolder(strategy.output_dir).exports,
            model_name=strategy.model_name,
            device=str(getattr(getattr(strategy.fine_tuner.config, "hardware", None), "device", "auto")),
        )
        self._maker = ExampleMaker(self._template, self._tokenizer, strategy.data_preprocessing)
        objective = getattr(strategy.fine_tuner.config, "objective", None)
        self._keeps_end = getattr(objective, "text", "template") == "template"
        self._app: Judge = wire.judge(strategy, served)
        if not hasattr(self._app, "scores"):  # an app of another package
            raise refusal

    def assess(self, prompt: str, answer: str | None = None) -> Mapping[str, float]:
        """Probability of each class of the prompt, the likeliest first; or, of a reward model, its one score of the
        answer. Raises RequestError where an answer is given and not wanted, or the other way round."""
        if self._scores_answers != (answer is not None):
            raise RequestError(
                "a reward model scores an answer, and none is given"
                if self._scores_answers
                else "a classifier reads the prompt alone, and an answer is given",
                where="--answer",
                remedy='say: complete "PROMPT" --answer "ANSWER"' if self._scores_answers else "leave it out",
            )
        asked: Message = {"role": "user", "content": prompt}
        scores = self._app.scores(self._ids(asked, answer))
        return dict(sorted(scores.items(), key=lambda named: -named[1]))

    def _ids(self, asked: Message, answer: str | None) -> list[int]:
        if answer is None:
            ids = prompt_ids(self._tokenizer, self._template.prompt([asked]))
            return within(ids, self._maker.max_length, keeps_end=self._keeps_end)
        row = Row({"messages": [asked, {"role": "assistant", "content": answer}]}, "--answer")
        runs = self._maker.runs(row)
        whole = example_of(runs, row.where)
        kept = self._maker.kept(row, runs).positions or range(min(len(whole.input_ids), self._maker.max_length))
        return [whole.input_ids[at] for at in kept]


def assessor_of(strategy: Strategy) -> Assessor | None:
    """One for a trained model that scores texts; None for one that writes them."""
    untrained = getattr(strategy.model_app.config, "adapter", True) is False
    return None if untrained or trained_model(strategy).labels is None else Assessor(strategy)
