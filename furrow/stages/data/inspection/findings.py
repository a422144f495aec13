"""What an inspection found: figures of the rows, and each fault with the rows that have it and what mends it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
"""error: it cannot be meant, and `train` stops; warning: it is likely not meant; note: worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One fault, and every row that has it."""

    rule: str
    """Its name, as `filter_quality` knows it where that has such a rule: 'mojibake', 'near_duplicates', …"""
    severity: Severity
    message: str
    """One sentence without a full stop, the counts in it."""
    where: Sequence[str]
    """`file:line` of all rows that have it, in the order of the files."""
    setting: str = ""
    """The setting or the command that mends it, as it is written; '' where only a person can."""
    examples: Sequence[str] = ()
    """What the first few rows say there, on one line each, at most 120 characters, secrets taken out."""
    count: int = -1
    """How many there are: rows, unless the message says something else."""

    def __post_init__(self) -> None:
        if self.count < 0:
            object.__setattr__(self, "count", len(self.where))


@dataclass(frozen=True)
class Histogram:
    """`counts[n]` values lie from `edges[n]` up to below `edges[n + 1]`; the last bin has its upper edge in it."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Lengths:
    """How long the rows are, one of them or a part of one: `what` is row, question or answer; `unit` tokens or
    characters."""

    what: str
    unit: str
    total: int
    mean: float
    percentiles: dict[str, int]
    """'0' (shortest), '5', '25', '50', '75', '95', '99', '100' (longest)."""
    histogram: Histogram


@dataclass(frozen=True)
class TokenFigures:
    """What the model would see of the training rows, as the strategy renders and cuts them."""

    max_length: int
    tokens: int
    """Of all examples, after cutting."""
    learned: int
    truncated: int
    """Rows that are cut."""
    cut_answers: int
    """Those of them that lose a part of what is to be learned."""
    dropped: int
    """Rows that lose so much that they are left out."""
    padding: float
    """Share of a batch that is padding, with rows in random order, at `batch_rows` rows a batch."""
    padding_sorted: float
    """The same where batches are made of rows of like length, as the fine-tuner `pytorch` does."""
    batch_rows: int
    steps: int
    """Optimiser steps of one epoch; 0 where the fine-tuner does not say how many rows a step takes."""


@dataclass(frozen=True)
class RowFigures:
    """What became of the rows of the files."""

    read: int
    """Good and bad ones."""
    bad: int
    """Cannot be used (`dataset.on_bad_row`)."""
    dropped: int
    """By filter_quality, as the strategy stands."""
    duplicates: int
    """By remove_duplicates, as the strategy stands."""
    train: int
    evaluation: int


@dataclass(frozen=True)
class Inspection:
    """What `data inspect` shows."""

    strategy: str
    files: list[str]
    rows: RowFigures
    layouts: dict[str, int] = field(default_factory=dict)
    """How the rows are read ('prompt_completion', 'messages', …) -> rows."""
    languages: dict[str, int] = field(default_factory=dict)
    """ISO 639-1 code, or 'unknown' for texts too short or of a language that the detector does not know -> rows."""
    labels: dict[str, int] = field(default_factory=dict)
    """Classes of a classifier, most frequent first -> training rows. Empty where the rows have none."""
    lengths: list[Lengths] = field(default_factory=list)
    """Of the training rows: row, question and answer in characters, and row in tokens where there is a tokenizer."""
    tokens: TokenFigures | None = None
    no_tokens: str = ""
    """Why there are no figures of tokens."""
    findings: list[Finding] = field(default_factory=list)
    """Errors first, then warnings, then notes; within these the ones with most rows first."""

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    def as_json(self) -> dict[str, Any]:
        """Plain lists, objects and numbers; every row of every finding."""
        findings = [
            {**_fields(each), "where": list(each.where), "examples": list(each.examples)} for each in self.findings
        ]
        rest = {name: value for name, value in _fields(self).items() if name != "findings"}
        return {**{name: _plain(value) for name, value in rest.items()}, "findings": findings}


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {name: _plain(inner) for name, inner in _fields(value).items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
