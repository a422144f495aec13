"""Rows that a setting takes out before they are learned: each is counted, and kept with the reason in a file."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from furrow.components.disk.publish import publishing
from furrow.components.records import Row
from furrow.components.secrets import scrubbed_values

FILE = "dropped.jsonl"
"""In the run folder: what was dropped, one row a line."""
PLACES = 1000
"""So many places of each reason are kept in memory; the file has all."""
_COUNTS = "dropped.json"


class Dropped(NamedTuple):
    """A row that is not learned, and why. `rule` is the name of the setting that took it out."""

    where: str
    rule: str
    reason: str


class DroppedRows:
    """Writes them into `folder` as they come, and counts them."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._stream: TextIO | None = None
        self.counts: Counter[tuple[str, str]] = Counter()
        """(rule, reason) -> rows."""
        self.first: dict[tuple[str, str], list[str]] = {}
        """(rule, reason) -> the places of the first PLACES of them."""

    def __len__(self) -> int:
        return self.counts.total()

    def of(self, rule: str) -> int:
        """How many rows this rule took out."""
        return sum(count for (name, _), count in self.counts.items() if name == rule)

    def add(self, row: Row, rule: str, reason: str, like: str = "") -> None:
        """One row more. `like`: the place of the one that it repeats."""
        self.counts[rule, reason] += 1
        places = self.first.setdefault((rule, reason), [])
        if len(places) < PLACES:
            places.append(row.where)
        if self._stream is None:
            self._stream = self._file.open("a", encoding="utf-8")
        self._stream.write(json.dumps(_record(row, rule, reason, like), ensure_ascii=False) + "\n")

    def __iter__(self) -> Iterator[Dropped]:
        """All of them, in the order in which they were found."""
        for record in self.records():
            yield Dropped(record["where"], record["rule"], record["reason"])

    def publish(self, folder: Path, others: Iterable[dict[str, Any]] = ()) -> Path | None:
        """Writes them into the run folder. Returns the file; None where there are none, and then there is none."""
        destination = folder / FILE
        records = itertools.chain(self.records(), others)
        first = next(records, None)
        if first is None:
            destination.unlink(missing_ok=True)
            return None
        with publishing(destination, overwrite=True) as staging, staging.open("w", encoding="utf-8") as file:
            for record in itertools.chain((first,), records):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        return destination

    def save(self) -> None:
        """Notes the counts beside the rows, for `load`."""
        self._flush()
        known = [[*key, count, self.first[key]] for key, count in self.counts.items()]
        self._file.with_name(_COUNTS).write_text(json.dumps(known), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> DroppedRows:
        """What `save` left there."""
        dropped = cls(folder)
        for rule, reason, count, places in json.loads((folder / _COUNTS).read_text(encoding="utf-8")):
            dropped.counts[rule, reason], dropped.first[rule, reason] = count, places
        return dropped

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines of the file, secrets taken out."""
        self._flush()
        if self._file.exists():
            with self._file.open(encoding="utf-8") as file:
                yield from map(json.loads, file)

    def _flush(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _record(row: Row, rule: str, reason: str, like: str) -> dict[str, Any]:
    repeats = {"like": like} if like else {}
    return {"where": row.where, "rule": rule, "reason": reason, **repeats, "row": scrubbed_values(dict(row.columns))}
