"""A split that somebody else has made: it stands in a column of the rows, or in a file of ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from furrow.components.dataset_splitter.settings import TEST, TRAIN, VALIDATION, FileConfig
from furrow.components.dataset_splitter.units import value_of
from furrow.components.errors import NAMES_SHOWN, RequestError, did_you_mean, shortened
from furrow.components.records import Row

_LEARNED, _EVALUATED, _LEFT_OUT = 0, 1, 2


class FileSplitter:
    """Does as it is told, and refuses what it does not understand."""

    def __init__(self, config: FileConfig) -> None:
        self._config = config

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """The rows that are said to be; `eval_share` means nothing."""
        return self._where(rows, _EVALUATED)

    def left_out(self, rows: Sequence[Row]) -> list[int]:
        """Rows of a third side, which is kept for later."""
        return [] if self._config.list is not None else self._where(rows, _LEFT_OUT)

    def _where(self, rows: Sequence[Row], side: int) -> list[int]:
        sides = self._by_column(rows) if self._config.list is None else self._by_list(rows, self._config.list)
        return np.flatnonzero(sides == side).tolist()

    def _by_list(self, rows: Sequence[Row], name: str) -> np.ndarray:
        wanted = _listed(Path(name).expanduser())
        sides, missing = np.zeros(len(rows), dtype=np.uint8), set(wanted)
        for number, row in enumerate(rows):
            value = str(value_of(row, self._config.by)).strip()
            if value in wanted:
                sides[number] = _EVALUATED
                missing.discard(value)
        if len(missing) == len(wanted):
            raise RequestError(
                f"no row has a value of {name} in column {self._config.by!r}",
                where="dataset.splitter.list",
                remedy=f"the first one is {shortened(next(iter(wanted)))!r}; name the column that has it as `by`",
            )
        return sides

    def _by_column(self, rows: Sequence[Row]) -> np.ndarray:
        if self._config.evaluated:
            chosen, kept = map(frozenset, self._meant({}))
            of_each = (_side(self._value(row), chosen, kept) for row in rows)
            return np.fromiter(of_each, dtype=np.uint8, count=len(rows))
        values: dict[str, int] = {}
        of_row, first = np.empty(len(rows), dtype=np.int32), []
        for number, row in enumerate(rows):
            value = self._value(row)
            if value not in values:
                if len(values) > NAMES_SHOWN:
                    raise self._unknown(value, row.where)
                values[value] = len(values)
                first.append(row.where)
            of_row[number] = values[value]
        evaluated, left_out = self._meant(values)
        sides = []
        for value, where in zip(values, first, strict=True):
            if value not in (*evaluated, *left_out, *TRAIN):
                raise self._unknown(value, where)
            sides.append(_side(value, evaluated, left_out))
        return np.array(sides, dtype=np.uint8)[of_row]

    def _value(self, row: Row) -> str:
        return str(value_of(row, self._config.by)).strip().lower()

    def _meant(self, values: dict[str, int]) -> tuple[list[str], list[str]]:
        """Values that are evaluated on, and that are left out."""
        given = [value.strip().lower() for value in self._config.evaluated]
        left_out = [value.strip().lower() for value in self._config.left_out]
        if given:
            return given, left_out
        validation = [value for value in VALIDATION if value in values]
        if validation:
            return validation, left_out or list(TEST)
        return [value for value in TEST if value not in left_out], left_out

    def _unknown(self, value: str, where: str) -> RequestError:
        allowed = (*TRAIN[:1], *VALIDATION[:1], *TEST)
        return RequestError(
            f"column {self._config.by!r} is {shortened(value)!r}, which says neither learned nor evaluated",
            where=where,
            remedy=f"{did_you_mean(value, allowed)}; or name what is evaluated on in dataset.splitter.evaluated",
        )


def _side(value: str, evaluated: Collection[str], left_out: Collection[str]) -> int:
    return _EVALUATED if value in evaluated else _LEFT_OUT if value in left_out else _LEARNED


def _listed(path: Path) -> dict[str, None]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}", where="dataset.splitter.list") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is no text in UTF-8", where="dataset.splitter.list") from error
    wanted = dict.fromkeys(line.strip() for line in lines if line.strip())
    if not wanted:
        raise RequestError(f"{path} lists nothing", where="dataset.splitter.list")
    return wanted
