"""When something happened, as text: UTC, to the second."""

from __future__ import annotations

import datetime


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
