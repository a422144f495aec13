"""What YAML reads as something else than it looks like, and files made to hurt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.errors import FurrowError
from furrow.strategies import source
from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load_all
from furrow.strategies.source import read_text


@pytest.mark.parametrize("written", ["1e-4", "1E-4", "0.0001", "1.0e-4", "0.1e-3"])
def test_every_way_to_write_a_small_number_is_that_number(written, load_text):
    config = load_text(f"a: {{training_args: {{learning_rate: {written}}}}}").strategy.fine_tuner.config
    assert config.training_args.learning_rate == 1e-4


@pytest.mark.parametrize("no", ["no", "'no'", "No", "off", "false"])
def test_no_is_the_word_where_a_choice_is_called_no(no, load_text):
    config = load_text(
        f"a: {{training_args: {{eval_strategy: {no}, save_strategy: {no}}}, optimization: {{mixed_precision: {no}}}}}"
    ).strategy.fine_tuner.config
    assert (config.training_args.eval_strategy, config.training_args.save_strategy) == ("no", "no")
    assert config.hardware.optimization.mixed_precision == "no"


def test_a_key_written_twice_is_refused_with_both_lines(problems):
    [problem] = problems("a:\n  export: {}\n  dataset: {}\n  export: {}\n")
    assert problem == "s.yaml:4: a.export: the key is written twice, first in line 2"


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("010", "YAML reads 010 as an octal number; write 10, or '010' for text"),
        ("12:30", "YAML reads 12:30 as a number to the base 60; write '12:30' for text"),
        ("???", "a value is wanted in the place of ???"),
    ],
)
def test_a_number_that_yaml_changes_is_refused(written, what, problems):
    assert problems(f"a:\n  training_args:\n    seed: {written}\n") == [f"s.yaml:3: a.training_args.seed: {what}"]


def test_the_same_in_quotes_is_text(load_text):
    strategy = load_text("a: {name: '12:30', description: '010', export: {model_name: \"no\"}}").strategy
    assert (strategy.name, strategy.description, strategy.export.model_name) == ("12:30", "010", "no")


@pytest.mark.parametrize("key", ["1", "no", "~", "[a]", "1.5"])
def test_a_key_that_is_no_text_is_refused(key, write):
    with pytest.raises(StrategyErrors, match="is no key: a key is text, write it in quotes"):
        load_all(write(f"a:\n  {key}: x\n"))


def test_a_syntax_error_has_its_line(problems, write):
    with pytest.raises(StrategyErrors, match=r"s\.yaml:3: not valid YAML: "):
        load_all(write("a:\n  export: {to_gguf: true\n  dataset: {}\n"))


def test_no_python_object_can_be_made(write):
    with pytest.raises(StrategyErrors, match=r"the tag .* is not read; write the value without it"):
        load_all(write("a: !!python/object/apply:os.system ['true']\n"))


def test_aliases_and_merge_keys_work(load_text):
    strategy = load_text("""
        a:
          dataset: &files {train_file: t.jsonl, eval_split: 0.2}
        b:
          dataset: {<<: *files, eval_split: 0.1}
    """).strategy
    assert strategy.dataset.eval_split == 0.2


def test_a_merged_key_is_blamed_where_it_was_written(write):
    with pytest.raises(StrategyErrors) as refused:
        load_all(write("a:\n  export: &e\n    to_gguff: true\nb:\n  export: {<<: *e}\n"))
    assert {problem.place.line for problem in refused.value.problems} == {3}


def test_an_alias_bomb_is_refused_before_it_is_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(StrategyErrors, match="more than 5000 values"):
        read_text("\n".join(lines), "bomb.yaml")


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: " + "[" * 200 + "]" * 200])
def test_endless_and_deep_nesting_is_refused(text):
    with pytest.raises(StrategyErrors, match="nested deeper than 24 levels"):
        read_text(text, "deep.yaml")


def test_a_large_file_is_refused_unread(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (source.MAX_BYTES + 1))
    with pytest.raises(FurrowError, match="at most 256 KiB"):
        load_all(path)


SCALARS = st.sampled_from(
    [
        "no",
        "1e-4",
        "5-10",
        "${a}",
        "${oc.env:HF_TOKEN}",
        "'x'",
        "[1, {b: 2}]",
        "{}",
        "null",
        "-",
        "&a x",
        "*a",
        "|",
        "'",
    ]
)
KEYS = st.sampled_from(
    [
        "name",
        "extends",
        "components",
        "dataset",
        "training_args",
        "method",
        "hardware",
        "base_model",
        "type",
        "config",
        "prompt_template",
        "format",
        "eval_split",
        "report_to",
        "bf16",
        "key",
        "strategies",
        "version",
        "export",
        "generation",
        "objective",
        "fine_tuner",
        "splitter",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=12))
def test_no_input_brings_anything_but_a_strategy_or_an_error_that_can_be_mended(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("any") / "s.yaml"
    path.write_text("a: " + _flow(body))
    try:
        load_all(path)
    except FurrowError as error:
        assert error.exit_code == 2
        assert str(error)


def _flow(body):
    if isinstance(body, dict):
        return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in body.items()) + "}"
    return body
