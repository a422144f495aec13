"""What a hostile text may cost: a second of computing and 200 MB, measured in a process of its own for each.

The dearest of them are tried here, with FURROW_FUZZ in the environment all; the watch of the payloads tries the others.

On a machine that does something else the bound is three seconds: two threads of one core take each other's time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from furrow.components.errors import FurrowError
from tests.faults.hostile import strategies, templates
from tests.faults.hostile.payload import Payload

SECONDS, BYTES = (1.0 if "FURROW_FUZZ" in os.environ else 3.0), 200 << 20
ROOT = Path(__file__).parents[2]


def measured(payloads: list[Payload]) -> dict[str, tuple[float, int]]:
    """Seconds of computing and bytes that each took in a fork of this process, which has imported what is needed."""
    found = {}
    for payload in payloads:
        child = os.fork()
        if child == 0:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    os.chdir(folder)
                    payload.attempt(Path(folder), Path(folder, "marker"))
                except FurrowError:
                    pass
                except BaseException:
                    os._exit(1)
            os._exit(0)
        _, status, used = os.wait4(child, 0)
        assert status == 0, payload.name
        found[payload.name] = (used.ru_utime + used.ru_stime, used.ru_maxrss << 10)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("topic", ["strategies", "templates"])
def test_no_hostile_text_costs_more_than_a_second_and_200_mb(topic):
    """In a fresh interpreter: this one may have imported torch, and a fork has its memory."""
    command = [sys.executable, "-m", "tests.faults.test_bounds", topic]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    seconds = SECONDS if topic == "strategies" else 3.0  # as long as a conversation may need
    assert len(found) > 10
    assert not {name: used for name, used in found.items() if used[0] > seconds or used[1] > BYTES}


def main(topic: str) -> None:
    module = {"strategies": strategies, "templates": templates}[topic]
    for name in module.NEEDS:
        __import__(name)
    wanted = [each for each in module.PAYLOADS if not each.quick or "FURROW_FUZZ" in os.environ]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(measured(wanted)))


if __name__ == "__main__":
    main(sys.argv[1])
