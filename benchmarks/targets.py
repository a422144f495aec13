"""What Furrow has set itself, and whether the measurements reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.records import Run, farthest, middle, ratio

SAME_CURVE = 1e-3
"""Losses that differ by less at every step are one curve: they are near 11, and float32 sums depend on their order."""


@dataclass(frozen=True)
class Verdict:
    """One target: `reached` is None where it was not measured."""

    what: str
    target: str
    measured: str
    reached: bool | None


def judge(runs: Mapping[str, Sequence[Run]]) -> list[Verdict]:
    """All targets over the runs of each case."""
    lora = [run for run in runs.get("lora", ()) if run.failed is None]
    return [
        _speed(lora, "trainer", "Trainer + PEFT", 2.3),
        _speed(lora, "trl-packed", "TRL packed, as it ships", 2.0),
        _speed(lora, "trl-packed-stored", "TRL packed, activations kept", 2.0),
        _speed(lora, "litgpt", "LitGPT", 4.0),
        _memory(lora),
        _floor(lora),
        _first_step(lora),
        _curve(lora),
        _trunk(list(runs.get("layers", ()))),
    ]


def _verdict(what: str, target: str, value: float | None, shown: str, reached: bool | None) -> Verdict:
    return Verdict(what, target, "not measured" if value is None else shown, None if value is None else reached)


def _speed(runs: Sequence[Run], peer: str, title: str, wanted: float) -> Verdict:
    value = ratio(runs, "furrow", peer, lambda run: run.rows_per_second)
    shown = f"{value:.2f}x" if value else ""
    return _verdict(f"rows/s against {title}", f"at least {wanted}x", value, shown, bool(value and value >= wanted))


def _memory(runs: Sequence[Run], wanted: float = 0.4) -> Verdict:
    value = ratio(runs, "furrow", "trainer", lambda run: run.peak_bytes)
    shown = f"{value:.2f}x" if value else ""
    return _verdict(
        "peak memory against Trainer + PEFT", f"at most {wanted}x", value, shown, bool(value and value <= wanted)
    )


def _floor(runs: Sequence[Run], wanted: float = 0.55) -> Verdict:
    value = middle((run for run in runs if run.system == "furrow"), lambda run: run.floor_share)
    shown = f"{value:.0%}" if value else ""
    return _verdict(
        "share of the floor's rate", f"at least {wanted:.0%}", value, shown, bool(value and value >= wanted)
    )


def _first_step(runs: Sequence[Run], wanted: float = 0.6) -> Verdict:
    def seconds(system: str) -> float | None:
        return middle((run for run in runs if run.system == system), lambda run: run.first_step_seconds)

    peers = {run.system for run in runs} - {"furrow"}
    quickest = min(((seconds(peer), peer) for peer in peers if seconds(peer) is not None), default=None)
    value = ratio(runs, "furrow", quickest[1], lambda run: run.first_step_seconds) if quickest else None
    shown = f"{value:.2f}x ({quickest[1]})" if quickest and value else ""
    return _verdict(
        "time to the end of the first step, against the quickest peer", f"at most {wanted}x", value, shown,
        bool(value and value <= wanted),
    )  # fmt: skip


def _curve(runs: Sequence[Run]) -> Verdict:
    value = curve_distance(runs)
    shown = f"largest difference of a step {value:.1e}" if value is not None else ""
    return _verdict(
        "loss curve against Trainer + PEFT", f"the same within {SAME_CURVE:g}", value, shown,
        value is not None and value <= SAME_CURVE,
    )  # fmt: skip


def curve_distance(runs: Sequence[Run], peer: str = "trainer") -> float | None:
    """The largest difference of a step's loss between Furrow and a peer in the same round."""
    by_round: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        if run.failed is None:
            by_round.setdefault(run.round, {})[run.system] = run.losses
    distances = [
        distance
        for losses in by_round.values()
        if (distance := farthest(losses.get("furrow", []), losses.get(peer, []))) is not None
    ]
    return max(distances) if distances else None


def _trunk(runs: Sequence[Run], wanted: float = 2.2) -> Verdict:
    value = ratio(runs, "furrow", "furrow-no-cache", lambda run: run.rows_per_second)
    shown = f"{value:.2f}x" if value else ""
    return _verdict(
        "frozen trunk: rows/s with the cache against without", f"at least {wanted}x", value, shown,
        bool(value and value >= wanted),
    )  # fmt: skip
