"""Parquet, a few rows at a time: memory holds pages, not row groups."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from furrow.components.data_files.opening import AT_ONCE, PARQUET, beginning, open_bytes, read
from furrow.components.data_files.unpacking import Unpacked
from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.arrow_rows import ROWS, rows_of, verified_columns
from furrow.components.dataset_reader.parquet.component import ParquetConfig
from furrow.components.errors import RequestError
from furrow.components.records import Row

_BUFFERED = 1 << 20
"""Bytes of one column that are read ahead."""
_TIMES, _AT_LEAST = 16, 64 << 20
"""How much larger than its archive the table may be, or in bytes: its pages are packed already, so that an archive
around them saves a few percent."""


class ParquetTable:
    """Reads the columns that are wanted, `where` = file:row, the rows counted from 1."""

    def __init__(self, config: ParquetConfig) -> None:
        self._columns = config.columns

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every row. Raises RequestError for what is no Parquet, or a damaged one, with the row before which it is."""
        number = 0
        try:
            with (
                _opened(path) as bare,
                pq.ParquetFile(bare, buffer_size=_BUFFERED, pre_buffer=False, page_checksum_verification=True) as file,
            ):
                columns = verified_columns(file.schema_arrow.names, self._columns, str(path))
                for batch in file.iter_batches(ROWS, columns=columns):
                    yield from rows_of(batch.select(columns), str(path), number + 1, "parquet")
                    number += len(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise RequestError(
                f"the Parquet file cannot be read: {reason}",
                where=f"{path}:{number + 1}",
                remedy="copy or download it again",
            ) from error
        if not number:
            raise RequestError("the file holds no rows", where=str(path))


@contextmanager
def _opened(path: Path) -> Iterator[Path | BinaryIO]:
    """The file, or what its archive holds, in a temporary file: Parquet is read from its end."""
    with open_bytes(path) as file:
        if not beginning(file, path).startswith(PARQUET):
            raise RequestError(
                "the file is no Parquet", where=str(path), remedy="name it for what it is, e.g. .jsonl or .csv"
            )
        if not isinstance(file.raw, Unpacked):
            yield path
            return
        most = max(_AT_LEAST, _TIMES * path.stat().st_size)
        with tempfile.TemporaryFile(prefix="furrow-parquet-") as unpacked:
            while piece := read(file, AT_ONCE, path):
                unpacked.write(piece)
                if unpacked.tell() > most:
                    raise RequestError(
                        f"the table is more than {most >> 20:,} MiB, and its archive {path.stat().st_size:,} bytes",
                        where=str(path),
                        remedy="unpack it first, if it can be meant",
                    )
            unpacked.seek(0)
            yield unpacked
