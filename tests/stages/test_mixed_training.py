"""A strategy with a mix, trained: proportions, templates of its own, and a run that is cut and gone on with."""

import json

import pytest
import torch
from safetensors.torch import load_file

from furrow.components.errors import RequestError
from furrow.components.events import DataPrepared, Evaluated, MixDelivered, StepEnded
from furrow.stages.run.resume import NEWEST
from furrow.stages.train import dry_run
from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load


@pytest.fixture
def sets(tmp_path):
    """Two sets of other layouts: 12 questions of the domain, 40 general ones in OpenAI's form."""
    domain = [{"prompt": f"What is {word}?", "completion": f"It is {word * 2}."} for word in "abcdefghijkl"]
    general = [
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}!"}]}
        for n in range(40)
    ]
    for name, rows in (("domain", domain), ("general", general)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def mix(folder, **general):
    sources = [
        {"file": str(folder / "domain.jsonl"), "weight": 3},
        {"file": str(folder / "general.jsonl"), "weight": 1, **general},
    ]
    return {"mix": sources, "train_file": None}


def weights_of(run):
    return load_file(run.final_model / "model.safetensors")


def test_sets_of_two_layouts_are_learned_in_the_proportions_of_their_weights(go, sets):
    run, events = go(dataset=mix(sets))
    [delivered] = [event for event in events if isinstance(event, MixDelivered)]
    assert (delivered.rows, delivered.available) == ([12, 4], [12, 40])
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert len(steps) == 4 * 4  # 16 rows an epoch, 4 a step, 4 epochs
    assert sum(step.learned_tokens for step in steps) == 4 * sum(delivered.learned_tokens)
    report = run.report.read_text(encoding="utf-8")
    assert "12 of 12 | 75.0% | 75.0%" in report and "4 of 40 | 25.0% | 25.0%" in report


def test_a_mixed_run_that_is_cut_and_gone_on_with_equals_one_that_never_was(go, sets, tmp_path):
    blocks = {"dataset": mix(sets, prefix="general: ", template={"type": "format", "format": "{input} -> {output}"})}
    whole, events = go(arguments={"output_dir": str(tmp_path / "whole")}, **blocks)
    go(cut=7, **blocks)
    resumed, after = go(resume=NEWEST, **blocks)
    losses = {event.step: event.loss for event in events if isinstance(event, StepEnded)}
    assert all(losses[event.step] == event.loss for event in after if isinstance(event, StepEnded))
    expected, found = weights_of(whole), weights_of(resumed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_rows_are_kept_to_evaluate_on_from_each_set_in_the_same_proportions(go, sets):
    _, events = go(
        dataset={**mix(sets), "eval_split": 0.25}, arguments={"eval_strategy": "epoch", "num_train_epochs": 1}
    )
    [delivered] = [event for event in events if isinstance(event, MixDelivered)]
    [prepared] = [event for event in events if isinstance(event, DataPrepared)]
    assert (prepared.train_rows, prepared.eval_rows) == (9 + 30, 3 + 10)
    assert (delivered.rows, delivered.eval_rows) == ([9, 3], [3, 1])
    assert [event for event in events if isinstance(event, Evaluated)]


def test_a_changed_weight_is_refused_when_the_run_is_gone_on_with(go, sets):
    go(cut=7, dataset=mix(sets))
    changed = mix(sets)
    changed["mix"][1]["weight"] = 2
    with pytest.raises(RequestError, match=r"dataset.mix.*weight|dataset.mix"):
        go(resume=NEWEST, dataset=changed)


@pytest.mark.parametrize(
    ("dataset", "wrong"),
    [
        ("{mix: [{file: a.jsonl}]}", "s.yaml:1: dataset.mix: one set is no mix; name it as dataset.train_file"),
        (
            "{train_file: x.jsonl, mix: [{file: a.jsonl}, {file: b.jsonl}]}",
            "dataset.train_file: dataset.mix .*says too",
        ),
        ("{mix: [{file: a.jsonl, weight: 0}, {file: b.jsonl}]}", "weight"),
        ("{mix: [{file: a.jsonl, wheight: 1}, {file: b.jsonl}]}", "did you mean 'weight'"),
    ],
)
def test_a_mix_that_cannot_be_meant_is_refused_with_its_place(tmp_path, dataset, wrong):
    file = tmp_path / "s.yaml"
    file.write_text(f"a: {{dataset: {dataset}}}\n")
    with pytest.raises(StrategyErrors, match=wrong):
        load("a", file)


def test_a_template_of_one_set_is_not_the_one_that_answers_and_that_is_said(tmp_path):
    file = tmp_path / "s.yaml"
    sources = '[{file: a.jsonl}, {file: b.jsonl, template: {format: "{input}: {output}"}}]'
    file.write_text(f"a: {{dataset: {{mix: {sources}}}}}\n")
    [note] = [note.message for note in load("a", file).notes if "template" in note.message]
    assert "rows of b.jsonl are learned with a template of their own; the trained model is asked with" in note


def test_each_set_has_its_own_prefix_and_template(sets, strategy_file):
    general = {"prefix": "general: ", "template": {"type": "format", "format": "{input} -> {output}"}}
    loaded = load("tiny", strategy_file(dataset=mix(sets, **general), data_preprocessing={"shuffle": False}))
    data, shown = dry_run(loaded, 16, lambda event: None)
    texts = {each.where: "".join(token.text for token in each.tokens) for each in shown}
    assert len(texts) == len(data.train.examples) == 16
    for where, text in texts.items():
        if "domain" in where:
            assert text.startswith("<|user|>What is ") and "<|assistant|>It is" in text
        else:
            assert text.startswith("general: Say ") and " -> " in text and "<|user|>" not in text
    assert ["general" in where for where in texts].count(True) == 4
