"""Rows of an Arrow table: column by column, since that is what takes a microsecond a row and not ten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.dataset_reader.plain_values import as_json
from furrow.components.dataset_reader.strict_json import Refused
from furrow.components.errors import RequestError, did_you_mean, shortened
from furrow.components.records import Row

ROWS = 1000
"""Rows that are in memory at a time."""
REMEDY = "read only columns that are text or numbers: `dataset.reader: {type: %s, columns: [prompt, completion]}`"
_PLAIN = (pa.types.is_null, pa.types.is_boolean, pa.types.is_integer)
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
_WRITTEN = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp, pa.types.is_decimal)
_NESTED = (pa.types.is_nested,)


def rows_of(batch: pa.RecordBatch, source: str, first: int, reader: str) -> Iterator[Row | BadRow]:
    """Every row of the batch, `where` = source:row, the rows counted from `first`; `reader` is the reader's type."""
    wrong: dict[int, str] = {}
    columns = []
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        values, refused = _values(array)
        columns.append(values)
        for place, what in refused.items():
            wrong.setdefault(place, f"column {shortened(name)!r} {what}")
    names = batch.schema.names
    for place, row in enumerate(zip(*columns, strict=True)):
        where = f"{source}:{first + place}"
        if place in wrong:
            text = str({name: value for name, value in zip(names, row, strict=True) if value is not None})
            yield BadRow(wrong[place], where, REMEDY % reader, text[:TEXT_KEPT])
        else:
            yield Row(dict(zip(names, row, strict=True)), where)


def verified_columns(there: list[str], wanted: tuple[str, ...], where: str) -> list[str]:
    """The columns to read. Raises RequestError for one that is not there, and for a name that two columns have."""
    for name in wanted:
        if name not in there:
            raise RequestError(
                f"there is no column {shortened(name)!r}", where=where, remedy=did_you_mean(name, there[:100])
            )
    chosen = list(wanted or there)
    if twice := next((name for name in chosen if there.count(name) > 1), None):
        raise RequestError(f"two columns have the name {shortened(twice)!r}", where=where)
    return chosen


def _values(array: pa.Array) -> tuple[list[Any], dict[int, str]]:
    """The values as JSON has them; for those that it does not have, place -> what is wrong."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if _is(kind, _PLAIN):
        return array.to_pylist(), {}
    try:
        if pa.types.is_floating(kind):
            return _checked(array.to_pylist(), array, pc.is_finite)
        if _is(kind, (*_TEXTS, *_BYTES)):
            text = array if _is(kind, _TEXTS) else array.cast(pa.large_binary()).cast(pa.large_string())
            return _checked(text.to_pylist(), text, lambda found: pc.invert(pc.match_substring(found, "\0")))
        if _is(kind, _WRITTEN):
            return array.cast(pa.string()).to_pylist(), {}
    except (pa.ArrowException, UnicodeDecodeError):
        pass  # one of them is wrong: which one is found below
    if _is(kind, (*_NESTED, *_TEXTS, *_BYTES, *_WRITTEN)) or pa.types.is_floating(kind):
        return _one_by_one(array)
    return [None] * len(array), {
        place: f"is {kind}, which JSON does not have" for place in range(len(array)) if array[place].is_valid
    }


def _checked(
    values: list[Any], array: pa.Array, good: Callable[[pa.Array], pa.Array]
) -> tuple[list[Any], dict[int, str]]:
    found = good(array)
    if pc.all(found, min_count=0).as_py():  # null counts as good
        return values, {}
    return _refused(values)


def _one_by_one(array: pa.Array) -> tuple[list[Any], dict[int, str]]:
    values, wrong = [], {}
    for place in range(len(array)):
        value = None
        try:
            value = as_json(array[place].as_py())
        except Refused as error:
            wrong[place] = str(error)
        except UnicodeDecodeError:
            wrong[place] = "is not UTF-8"
        except (ValueError, pa.ArrowException) as error:
            wrong[place] = f"cannot be read: {error}"
        values.append(value)
    return values, wrong


def _refused(values: list[Any]) -> tuple[list[Any], dict[int, str]]:
    wrong = {}
    for place, value in enumerate(values):
        try:
            as_json(value)
        except Refused as error:
            values[place], wrong[place] = None, str(error)
    return values, wrong


def _is(kind: pa.DataType, tests: tuple[Callable[[pa.DataType], bool], ...]) -> bool:
    return any(test(kind) for test in tests)
