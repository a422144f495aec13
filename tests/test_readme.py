"""What the pages say: every command they show parses, the light ones run, every strategy they name or show is valid."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from furrow.cli import cli
from furrow.components.exporter.gguf.component import GgufConfig
from furrow.components.fine_tuner.pytorch.method import METHODS, PLANNED
from furrow.strategies import files

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

LIGHT = ("strategies", "components")
"""Commands that read and print."""
GROUPS = (*LIGHT, "data")


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [str(block) for block in found]


def command_lines() -> list[list[str]]:
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def furrow_arguments() -> Iterator[list[str]]:
    """What follows `python cli.py` or `furrow`."""
    for words in command_lines():
        if words[:2] == ["python", "cli.py"]:
            yield words[2:]
        elif words[0] == "furrow":
            yield words[1:]


def other_lines() -> Iterator[list[str]]:
    return (words for words in command_lines() if words[:2] != ["python", "cli.py"] and words[0] != "furrow")


def leaves(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from leaves(command)
        else:
            yield command


def test_the_readme_shows_every_command():
    shown = {" ".join(arguments[: 2 if arguments[0] in GROUPS else 1]) for arguments in furrow_arguments()}
    there = {command for command in cli.commands if command not in GROUPS}
    there |= {f"{group} {command}" for group in GROUPS for command in cli.commands[group].commands}  # type: ignore[attr-defined]
    assert there <= shown


@pytest.mark.parametrize("arguments", list(furrow_arguments()), ids=" ".join)
def test_a_command_of_the_pages_parses(monkeypatch, arguments):
    reached: list[dict] = []
    for command in leaves(cli):
        monkeypatch.setattr(command, "callback", lambda **given: reached.append(given))
    cli.main(args=arguments, prog_name="furrow", standalone_mode=False)
    assert len(reached) == 1


@pytest.mark.parametrize("arguments", [line for line in furrow_arguments() if line[0] in LIGHT], ids=" ".join)
def test_a_light_command_of_the_pages_runs(furrow, arguments):
    ended = furrow(*arguments)
    assert ended.code == 0, ended.err
    assert ended.out


@pytest.mark.parametrize(
    "arguments", [line for line in furrow_arguments() if "--strategy" in line], ids=lambda line: " ".join(line)
)
def test_a_strategy_that_a_command_names_is_valid(arguments):
    name = arguments[arguments.index("--strategy") + 1]
    given = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--strategy-file"]
    given += arguments[1:2] if arguments[0] == "setup" else []
    file = ROOT / given[0] if given else None
    overrides = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--set"]
    assert files.load(name, file, overrides).strategy.key == name


@pytest.mark.parametrize("words", list(other_lines()), ids=" ".join)
def test_what_other_commands_name_is_there(words):
    match words:
        case ["make", target]:
            assert f"\n{target}:" in (ROOT / "Makefile").read_text()
        case ["python", script, *_]:
            assert (ROOT / script).is_file()
        case ["pip", "install", package]:
            assert (ROOT / "tests" / "plugins" / package / "pyproject.toml").is_file()
        case _:
            pytest.fail(f"nobody checks this command: {words}")


def test_the_strategy_of_the_readme_is_the_one_that_ships(tmp_path):
    [block] = blocks(README, "yaml")
    file = tmp_path / "readme.yaml"
    file.write_text(block)
    [name] = files.names(file)
    assert files.load(name, file).strategy == files.load(name).strategy


def test_the_error_of_the_readme_is_what_is_said(furrow, tmp_path, monkeypatch):
    lines = ["mine:", "  extends: demo_almanac", "  name: Mine", "", "  training_args:", "    learning_rat: 1e-4"]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    ended = furrow("strategies", "validate", "mine.yaml")
    assert [ended.err] == blocks(README, "text")


@pytest.mark.parametrize("name", sorted(files.library()))
def test_every_strategy_that_ships_is_valid_and_offered_to_the_demos(name):
    shipped = files.load(name).strategy
    assert files.load(name, ROOT / "demos" / "strategies.yaml").strategy == shipped


def test_the_readme_says_which_methods_there_are_and_which_not():
    there, _, absent = README.read_text(encoding="utf-8").partition("## What is not there yet")
    assert [name for name in METHODS if f"`{name}`" not in there] == []
    assert [name for name in PLANNED if f"`{name}`" not in absent] == []
    assert [name for name in METHODS if f"`{name}`" in absent] == []


def test_the_number_types_of_the_readme_exist():
    annotation = str(GgufConfig.model_fields["quantization"].annotation)
    named = re.findall(r"\b(?:f32|f16|bf16|i?q\d_\w+)\b", README.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if f"'{name}'" not in annotation] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`(furrow/[\w/]+\.py)`", (ROOT / "docs/architecture.md").read_text())))
)
def test_a_module_that_architecture_names_is_there(path):
    assert (ROOT / path).is_file()
