"""The figures of an event under the tags of transformers, so that runs of both stand in one picture."""

from __future__ import annotations

from furrow.components.events import Evaluated, Event, StepEnded


def figures(event: Event) -> tuple[int, dict[str, float]] | None:
    """(step, tag -> value) of an event that has any, else None."""
    match event:
        case StepEnded():
            found = {
                "train/loss": event.loss,
                "train/learning_rate": event.learning_rate,
                "train/grad_norm": event.grad_norm,
                "train/epoch": event.epoch,
                "train/step_seconds": event.seconds,
            }
            if event.seconds > 0:
                found["train/tokens_per_second"] = event.total_tokens / event.seconds
            if event.memory_bytes is not None:
                found["train/memory_bytes"] = float(event.memory_bytes)
            return event.step, found | {f"train/{name}": value for name, value in event.metrics.items()}
        case Evaluated():
            found = {"eval/loss": event.eval_loss, "eval/seconds": event.seconds}
            if event.eval_perplexity is not None:
                found["eval/perplexity"] = event.eval_perplexity
            named = {f"eval/{name.removeprefix('eval_')}": value for name, value in event.metrics.items()}
            return event.step, found | named
        case _:
            return None
