"""What the fine-tuner is handed: the examples, and what the strategy says of their order, limits and samples."""

from __future__ import annotations

from pathlib import Path

from furrow.components.fine_tuner import SamplePrompt, TrainingRequest
from furrow.components.interruption import StopRequest
from furrow.components.models.folder import STRATEGY_FILE
from furrow.stages.data.examples import objective_of
from furrow.stages.data.samples import sample_prompts
from furrow.stages.data.training_data import TrainingData
from furrow.stages.run.folder import RunFolder
from furrow.stages.space import exports_of, is_adapter
from furrow.strategies.files import filled_yaml
from furrow.strategies.schema import Strategy


def request_for(
    strategy: Strategy, data: TrainingData, run: RunFolder, checkpoint: Path | None, stop: StopRequest
) -> TrainingRequest:
    """`checkpoint`: a whole one to go on from."""
    return TrainingRequest(
        train=data.train.examples,
        evaluation=data.evaluation.examples,
        order_seed=order_seed_of(strategy),
        checkpoints=run.checkpoints,
        final_model=run.final_model,
        beside={STRATEGY_FILE: filled_yaml(strategy)},
        max_length=data.maker.max_length,
        labels=tuple(data.labels or ()),
        samples=_samples(strategy, data),
        resume=checkpoint,
        export_bytes_per_parameter=exports_of(strategy.export, adapter=is_adapter(strategy)),
        stop=stop,
    )


def order_seed_of(strategy: Strategy) -> int | None:
    """The seed of the rows' order: `data_preprocessing.seed`, else the training's; None for the order of the file."""
    limits = strategy.data_preprocessing
    if not limits.shuffle:
        return None
    config = strategy.fine_tuner.config
    if limits.seed is not None and "data_preprocessing.seed" not in config.idle:
        return limits.seed
    return int(getattr(getattr(config, "training_args", None), "seed", 42))


def _samples(strategy: Strategy, data: TrainingData) -> list[SamplePrompt]:
    """The prompts to watch; none where the model learns to judge and not to answer."""
    if objective_of(strategy) in ("classification", "reward"):
        return []
    arguments = getattr(strategy.fine_tuner.config, "training_args", None)
    evaluates = bool(data.evaluation.examples) and getattr(arguments, "eval_strategy", "no") != "no"
    return sample_prompts(strategy.monitoring.samples, data.asked, data.maker.template, evaluates=evaluates)
