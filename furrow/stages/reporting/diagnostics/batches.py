"""What goes through the model: how much of it is learned, and how busy it keeps the accelerator."""

from __future__ import annotations

from furrow.components.events import DataPrepared, Event, StepEnded, Warned

LEARNED = 0.1
"""Share of the tokens that should be learned. Answers to short questions are a third and more; below a tenth, most of
the work is done on prompts."""
IDLE = 0.2
"""Share of the time for which an accelerator may wait (the guides: 'Check GPU utilization stays >80%')."""
MEASURED = 20
"""Steps over which the idle time is averaged."""


class Masked:
    """Most tokens are given, and not learned. Where nothing is learned token by token (classes, pairs) it is silent."""

    def __call__(self, event: Event) -> Warned | None:
        if not isinstance(event, DataPrepared) or not event.learned_tokens:
            return None
        share = event.learned_tokens / event.train_tokens
        if share >= LEARNED:
            return None
        return Warned(
            message=f"{event.learned_tokens:,} of {event.train_tokens:,} tokens ({share:.1%}) are learned, the others "
            "are masked: answers are short beside their prompts, or the template takes them for prompts",
            remedy="see with `train --dry-run` what is learned; shorten the prompts with max_input_length, or choose "
            "the columns of the answers",
        )


class Idle:
    """The accelerator waits. Silent where that is not measured."""

    def __init__(self) -> None:
        self._shares: list[float] = []

    def __call__(self, event: Event) -> Warned | None:
        if not isinstance(event, StepEnded) or event.idle_share is None:
            return None
        self._shares = [*self._shares[-MEASURED + 1 :], event.idle_share]
        mean = sum(self._shares) / len(self._shares)
        if len(self._shares) < MEASURED or mean <= IDLE:
            return None
        return Warned(
            message=f"step {event.step}: the accelerator was idle for {mean:.0%} of the last {MEASURED} steps: its "
            "pieces of work are too small, or the processor is busy with something else",
            remedy="raise micro_batch_tokens or per_device_train_batch_size, and switch gradient_checkpointing off if "
            "memory allows",
        )
