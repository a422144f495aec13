"""How many examples a fuzzing test tries: few in `make test`, FURROW_FUZZ times as many in the campaign."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FURROW_FUZZ", "1"))


def tried(examples: int) -> Callable[[Any], Any]:
    """The setting of a test that tries `examples` in `make test`."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=examples * TIMES, deadline=None, suppress_health_check=checks)
