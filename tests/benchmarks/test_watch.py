import os
import sys

from benchmarks.systems import Mark
from benchmarks.watch import watch

CHILD = """
import subprocess, sys, time
print("begun", flush=True)
held = bytearray(60 << 20)
other = subprocess.Popen([sys.executable, "-c", "import time; held = bytearray(60 << 20); time.sleep(0.6)"])
time.sleep(0.3)
print("1.5\\r2.5", flush=True)
other.wait()
sys.exit(3)
"""


def read(line):
    return Mark("begun") if line == "begun" else Mark("step", float(line))


def watched(code, tmp_path, seconds=20.0):
    command = [sys.executable, "-c", code]
    return watch(command, read, folder=tmp_path, environment=os.environ, seconds=seconds, log=tmp_path / "output.log")


def test_a_process_is_measured_from_outside_with_its_children(tmp_path):
    seen = watched(CHILD, tmp_path)
    assert seen.exit_code == 3
    assert seen.losses == [1.5, 2.5]
    assert 0.3 <= seen.train_seconds <= seen.first_step_seconds <= seen.seconds
    assert seen.peak_bytes > 120 << 20
    assert (tmp_path / "output.log").read_text() == "begun\n1.5\n2.5\n"


def test_a_process_that_takes_too_long_is_ended(tmp_path):
    seen = watched("import time; time.sleep(30)", tmp_path, seconds=0.3)
    assert seen.exit_code < 0
    assert seen.seconds < 10
    assert seen.first_step_seconds is None
