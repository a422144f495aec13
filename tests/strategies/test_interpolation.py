"""`${…}`: references within a strategy and to the environment, and what may not be referred to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from furrow.strategies.interpolation import ENVIRONMENT, may_read
from furrow.strategies.references import escape, references

SECRET = "s3cr3t-value-that-must-not-be-seen"


@pytest.mark.parametrize(
    "reference",
    ["${method.r}", "${components.fine_tuner.config.method.r}", "${.r}", "${..training_args.max_steps}", "${sizes}"],
)
def test_a_reference_repeats_another_value(reference, load_text):
    text = f"a: {{method: {{r: 8, alpha: '{reference}'}}, training_args: {{max_steps: 8}}}}"
    if reference == "${sizes}":
        text = "a: {method: {r: 8, alpha: '${method.r}'}}"
    assert load_text(text).strategy.fine_tuner.config.method.alpha == 8


def test_a_reference_stands_within_text_and_sees_the_merged_strategy(load_text):
    strategy = load_text("""
        child: {extends: parent, method: {r: 2}}
        parent: {name: "rank ${method.r}, file ${dataset.train_file}", method: {r: 4}, dataset: {train_file: t.jsonl}}
    """).strategy
    assert strategy.name == "rank 2, file t.jsonl"


def test_an_allowed_variable_is_read(load_text, monkeypatch):
    monkeypatch.setenv("FURROW_RUNS", "/runs")
    monkeypatch.delenv("FURROW_ABSENT", raising=False)
    strategy = load_text(
        "a: {training_args: {output_dir: '${oc.env:FURROW_RUNS}/a'}, name: '${oc.env:FURROW_ABSENT,none}'}"
    ).strategy
    assert (str(strategy.output_dir), strategy.name) == ("/runs/a", "none")


@pytest.mark.parametrize(
    "variable",
    ["HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "FURROW_TOKEN", "FURROW_API_KEY", "PATH"],
)
@pytest.mark.parametrize("form", ["${{oc.env:{}}}", "x ${{oc.env:{},default}} y", "${{ oc.env: {} }}"])
def test_a_variable_that_may_hold_a_secret_is_named_and_never_shown(variable, form, problems, monkeypatch):
    monkeypatch.setenv(variable, SECRET)
    text = "a:\n  name: '" + form.format(variable) + "'\n  training_args: {learning_rte: 1}\n"
    found = problems(text)
    assert found[0].startswith("s.yaml:2: name: ")
    assert len(found) == 2  # the other mistake is reported too
    assert SECRET not in "\n".join(found)


def test_no_allowed_variable_has_the_name_of_a_secret():
    assert all(may_read(name) for name in ENVIRONMENT)
    assert not any(map(may_read, ["HF_TOKEN", "WANDB_API_KEY", "FURROW_PASSWORD", "furrow_x", "LD_PRELOAD"]))


@pytest.mark.parametrize("override", ["name=${oc.env:HF_TOKEN}", "export.model_name=${oc.env:HF_TOKEN}"])
def test_an_option_cannot_copy_a_secret_either(override, problems, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    [problem] = problems("a: {}", [override])
    assert "HF_TOKEN may not be read" in problem
    assert SECRET not in problem


TOKENS = ["hf_" + "AbCdEfGhIj" * 3, "sk-" + "a1b2c3d4e5" * 3, "ghp_" + "x" * 36, "AKIA" + "B" * 16]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("key", ["export: {model_name: ", "prompt_template: {system: ", "training_args: {hub_token: "])
def test_a_token_that_is_written_out_is_refused_and_not_shown(token, key, problems):
    [problem] = problems(f"a:\n  {key}x {token}}}\n")
    assert problem.startswith("s.yaml:2: ")
    assert token not in problem


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_in_an_option_or_an_allowed_variable_is_refused_and_not_shown(token, problems, monkeypatch):
    [problem] = problems("a: {}", [f"generation.temperature={token}"])
    assert "holds no secrets" in problem
    assert token not in problem
    monkeypatch.setenv("FURROW_NAME", token)
    [problem] = problems("a: {name: '${oc.env:FURROW_NAME}'}")
    assert token not in problem


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("${oc.decode:x}", "is not understood"),
        ("${oc.dict.keys:method}", "is not understood"),
        ("${oc.env:${name}}", "must be closed and plain"),
        ("${method", "must be closed and plain"),
        ("${}", "is not understood"),
        ("${nothing.here}", "there is no key nothing.here in this strategy"),
        ("${export}", "the reference is to itself, or to a block around it"),
        ("${oc.env:FURROW_SURELY_ABSENT}", "is not set; a default is given as ${oc.env:FURROW_SURELY_ABSENT,default}"),
        ("${input} {output}", "there is no key input in this strategy to refer to; write \\${ for the characters"),
    ],
)
def test_what_is_no_plain_reference_is_refused_at_its_place(value, what, problems):
    [problem] = problems(f"a:\n  export:\n    model_name: '{value}'\n")
    assert problem.startswith(("s.yaml:3: export.model_name: ", "s.yaml:3: a.export.model_name: "))
    assert what in problem


def test_a_circle_of_references_is_named(problems):
    [problem] = problems("a: {name: '${description}', description: 'x ${name}'}")
    assert "the references go round in a circle: name -> description -> name" in problem


@pytest.mark.parametrize("seed", ["x", ""])
def test_an_interpolation_bomb_is_refused_before_it_is_resolved(seed, problems):
    stops = "prompt_template.stop_sequences"
    lines = [f"  - '{seed}'", *(f"  - ${{{stops}[{n}]}}${{{stops}[{n}]}}" for n in range(40))]
    found = problems("a:\n prompt_template:\n  stop_sequences:\n" + "\n".join(lines) + "\n")
    assert any("the references here add up to more than 1,048,576 characters" in problem for problem in found)


def test_a_bomb_of_lists_is_refused_too(problems):
    lines = ["  b0: [x, x]"] + [f"  b{n}: ['${{export.b{n - 1}}}', '${{export.b{n - 1}}}']" for n in range(1, 40)]
    found = problems("a:\n export:\n" + "\n".join(lines) + "\n")
    assert any("add up to more than" in problem for problem in found)


def test_dollar_and_brace_are_text_behind_a_backslash(load_text):
    strategy = load_text("a: {prompt_template: {format: 'costs \\${input} {output}'}}").strategy
    assert strategy.prompt_template.config.format == "costs ${input} {output}"


@settings(deadline=None)
@given(st.text(alphabet="\\${}ab \n", max_size=30))
def test_an_escaped_text_is_read_by_omegaconf_as_itself(text):
    assert OmegaConf.create({"value": escape(text)}).value == text


@settings(deadline=None)
@given(st.text(alphabet="\\${}.[],:'\" a0oc.env", max_size=20))
def test_what_the_grammar_takes_omegaconf_takes_too(text):
    try:
        found = references(text)
    except ValueError:
        return
    read = OmegaConf.create({"value": text})
    assert OmegaConf.is_interpolation(read, "value") or not found
