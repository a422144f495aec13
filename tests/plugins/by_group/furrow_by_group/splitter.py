"""The splitter: whole groups go to one side or the other."""

import hashlib
import json
from collections.abc import Sequence

from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow_by_group.component import ByGroupConfig


class ByGroup:
    """Evaluates on groups that were never trained on, so that a model cannot score by knowing the group."""

    def __init__(self, config: ByGroupConfig) -> None:
        self._config = config

    def split(self, rows: Sequence[Row], eval_share: float) -> tuple[list[Row], list[Row]]:
        """(train, eval), each in the order of the file; eval holds as many whole groups as fit into `eval_share`.

        Raises RequestError for a row without the column, and where no group is small enough.
        """
        sizes: dict[str, int] = {}
        for row in rows:
            group = self._group_of(row)
            sizes[group] = sizes.get(group, 0) + 1
        room, chosen = round(len(rows) * eval_share), set()
        for group in sorted(sizes, key=self._lot):
            if sizes[group] <= room:
                room -= sizes[group]
                chosen.add(group)
        if eval_share > 0 and not chosen:
            raise RequestError(
                f"no group of column {self._config.column!r} fits into {eval_share:.0%} of {len(rows)} rows",
                where="dataset.eval_split",
                remedy="raise eval_split, or split by a column with smaller groups",
            )
        sides: tuple[list[Row], list[Row]] = ([], [])
        for row in rows:
            sides[self._group_of(row) in chosen].append(row)
        return sides

    def _group_of(self, row: Row) -> str:
        if self._config.column not in row.columns:
            raise RequestError(f"there is no column {self._config.column!r}", where=row.where)
        return json.dumps(row.columns[self._config.column], sort_keys=True)

    def _lot(self, group: str) -> str:
        """A number drawn for the group: the same in every run, and whatever other groups there are."""
        return hashlib.sha256(f"{self._config.seed} {group}".encode()).hexdigest()
