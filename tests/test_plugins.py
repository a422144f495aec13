"""Components of other packages: really installed, found by their entry points, and only as harmful as their use."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parent / "plugins"
PAGE = Path(__file__).parents[1] / "docs" / "components.md"

ROWS = [
    {"prompt": f"{crop} {number}?", "completion": "yes", "crop": crop} for crop in "abcdefghij" for number in range(4)
]

LOAD_ROWS = """
import json, sys
from pathlib import Path
from furrow.stages.data.rows import load_rows
from furrow.strategies.files import load
rows = load_rows(load("grouped", Path(sys.argv[1])), lambda event: None)
print(json.dumps([[dict(row.columns) for row in side] for side in (rows.train, rows.evaluation)]))
"""
"""What `train` does with the data before the model comes in."""

STRATEGIES = """\
plain:
  dataset: {train_file: rows.jsonl, eval_split: 0.25}
grouped:
  dataset:
    train_file: %s
    eval_split: 0.25
    splitter: {type: by_group, column: crop}
"""


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Path]]:
    """Installs packages of tests/plugins with pip, without the network, each into a folder of its own."""

    @functools.cache
    def into_a_folder(name: str) -> Path:
        place = tmp_path_factory.mktemp(name)
        source = shutil.copytree(PLUGINS / name, place / "source")  # pip builds in place
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        alone = ["--no-index", "--no-deps", "--no-build-isolation", "--target", place / "site"]
        subprocess.run([*pip, *alone, source], check=True)
        return place / "site"

    return lambda *names: [into_a_folder(name) for name in names]


@pytest.fixture
def strategy_file(tmp_path: Path) -> Path:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    file = tmp_path / "strategies.yaml"
    file.write_text(STRATEGIES % data)
    return file


def test_an_installed_component_is_listed_with_its_package(install, fresh_python):
    ended = fresh_python("cli.py", "components", "list", path=install("by_group"))
    assert ended.code == 0
    summary = "keeps rows with the same value in a column on one side of the split"
    assert f"dataset_splitter\tby_group\tfurrow-by-group\t{summary}\n" in ended.out


def test_a_strategy_that_names_it_is_split_by_it(install, fresh_python, strategy_file):
    ended = fresh_python("-c", LOAD_ROWS, strategy_file, path=install("by_group"))
    assert ended.code == 0, ended.err
    train, evaluation = json.loads(ended.out)
    crops = Counter(row["crop"] for row in evaluation)
    assert list(crops.values()) == [4, 4]  # 25 % of 40 rows is 10, and two whole groups of 4 fit
    assert not crops.keys() & {row["crop"] for row in train}
    assert [row for row in ROWS if row["crop"] not in crops] == train


def test_its_settings_are_verified_like_built_in_ones(install, fresh_python, strategy_file):
    strategy_file.write_text(strategy_file.read_text().replace("column: crop", "colum: crop"))
    ended = fresh_python("cli.py", "strategies", "validate", strategy_file, path=install("by_group"))
    assert ended.code == 2
    assert f"{strategy_file}:7: dataset.splitter.colum: is not known; did you mean 'column'?" in ended.err


def test_its_settings_are_in_the_schema(install, fresh_python):
    ended = fresh_python("cli.py", "strategies", "schema", path=install("by_group"))
    assert "Rows with the same value in this column stay together" in ended.out


def test_without_the_package_the_error_names_what_there_is(fresh_python, strategy_file):
    ended = fresh_python("cli.py", "strategies", "validate", strategy_file)
    assert ended.code == 2
    assert f"{strategy_file}:7: dataset.splitter.type: there is no dataset_splitter of type 'by_group'" in ended.err
    assert "random" in ended.err


def test_a_broken_package_fails_only_the_strategy_that_names_it(install, fresh_python, strategy_file):
    text = strategy_file.read_text() + "hurt:\n  dataset:\n    splitter: {type: broken}\n"
    strategy_file.write_text(text)
    site = install("by_group", "broken")
    for name in ("plain", "grouped"):
        ended = fresh_python("cli.py", "strategies", "show", name, "--strategy-file", strategy_file, path=site)
        assert ended.code == 0, ended.err
    ended = fresh_python("cli.py", "strategies", "show", "hurt", "--strategy-file", strategy_file, path=site)
    assert ended.code == 2
    assert f"{strategy_file}:10: dataset.splitter.type: " in ended.err
    assert "package furrow-broken cannot be loaded: ImportError: cannot import name 'ConfigOfLastYear'" in ended.err
    assert "Traceback" not in ended.err


def test_a_broken_package_is_listed_with_the_reason_and_hides_no_other(install, fresh_python):
    ended = fresh_python("cli.py", "components", "list", path=install("by_group", "broken"))
    assert ended.code == 0
    assert re.search(r"^dataset_splitter\tbroken\tfurrow-broken\tunusable: .*ConfigOfLastYear", ended.out, re.MULTILINE)
    assert "dataset_splitter\tby_group\tfurrow-by-group\tkeeps rows" in ended.out


def test_two_claims_to_one_name_name_both_packages(install, fresh_python, strategy_file):
    site = install("by_group", "rival")
    ended = fresh_python("cli.py", "strategies", "show", "grouped", "--strategy-file", strategy_file, path=site)
    assert ended.code == 2
    assert "dataset_splitter type 'by_group' is claimed by furrow-by-group and furrow-rival" in ended.err
    ended = fresh_python("cli.py", "strategies", "show", "plain", "--strategy-file", strategy_file, path=site)
    assert ended.code == 0, ended.err


def test_the_page_shows_the_very_files_of_the_package():
    shown = re.findall(
        r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    package = PLUGINS / "by_group"
    files = [package / "pyproject.toml", *sorted((package / "furrow_by_group").glob("[!_]*.py"))]
    assert dict(shown) == {str(file.relative_to(package)): file.read_text(encoding="utf-8") for file in files}
