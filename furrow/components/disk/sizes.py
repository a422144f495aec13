"""Bytes for a person."""

from __future__ import annotations

GIB = 1 << 30


def readable(size: float) -> str:
    """In decimal units, as shops and the hub count: `6.4 GB`, `512 MB`, `3 kB`."""
    for unit, factor, digits in (("TB", 1e12, 1), ("GB", 1e9, 1), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if size >= factor:
            return f"{size / factor:,.{digits}f} {unit}"
    return f"{size:.0f} bytes"
