"""A template of another package: the one that docs/components.md shows, installed and used."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "plugins" / "interview"
PAGE = Path(__file__).parents[1] / "docs" / "components.md"

RENDER = """
import sys, types
from pathlib import Path
from furrow.components.records import Row
from furrow.stages import wire
from furrow.strategies.files import load
facts = types.SimpleNamespace(chat_template=None, bos_token=None, eos_token="</s>")
template = wire.prompt_template(load("asked", Path(sys.argv[1])).strategy, facts)
row = Row({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}] * 2}, "a:1")
print([tuple(segment)[:2] for segment in template.train_segments(row)])
print([template.prompt([{"role": "user", "content": "Why?"}]), template.go()])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package, really installed, into a folder of its own."""
    place = tmp_path_factory.mktemp("interview")
    source = shutil.copytree(PACKAGE, place / "source")  # pip builds in place
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--target", place / "site"]
    subprocess.run([*pip, *alone, source], check=True)
    return [place / "site"]


@pytest.fixture
def strategy_file(tmp_path):
    file = tmp_path / "strategies.yaml"
    file.write_text("asked:\n  prompt_template: {type: interview, system: A gardener is asked.}\n")
    return file


def test_a_template_of_another_package_is_rendered_trained_and_exported(site, fresh_python, strategy_file):
    ended = fresh_python("-c", RENDER, strategy_file, path=site)
    assert ended.code == 0, ended.err
    segments, texts = ended.out.splitlines()
    assert segments == str(
        [
            ("A gardener is asked.\n", False),
            ("Q. Why?\nA.", False),
            (" So.", True),
            ("", True),
            ("\nQ. Why?\nA.", False),
            (" So.", True),
            ("", True),
        ]
    )
    assert texts == str(
        [
            "A gardener is asked.\nQ. Why?\nA.",
            "{{ if .System }}{{ .System }}\n{{ end }}{{ range .Messages }}"
            '{{ if eq .Role "user" }}Q. {{ .Content }}\nA.{{ else if eq .Role "assistant" }} {{ .Content }}</s>\n'
            "{{ end }}{{ end }}",
        ]
    )


def test_its_settings_are_verified_like_built_in_ones(site, fresh_python, strategy_file):
    strategy_file.write_text(strategy_file.read_text().replace("system:", "sytem:"))
    ended = fresh_python("cli.py", "strategies", "validate", strategy_file, path=site)
    assert ended.code == 2
    assert f"{strategy_file}:2: prompt_template.sytem: is not known; did you mean 'system'?" in ended.err


def test_the_page_shows_the_very_files_of_the_package():
    page = PAGE.read_text("utf-8")
    for file, language in (("furrow_interview.py", "python"), ("pyproject.toml", "toml")):
        assert f", `{file}`:\n\n```{language}\n{(PACKAGE / file).read_text('utf-8')}```" in page
