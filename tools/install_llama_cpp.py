"""Installs llama-cpp-python, showing how far its compilation is: there is no wheel, and it takes minutes once."""

from __future__ import annotations

import argparse
import collections
import importlib.util
import re
import subprocess
import sys
import time

BUILD_STEP = re.compile(r"\[\s*(\d+)/(\d+)\]")
"""What ninja prints before each file: `[12/345]`."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--constraint", required=True, help="file with the tested versions")
    arguments = parser.parse_args()
    if importlib.util.find_spec("llama_cpp") is not None:
        return 0
    print(
        "installing llama-cpp-python (compiled here once, about 10 minutes on 2 cores; pip keeps the wheel)", flush=True
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--verbose",
        "--constraint",
        arguments.constraint,
        "llama-cpp-python",
    ]
    last_lines: collections.deque[str] = collections.deque(maxlen=40)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        show(pip.stdout, last_lines)
    if pip.returncode != 0:
        print("".join(last_lines), file=sys.stderr)
        print(
            "llama-cpp-python could not be built; a C++ compiler is needed (Debian: apt-get install g++)",
            file=sys.stderr,
        )
    return pip.returncode


def show(lines, last_lines: collections.deque[str]) -> None:
    """A line a percent on a pipe would be too many; one every ten seconds, or in place on a terminal."""
    started = shown = time.monotonic()
    for line in lines:
        last_lines.append(line)
        step = BUILD_STEP.search(line)
        now = time.monotonic()
        if step and (sys.stdout.isatty() or now - shown >= 10):
            shown = now
            done, total = map(int, step.groups())
            text = f"  compiling llama.cpp: {done} of {total} files, {now - started:.0f} s"
            print(f"\r{text}" if sys.stdout.isatty() else text, end="" if sys.stdout.isatty() else "\n", flush=True)
    if sys.stdout.isatty():
        print()


if __name__ == "__main__":
    sys.exit(main())
