"""Every method through the whole line: what docs/methods.md says it can do, it does, and the rest is refused."""

from __future__ import annotations

import importlib.util

import pytest

from furrow.components.fine_tuner.pytorch.method import METHODS

QUICK = {"lora", "qlora", "prompt"}
"""One that is merged, one whose base is quantised, one that stands before the text; the others are slow tests."""


@pytest.fixture(scope="session")
def tool(pytestconfig):
    path = pytestconfig.rootpath / "tools" / "method_grid.py"
    spec = importlib.util.spec_from_file_location("method_grid", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def documented(pytestconfig, tool):
    """Method -> action -> whether the table says yes."""
    text = (pytestconfig.rootpath / "docs" / "methods.md").read_text(encoding="utf-8")
    [table] = [part for part in text.split("\n\n") if part.startswith("| method |")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0][1:] == list(tool.ACTIONS)
    return {
        row[0].strip("`"): dict(zip(tool.ACTIONS, [cell == "yes" for cell in row[1:]], strict=True)) for row in rows[2:]
    }


@pytest.fixture(scope="session")
def base(tool, tmp_path_factory):
    return tool.tiny_model(tmp_path_factory.mktemp("grid"))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_a_method_can_do_what_the_table_says(name, tool, documented, base, tmp_path):
    found = tool.examine(name, base, tmp_path)
    assert found == documented[name]
    assert found["train"] and found["resume"] and found["complete"]


def test_the_table_has_every_method_and_what_it_refuses_is_refused_before_training(documented, tool, pytestconfig):
    assert documented.keys() == METHODS.keys()
    exporters = {"merge": "merged", "gguf": "gguf", "gguf-adapter": "gguf-adapter"}
    for name, row in documented.items():
        refused = METHODS[name]().not_exported()
        assert {exporter: exporter in refused for exporter in exporters.values()} == {
            exporter: not row[action] for action, exporter in exporters.items()
        }
    page = (pytestconfig.rootpath / "docs" / "methods.md").read_text(encoding="utf-8")
    assert page == tool.page(documented)
