"""Every regular expression of Furrow goes through a long hostile text in a time that grows with its length only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LENGTH = 8_000
SECONDS = 0.25
"""Of computing, for one text: what is linear takes a millisecond, what grows with the square half a second."""
SEEDS = (
    "a", "1", "0", "_", " ", "\t", "\n", "-", ".", ":", "/", "\\", "{", "}", "$", "%", "(", "<", "[", "`", "#", '"',
    "*", "-eyJ", "eyJ.", "1-", ":1", "1_", "1.", "${", "\\${", "%(", "%(a", "{a:", "<a", "a.", "a/", "://", "://a:",
    "'", "hf_", "sk-", "KEY_", "step-0", "\r\n", "\x1b[", "\x85", "é", "a=", ", ", "//",
)  # fmt: skip
ENDS = ("", "!", "\x00")
ALONG = ("search", "findall", "finditer", "sub", "split")
"""They try at every place of the text; `match` and `fullmatch` at its beginning."""


def patterns() -> Iterator[tuple[str, re.Pattern[str], bool]]:
    """(place, pattern, whether it is looked for) of every pattern that is written out in one piece."""
    for file in sorted((ROOT / "furrow").rglob("*.py")):
        source = file.read_text("utf-8")
        tree = ast.parse(source)
        names = {
            id(node.value): ast.unparse(node.targets[0]) for node in ast.walk(tree) if isinstance(node, ast.Assign)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args:
                written, how = node.args[0], ast.unparse(node.func).removeprefix("re.")
                if how in ("compile", "match", "fullmatch", *ALONG) and isinstance(written, ast.Constant):
                    name = names.get(id(node), "")
                    searched = how in ALONG or any(name and f"{name}.{method}(" in source for method in ALONG)
                    flags = re.IGNORECASE if "IGNORECASE" in ast.unparse(node) else 0
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", re.compile(written.value, flags), searched


def slow() -> Iterator[str]:
    for place, pattern, searched in patterns():
        for text in (seed * (LENGTH // len(seed)) + end for seed in SEEDS for end in ENDS):
            began = time.process_time()
            pattern.fullmatch(text)
            pattern.match(text)
            for _ in pattern.finditer(text) if searched else ():
                pass
            if (spent := time.process_time() - began) > SECONDS:
                yield f"{place}: {pattern.pattern!r} took {spent:.1f} s over {text[:12]!r}…{text[-2:]!r}"
                break


def test_no_regular_expression_takes_a_time_that_grows_with_the_square():
    """In a process of its own, because one that is at it does not answer."""
    command = [sys.executable, "-m", "tests.faults.test_regular_expressions"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""


def test_every_pattern_is_found():
    assert len(list(patterns())) > 40


if __name__ == "__main__":
    for line in slow():
        print(line, flush=True)
