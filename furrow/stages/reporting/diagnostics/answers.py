"""What the model says when it is asked: whether it says the same over and over."""

from __future__ import annotations

from furrow.components.events import Event, Sampled, TrainingStarted, Warned

LENGTH = 4
"""Words of a phrase (of a language without spaces: characters)."""
ENOUGH = 12
"""Phrases that an answer must have to be judged: a short one cannot repeat itself much."""
DISTINCT = 0.5
"""Share of its phrases that must be different. Ordinary prose of this length has above 0.9."""
HALF = 0.5
"""Share of the run before which nothing is judged: a model that has learned little repeats itself, and gets over it."""


class Repetitive:
    """Two answers of one evaluation say the same over and over, and what was to be learned does not."""

    def __init__(self) -> None:
        self._total = 0
        self._step = -1
        self._answers = self._bad = 0
        self._always: set[str] = set()
        """Prompts that were answered so before training: that is the base model's doing."""

    def __call__(self, event: Event) -> Warned | None:
        if isinstance(event, TrainingStarted):
            self._total = event.total_steps
        if not isinstance(event, Sampled):
            return None
        if event.step == 0 and is_repetitive(event.completion):
            self._always.add(event.prompt)
        if event.step == 0 or event.step < HALF * self._total or event.prompt in self._always:
            return None
        if event.step != self._step:
            self._step, self._answers, self._bad = event.step, 0, 0
        self._answers += 1
        repeats = is_repetitive(event.completion) and not is_repetitive(event.reference or "")
        self._bad += repeats
        if not repeats or self._bad < 2:
            return None
        shown = event.completion if len(event.completion) <= 80 else event.completion[:79] + "…"
        return Warned(
            message=f"step {event.step}: {self._bad} of {self._answers} sample answers repeat themselves ({shown!r}): "
            "the learning rate is too high, or answers do not end with the end token",
            remedy="lower learning_rate or train for fewer epochs; see with `train --dry-run` that the end is learned; "
            "generation.repetition_penalty 1.1 helps in answering",
        )


def is_repetitive(text: str) -> bool:
    """Whether fewer than half of the phrases in a text are different ones."""
    words = text.split()
    if len(words) <= LENGTH and len(text) > 4 * LENGTH:
        words = list(text)
    phrases = [tuple(words[start : start + LENGTH]) for start in range(len(words) - LENGTH + 1)]
    return len(phrases) >= ENOUGH and len(set(phrases)) < DISTINCT * len(phrases)
