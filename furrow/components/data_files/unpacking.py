"""gzip and zstd, unpacked as they are read: memory holds a piece, however small the archive and large its text."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from furrow.components.errors import FurrowError, RequestError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PACKED = {GZIP: "gzip", ZSTD: "zstd"}
"""How an archive begins -> what packed it."""
_WIDEST = 128 << 20
"""Bytes that a zstd archive may refer back to (`--long=27`), all of them held in memory."""
_FED = 512
"""Bytes that zstd is handed at a time. Its densest block has 4 bytes for 128 KiB: 16 MiB at the worst come back."""
_AT_LEAST = 64 << 10
"""Bytes that one call gives where there are so many: zstd comes in small pieces."""


class Unpacked(io.RawIOBase):
    """The bytes behind an archive, which the caller has recognised by its beginning and opened at it."""

    def __init__(self, file: BinaryIO, path: Path, kind: str) -> None:
        self._file, self._path, self._kind = file, path, kind
        self._count, self._lines = 0, 1
        self._failed: Exception | None = None
        self._more: Callable[[int], bytes | memoryview] = (
            gzip.GzipFile(fileobj=file).read1 if kind == "gzip" else _Zstd(file).read
        )

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """Bytes unpacked so far."""
        return self._count

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Raises RequestError with the line where a damaged archive cannot be read any further."""
        into, count = memoryview(buffer), 0
        while count < min(len(into), _AT_LEAST) and self._failed is None:
            try:
                data = self._more(len(into) - count)
            except (OSError, EOFError, ValueError, zlib.error) as error:
                self._failed = error
                break
            if not data:
                break
            into[count : count + len(data)] = data
            count += len(data)
        self._lines += bytes(into[:count]).count(b"\n")
        if self._failed is not None and not count:  # what came before the damage is handed out first
            wrong = "ends too early" if isinstance(self._failed, EOFError) else "is damaged"
            raise RequestError(
                f"the {self._kind} archive {wrong} ({self._count:,} bytes could be unpacked): {self._failed}",
                where=f"{self._path}:{self._lines}",
                remedy="copy or download it again",
            ) from self._failed
        self._count += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Zstd:
    """Frame after frame. The library's own stream ends without a word where an archive was cut off."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import zstandard
        except ModuleNotFoundError as error:
            raise FurrowError(
                "to read zstd the package 'zstandard' is wanted",
                remedy="pip install 'furrow[zstd]', or unzstd it first",
            ) from error
        self._file, self._error = file, zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor(max_window_size=_WIDEST)
        self._frame = self._frames.decompressobj()
        self._fed, self._ready = b"", memoryview(b"")
        self._is_open = False

    def read(self, size: int) -> bytes | memoryview:
        while not self._ready:
            self._fed = self._fed or self._file.read(_FED)
            if not self._fed:
                if self._is_open:
                    raise EOFError("the last frame is not complete")
                return b""
            try:
                self._is_open = True
                self._ready = memoryview(self._frame.decompress(self._fed))
            except self._error as error:
                raise ValueError(str(error)) from error
            self._fed = self._frame.unused_data
            if self._frame.eof:
                self._frame, self._is_open = self._frames.decompressobj(), False
        data, self._ready = self._ready[:size], self._ready[size:]
        return data
