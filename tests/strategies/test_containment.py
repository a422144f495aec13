"""What a strategy may name: names that are names, and a run folder that does not climb out."""

from __future__ import annotations

import pytest

from furrow.components.errors import FurrowError
from furrow.stages.run.folder import RunFolder
from furrow.strategies.containment import refuse_climbing_out


@pytest.mark.parametrize("key", ["export: {model_name: ", "monitoring: {project: ", "monitoring: {run_name: "])
@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "~/x", "--overwrite", ".bashrc", "..", "x\\y", '"a\\nb"', '"\\e[2J"', "a" * 101]
)
def test_a_name_that_is_none_is_refused_at_its_place(key, name, problems):
    [problem] = problems(f"a:\n  {key}{name}}}\n")
    assert problem.startswith(f"s.yaml:2: {key[:-2].replace(': {', '.')}: ")


@pytest.mark.parametrize("name", ["almanac", "me/almanac:latest", "Größe 2", "llama3.2-medical", "host:80/me/x", "a&b"])
def test_names_in_use_stay_allowed(name, load_text):
    assert load_text(f"a: {{export: {{model_name: '{name}'}}}}").strategy.model_name == name


@pytest.mark.parametrize("place", ["../x", "runs/../../x", "~/../x"])
def test_a_file_cannot_lead_a_run_out_of_the_working_directory(place, load_text):
    loaded = load_text(f"a: {{training_args: {{output_dir: '{place}'}}}}")  # may be read: --output-dir may have said it
    with pytest.raises(FurrowError, match=r"s\.yaml:1: training_args\.output_dir: leads out of the folder"):
        refuse_climbing_out(loaded.strategy, loaded.body)


@pytest.mark.parametrize("place", ["runs/a", "/data/runs/a", "~/runs/a", "./a", "a..b"])
def test_other_places_are_the_writers_to_choose(place, load_text):
    loaded = load_text(f"a: {{training_args: {{output_dir: '{place}'}}}}")
    refuse_climbing_out(loaded.strategy, loaded.body)


def test_the_command_line_may_lead_anywhere(load_text):
    loaded = load_text("a: {training_args: {output_dir: ../x}}", ["training_args.output_dir=../y"])
    refuse_climbing_out(loaded.strategy, loaded.body)
    assert str(loaded.strategy.output_dir) == "../y"


@pytest.mark.parametrize("key", ["training_args: {output_dir: ", "dataset: {train_file: ", "method: {init_from: "])
@pytest.mark.parametrize("path", ['"a\\0b"', '"a\\nb"', "a" * 300, "a/" * 3000])
def test_a_path_that_no_system_has_is_refused(key, path, problems):
    [problem] = problems(f"a: {{{key}{path}}}}}")
    assert "a path has" in problem


def test_a_home_folder_of_nobody_is_refused(problems):
    [problem] = problems("a: {training_args: {output_dir: ~nobody-of-that-name/x}}")
    assert "there is no home folder for ~nobody-of-that-name" in problem


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "checkpoints", "exports", ".earlier", "strategy.yaml"])
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_written_through_a_link_in_a_run_folder(name, there, tmp_path):
    kept, run = tmp_path / "kept", tmp_path / "run"
    run.mkdir()
    if there:
        kept.write_text("mine")
    (run / name).symlink_to(kept)
    with pytest.raises(FurrowError, match="holds links where Furrow writes"), RunFolder(run).claim(overwrite=True):
        pass
    assert kept.read_text() == "mine" if there else not kept.exists()


@pytest.mark.parametrize("name", ["strategies", "version"])
def test_a_strategy_is_not_called_as_the_words_of_the_file(name, problems):
    [problem] = problems(f"strategies: {{{name}: {{}}}}")
    assert "is a word of the file's own form" in problem
