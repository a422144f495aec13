"""What a run noted of itself, read back from metrics.jsonl: the figures and texts that its report shows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.stages.reporting.curves import Points

Record = Mapping[str, Any]
"""One line of metrics.jsonl."""


@dataclass(frozen=True)
class Answers:
    """A sample prompt and what was answered before training and by the weights that were kept."""

    prompt: str
    reference: str | None
    before: str | None
    after: str | None
    after_step: int


@dataclass(frozen=True)
class RunRecord:
    """Every event of a run, by name, in order. Steps that a resumed run did again count as it did them last."""

    events: Mapping[str, Sequence[Record]]

    def named(self, name: str) -> Sequence[Record]:
        return self.events.get(name, ())

    def last(self, name: str) -> Record | None:
        found = self.named(name)
        return found[-1] if found else None

    @property
    def steps(self) -> list[Record]:
        return _newest(self.named("step_ended"))

    @property
    def evaluations(self) -> list[Record]:
        return _newest(self.named("evaluated"))

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(what, remedy), each once."""
        return list(dict.fromkeys((event["message"], event.get("remedy") or "") for event in self.named("warned")))

    def answers(self) -> list[Answers]:
        """The sample prompts in their order. `after` is of the weights that were kept, where they were sampled, else of
        the last ones that were."""
        by_prompt: dict[str, dict[int, Record]] = {}
        for sampled in self.named("sampled"):
            by_prompt.setdefault(sampled["prompt"], {})[sampled["step"]] = sampled
        ended = self.last("training_ended")
        kept = ended["best_step"] if ended else None
        found = []
        for prompt, by_step in by_prompt.items():
            later = [step for step in by_step if step > 0]
            step = kept if kept in later else max(later, default=0)
            before, after = by_step.get(0), by_step.get(step) if step else None
            reference = next(iter(by_step.values())).get("reference")
            found.append(
                Answers(
                    prompt=prompt,
                    reference=reference,
                    before=before["completion"] if before else None,
                    after=after["completion"] if after else None,
                    after_step=step,
                )
            )
        return found


def read_record(file: Path) -> RunRecord:
    """Of a run that was killed, the last line may be half a line: it is left out. No file: no events."""
    events: dict[str, list[Record]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if event["event"] == "rolled_back":
            _forget(events, event["step"])
        events.setdefault(event["event"], []).append(event)
    return RunRecord(events)


def _forget(events: dict[str, list[Record]], step: int) -> None:
    """What was measured after that step, which the run went back to."""
    for name in ("step_ended", "evaluated", "sampled"):
        if name in events:
            events[name] = [event for event in events[name] if event["step"] <= step]


def points(records: Iterable[Record], *path: str) -> Points:
    """(step, value) of a figure, wherever it is a finite number; `path` leads into nested figures."""
    found = []
    for record in records:
        value: Any = record
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and math.isfinite(value):
            found.append((record["step"], float(value)))
    return found


def _newest(records: Iterable[Record]) -> list[Record]:
    by_step = {record["step"]: record for record in records}
    return [by_step[step] for step in sorted(by_step)]
