"""What a command imports, seen from a fresh interpreter. benchmarks/startup.py says what it costs in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "datasets", "llama_cpp", "peft", "accelerate", "gguf", "matplotlib"}

WATCH = """
import json, sys
before = set(sys.modules)
from furrow.cli import main
try:
    main(sys.argv[2:])
except SystemExit as ended:
    code = ended.code or 0
imported = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
open(sys.argv[1], "w").write(json.dumps({"code": code, "imported": sorted(imported)}))
"""


@pytest.fixture
def watched(fresh_python, tmp_path):
    """Runs a command; gives its exit code and the packages beyond the standard library that it imported."""

    def run(*arguments: str | Path) -> tuple[int, set[str]]:
        record = tmp_path / "imported.json"
        ended = fresh_python("-c", WATCH, record, *arguments)
        assert record.exists(), ended.err
        seen = json.loads(record.read_text())
        return seen["code"], set(seen["imported"])

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["strategies", "--help"],
        ["data", "--help"],
        ["data", "inspect", "--help"],
        ["--version"],
    ],
)
def test_help_imports_click_and_nothing_else(watched, arguments):
    assert watched(*arguments) == (0, {"click", "furrow"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["strategies", "list"],
        ["strategies", "show", "demo_almanac"],
        ["strategies", "validate", "demos/strategies.yaml"],
        ["strategies", "schema"],
        ["components", "list"],
    ],
)
def test_strategies_and_components_import_nothing_heavy(watched, arguments):
    code, imported = watched(*arguments)
    assert code == 0
    assert not imported & HEAVY


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--strategy", "demo_almanac", "--set", "method.rnk=4"], 2),
        (["setup", "--strategy", "demo_almanax", "--verify-only"], 2),
        (["complete", "hello", "--strategy", "demo_almanac", "--set", "training_args.output_dir=no/such/run"], 1),
        (["convert", "no/such/model", "out", "--format", "gguf"], 2),
    ],
)
def test_a_request_that_is_refused_is_refused_before_anything_heavy_is_imported(watched, arguments, expected):
    code, imported = watched(*arguments)
    assert code == expected
    assert not imported & HEAVY


def test_split_reads_rows_without_anything_heavy(watched, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "{number}?", "completion": "{number}"}}\n' for number in range(20)))
    code, imported = watched("split", "--input", rows, "--eval-percent", "10")
    assert code == 0
    assert not imported & HEAVY


@pytest.mark.parametrize("strategy", [[], ["--strategy", "demo_almanac"]], ids=["file", "strategy"])
def test_data_are_inspected_without_anything_heavy(watched, tmp_path, strategy):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "{number}?", "completion": "It is {number}."}}\n' for number in range(20)))
    code, imported = watched("data", "inspect", "--train-dataset", rows, *strategy)
    assert code == 0
    assert not imported & HEAVY
