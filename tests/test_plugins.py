"""Components of other packages: really installed, found by their entry points, and only as harmful as their use."""

from __future__ import annotations

import functools
import gzip
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
    splitter: {type: last_of_each, column: crop}
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
    ended = fresh_python("cli.py", "components", "list", path=install("last_of_each"))
    assert ended.code == 0
    summary = "evaluates on the last row of each value in a column"
    assert f"dataset_splitter\tlast_of_each\tfurrow-last-of-each\t{summary}\n" in ended.out


def test_a_strategy_that_names_it_is_split_by_it(install, fresh_python, strategy_file):
    ended = fresh_python("-c", LOAD_ROWS, strategy_file, path=install("last_of_each"))
    assert ended.code == 0, ended.err
    train, evaluation = json.loads(ended.out)
    crops = Counter(row["crop"] for row in evaluation)
    assert list(crops.values()) == [1] * 10  # 25 % of 40 rows is 10, and there are 10 crops
    assert {row["prompt"][2:] for row in evaluation} == {"3?"}  # the last of four
    assert [row for row in ROWS if row not in evaluation] == train


def test_its_settings_are_verified_like_built_in_ones(install, fresh_python, strategy_file):
    strategy_file.write_text(strategy_file.read_text().replace("column: crop", "colum: crop"))
    ended = fresh_python("cli.py", "strategies", "validate", strategy_file, path=install("last_of_each"))
    assert ended.code == 2
    assert (
        f"{strategy_file}:7: strategy grouped: dataset.splitter.colum: is not known; did you mean 'column'?"
        in ended.err
    )


def test_its_settings_are_in_the_schema(install, fresh_python):
    ended = fresh_python("cli.py", "strategies", "schema", path=install("last_of_each"))
    assert "the last row that has it is one to evaluate on" in ended.out


def test_without_the_package_the_error_names_what_there_is(fresh_python, strategy_file):
    ended = fresh_python("cli.py", "strategies", "validate", strategy_file)
    assert ended.code == 2
    what = "dataset.splitter.type: there is no dataset_splitter of type 'last_of_each'"
    assert f"{strategy_file}:7: strategy grouped: {what}" in ended.err
    assert "random" in ended.err


def test_a_broken_package_fails_only_the_strategy_that_names_it(install, fresh_python, strategy_file):
    text = strategy_file.read_text() + "hurt:\n  dataset:\n    splitter: {type: broken}\n"
    strategy_file.write_text(text)
    site = install("last_of_each", "broken")
    for name in ("plain", "grouped"):
        ended = fresh_python("cli.py", "strategies", "show", name, "--strategy-file", strategy_file, path=site)
        assert ended.code == 0, ended.err
    ended = fresh_python("cli.py", "strategies", "show", "hurt", "--strategy-file", strategy_file, path=site)
    assert ended.code == 2
    assert f"{strategy_file}:10: dataset.splitter.type: " in ended.err
    assert "package furrow-broken cannot be loaded: ImportError: cannot import name 'ConfigOfLastYear'" in ended.err
    assert "Traceback" not in ended.err


def test_a_broken_package_is_listed_with_the_reason_and_hides_no_other(install, fresh_python):
    ended = fresh_python("cli.py", "components", "list", path=install("last_of_each", "broken"))
    assert ended.code == 0
    assert re.search(r"^dataset_splitter\tbroken\tfurrow-broken\tunusable: .*ConfigOfLastYear", ended.out, re.MULTILINE)
    assert "dataset_splitter\tlast_of_each\tfurrow-last-of-each\tevaluates on the last row" in ended.out


def test_two_claims_to_one_name_name_both_packages(install, fresh_python, strategy_file):
    site = install("last_of_each", "rival")
    ended = fresh_python("cli.py", "strategies", "show", "grouped", "--strategy-file", strategy_file, path=site)
    assert ended.code == 2
    assert "dataset_splitter type 'last_of_each' is claimed by furrow-last-of-each and furrow-rival" in ended.err
    ended = fresh_python("cli.py", "strategies", "show", "plain", "--strategy-file", strategy_file, path=site)
    assert ended.code == 0, ended.err


CARDS = """
import json, sys
from pathlib import Path
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.gather import Source, rows_in
from furrow.strategies.files import load
strategy, bad = load("cards", Path(sys.argv[1])).strategy, BadRows(skip=True)
source = Source("train_file", Path(strategy.dataset.train_file), strategy.dataset)
rows = [[dict(row.columns), row.where] for row in rows_in(source, bad)]
print(json.dumps([rows, [[row.where, row.what] for row in bad.found]]))
"""


def test_a_reader_of_another_package_reads_and_sets_aside(install, fresh_python, tmp_path):
    cards = tmp_path / "vocabulary.cards"
    cards.write_bytes(gzip.compress(b"Hund :: dog\n\nKatze - cat\ncaf\xe9 :: coffee\nPferd::horse"))
    file = tmp_path / "strategies.yaml"
    file.write_text(f"cards:\n  dataset: {{train_file: {cards}, reader: flashcards}}\n")
    ended = fresh_python("-c", CARDS, file, path=install("flashcards"))
    assert ended.code == 0, ended.err
    rows, bad = json.loads(ended.out)
    assert rows == [
        [{"prompt": "Hund", "completion": "dog"}, f"{cards}:1"],
        [{"prompt": "Pferd", "completion": "horse"}, f"{cards}:5"],
    ]
    assert [where for where, _ in bad] == [f"{cards}:3", f"{cards}:4"] and bad[0][1] == "there is no ::"


@pytest.mark.parametrize("name", ["last_of_each", "flashcards"])
def test_the_page_shows_the_very_files_of_the_package(name):
    page, package = PAGE.read_text(encoding="utf-8"), PLUGINS / name
    files = [package / "pyproject.toml", *sorted(package.rglob("*.py"))]
    for file in files:
        language = {".toml": "toml", ".py": "python"}[file.suffix]
        shown = f"`{file.relative_to(package)}`:\n\n```{language}\n{file.read_text(encoding='utf-8')}```"
        assert shown in page, f"{file} is not as the page shows it"
    assert len(files) > 1
