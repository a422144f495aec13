"""A classifier and a reward model from their rows to whoever uses them: complete, merged, transformers, PEFT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForSequenceClassification
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import (
    ClassesCounted,
    DataPrepared,
    Evaluated,
    ExportVerified,
    StepEnded,
    TrainingEnded,
)
from furrow.components.models.folder import recognise
from furrow.components.models.scoring import load_scorer, logits
from furrow.stages import judge
from furrow.stages.convert import convert
from furrow.stages.judge import Assessor, assessor_of
from furrow.stages.run.resume import NEWEST
from furrow.stages.train import dry_run, train
from furrow.strategies.files import load

LORA = {"type": "lora", "r": 4, "dropout": 0.0}
QUICK = {"num_train_epochs": 8, "eval_strategy": "steps", "eval_steps": 24, "load_best_model_at_end": True}


@pytest.fixture
def classes(tmp_path):
    """Questions, statements and titles about eight letters to learn, and about another one to measure on."""
    said = {"question": "What is {}?", "statement": "It is {}.", "title": "number {}"}

    def rows(words):
        return [{"text": text.format(word), "label": label} for label, text in said.items() for word in words]

    learned, measured = tmp_path / "train.jsonl", tmp_path / "eval.jsonl"
    return {"train_file": written(learned, rows("abcdefgh")), "eval_file": written(measured, rows("i"))}


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def trained(strategy_file, **blocks):
    events = []
    loaded = load("tiny", strategy_file(**blocks))
    return loaded, train(loaded, overwrite=True, emit=events.append), events


@pytest.mark.parametrize("method", [LORA, {"type": "full"}], ids=["lora", "full"])
def test_a_classifier_says_the_same_class_in_furrow_merged_and_in_plain_transformers(strategy_file, classes, method):
    loaded, run, events = trained(
        strategy_file,
        objective={"type": "classification"},
        method=method,
        training_args={**QUICK, "metric_for_best_model": "eval_accuracy"},
        dataset=classes,
        export={"to_merged": True},
    )
    [counted] = [event for event in events if isinstance(event, ClassesCounted)]
    assert (counted.labels, counted.train_rows) == (["question", "statement", "title"], [8, 8, 8])
    [prepared] = [event for event in events if isinstance(event, DataPrepared)]
    assert (prepared.train_rows, prepared.learned_tokens) == (24, 0)
    measured = [event for event in events if isinstance(event, Evaluated)]
    assert all(sum(map(sum, event.tables["confusion"])) == 3 and event.eval_perplexity is None for event in measured)
    [ended] = [event for event in events if isinstance(event, TrainingEnded)]
    assert ended.best_metric == max(event.metrics["eval_accuracy"] for event in measured) == 1.0

    assessor = Assessor(loaded.strategy)
    merged = pipeline("text-classification", model=str(run.exports / "merged"), device="cpu", top_k=None)
    for text in ("What is z?", "It is z.", "number z"):
        said, theirs = assessor.assess(text), {one["label"]: one["score"] for one in merged([text])[0]}
        assert theirs == pytest.approx(said, abs=1e-5)
        assert next(iter(said)) == max(said, key=said.get) == max(theirs, key=theirs.get)
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.top1_agreement == 1.0 and verified.max_kl < 1e-6
    assert recognise(run.final_model).labels == recognise(run.exports / "merged").labels == tuple(counted.labels)


def test_an_adapter_with_its_head_is_loaded_by_peft_and_by_transformers_in_one_line(strategy_file, classes):
    _, run, _ = trained(
        strategy_file, objective={"type": "classification"}, method=LORA, training_args={"num_train_epochs": 3},
        dataset={"train_file": classes["train_file"]},
    )  # fmt: skip
    ids = AutoTokenizer.from_pretrained(run.final_model)("What is z?").input_ids
    ours = logits(load_scorer(recognise(run.final_model), dtype=torch.float32), ids)
    for kind in (AutoPeftModelForSequenceClassification, AutoModelForSequenceClassification):
        theirs = kind.from_pretrained(str(run.final_model), num_labels=3, dtype=torch.float32).eval()
        with torch.no_grad():
            assert torch.allclose(theirs(torch.tensor([ids])).logits[0], ours, atol=1e-5)
    (run.final_model / "classes.json").unlink()  # as another program would have left it
    assert recognise(run.final_model).labels == ("0", "1", "2")


def test_a_classifier_that_is_gone_on_with_is_the_one_of_a_run_that_was_never_cut(strategy_file, classes, tmp_path):
    settings = {
        "objective": {"type": "classification"},
        "method": {**LORA, "dropout": 0.2},
        "dataset": {"train_file": classes["train_file"]},
        "training_args": {"num_train_epochs": 1, "save_strategy": "steps", "save_steps": 2},
    }

    def cut(event):
        if isinstance(event, StepEnded) and event.step == 3:
            raise InterruptedError

    loaded = load("tiny", strategy_file(**settings))
    with pytest.raises(InterruptedError):
        train(loaded, overwrite=True, emit=cut)
    resumed = train(loaded, overwrite=False, resume=NEWEST, emit=lambda event: None)
    settings["training_args"]["output_dir"] = str(tmp_path / "whole")
    whole = train(load("tiny", strategy_file(**settings)), overwrite=True, emit=lambda event: None)
    left, right = (load_file(run.final_model / "adapter_model.safetensors") for run in (resumed, whole))
    assert any("score" in name for name in left) and left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_chat_models_can_be_asked_through_their_template(strategy_file, classes):
    loaded, _, _ = trained(
        strategy_file, objective={"type": "classification", "text": "template"}, method=LORA, dataset=classes,
        training_args=QUICK,
    )  # fmt: skip
    assert {next(iter(Assessor(loaded.strategy).assess(text))) for text in ("What is z?", "It is z.")} == {
        "question", "statement",
    }  # fmt: skip


@pytest.fixture
def pairs(tmp_path):
    rows = [
        {"prompt": f"What is {word}?", "chosen": f"It is {word}.", "rejected": f"number {word}", "margin": 0.5}
        for word in "abcdefgh"
    ]
    measured = [{**row, "prompt": "What is y?"} for row in rows[:2]]
    return {
        "train_file": written(tmp_path / "pairs.jsonl", rows),
        "eval_file": written(tmp_path / "eval.jsonl", measured),
    }


def test_a_reward_model_scores_the_better_answer_higher_and_is_loaded_as_any_reward_model(strategy_file, pairs):
    loaded, run, events = trained(
        strategy_file, objective={"type": "reward"}, method=LORA, dataset=pairs, export={"to_merged": True},
        training_args={**QUICK, "metric_for_best_model": "eval_accuracy"},
    )  # fmt: skip
    last = [event for event in events if isinstance(event, Evaluated)][-1]
    assert last.metrics["eval_accuracy"] == 1.0 and last.metrics["eval_margin"] > 0.5 and not last.tables
    assessor = assessor_of(loaded.strategy)
    good, bad = (assessor.assess("What is z?", answer)["reward"] for answer in ("It is z.", "number z"))
    assert good > bad

    tokenizer = AutoTokenizer.from_pretrained(run.final_model)
    talk = [{"role": "user", "content": "What is z?"}, {"role": "assistant", "content": "It is z."}]
    given = tokenizer(tokenizer.apply_chat_template(talk, tokenize=False), return_tensors="pt")
    for folder in (run.final_model, run.exports / "merged"):
        model = AutoModelForSequenceClassification.from_pretrained(str(folder), num_labels=1, dtype=torch.float32)
        with torch.no_grad():
            assert model.eval()(**given).logits.item() == pytest.approx(good, abs=1e-4)


def test_a_base_that_knows_no_padding_learns_it_from_its_tokenizer_and_takes_it_along(
    strategy_file, pairs, base_folder, tmp_path
):
    """Its end token is its padding: transformers reads the score one token earlier, so training must, and exports."""
    shutil.copytree(base_folder, tmp_path / "base")
    settings = json.loads((tmp_path / "base/config.json").read_text())
    (tmp_path / "base/config.json").write_text(json.dumps({**settings, "pad_token_id": None}))
    loaded, run, _ = trained(
        strategy_file, base_model={"path": str(tmp_path / "base")}, objective={"type": "reward"}, method=LORA,
        dataset={"train_file": pairs["train_file"]}, training_args={"num_train_epochs": 2}, export={"to_merged": True},
    )  # fmt: skip
    said = Assessor(loaded.strategy).assess("What is z?", "It is z.")["reward"]
    tokenizer = AutoTokenizer.from_pretrained(run.exports / "merged")
    talk = [{"role": "user", "content": "What is z?"}, {"role": "assistant", "content": "It is z."}]
    text = tokenizer.apply_chat_template(talk, tokenize=False)
    merged = AutoModelForSequenceClassification.from_pretrained(str(run.exports / "merged"), dtype=torch.float32)
    with torch.no_grad():
        batch = merged.eval()(**tokenizer([text, text + " and more"], padding=True, return_tensors="pt")).logits
        cut = merged(**tokenizer(text.removesuffix("<|end|>"), return_tensors="pt")).logits
    assert batch[0].item() == pytest.approx(said, abs=1e-5) == pytest.approx(cut.item(), abs=1e-5)


def test_what_is_asked_of_the_wrong_kind_of_model_is_refused_with_what_to_say(strategy_file, pairs, tmp_path):
    loaded, run, _ = trained(
        strategy_file, objective={"type": "reward"}, training_args={"max_steps": 1}, method=LORA,
        dataset={"train_file": pairs["train_file"]},
    )  # fmt: skip
    with pytest.raises(RequestError, match=r'none is given\n.*--answer "ANSWER"'):
        assessor_of(loaded.strategy).assess("What is z?")
    with pytest.raises(FurrowError, match=r"only writes them\n.*--format merged"):
        convert(run.final_model, tmp_path / "m.gguf", format="gguf", quantization=None, model_name=None,
                overwrite=False, emit=lambda event: None)  # fmt: skip
    for key in ("to_gguf", "to_ollama", "to_gguf_adapter"):
        with pytest.raises(RequestError, match=f"export.{key}: a reward model writes no text"):
            load("tiny", strategy_file(objective={"type": "reward"}, export={key: True}))
    loaded = load("tiny", strategy_file(), ["components.model_app.type=ollama"])
    with pytest.raises(RequestError, match="ollama serves models that write text"):
        assessor_of(loaded.strategy)


@pytest.mark.parametrize("text", ["plain", "template"])
def test_a_text_that_is_too_long_is_cut_for_the_answer_as_it_was_for_the_training(
    strategy_file, classes, text, monkeypatch
):
    settings = {
        "objective": {"type": "classification", "text": text},
        "method": LORA,
        "training_args": {"max_steps": 1},
    }
    long = "What is a and b and c and d?"
    rows = [json.loads(line) for line in Path(classes["train_file"]).read_text().splitlines()]
    classes = {"train_file": written(Path(classes["train_file"]), [{**rows[0], "text": long}, *rows[1:]])}
    limits = {"max_length": 8}
    loaded, _, _ = trained(strategy_file, **settings, dataset=classes, data_preprocessing=limits)
    [learned] = [row for row in dry_run(loaded, 1, lambda event: None)[0].train.examples if row.where.endswith(":1")]
    assessor, asked = Assessor(loaded.strategy), []
    monkeypatch.setattr(assessor._app, "scores", lambda ids: asked.append(ids) or {"x": 1.0})
    assessor.assess(long)
    assert asked == [learned.example.input_ids] and len(asked[0]) == 8


def test_an_app_of_another_package_that_cannot_score_is_refused(strategy_file, pairs, monkeypatch):
    loaded, _, _ = trained(
        strategy_file, objective={"type": "reward"}, training_args={"max_steps": 1}, method=LORA,
        dataset={"train_file": pairs["train_file"], "on_faulty_data": "warn"},
        data_preprocessing={"max_output_length": 3},
    )  # fmt: skip
    assessor = assessor_of(loaded.strategy)
    assert assessor.assess("z?", "It is z.") == assessor.assess("z?", "It is quite another answer.")  # cut alike
    monkeypatch.setattr(judge.wire, "judge", lambda strategy, served: object())
    with pytest.raises(RequestError, match="serves models that write text"):
        assessor_of(loaded.strategy)


def test_the_command_line_prints_class_and_probabilities(strategy_file, classes, furrow):
    file = strategy_file(objective={"type": "classification"}, method=LORA, training_args=QUICK, dataset=classes)
    assert furrow("train", "--strategy", "tiny", "--strategy-file", file).code == 0
    shown = furrow("complete", "What is z?", "--strategy", "tiny", "--strategy-file", file)
    first, second, *_ = shown.out.splitlines()
    assert (first, second.split()[1]) == ("question", "question") and second.split()[0].endswith("%")
    ended = json.loads(furrow("complete", "What is z?", "--strategy", "tiny", "--strategy-file", file, "--json").out)
    assert ended["text"] == "question" and sum(ended["scores"].values()) == pytest.approx(1)
    assert furrow("complete", "x", "--strategy", "tiny", "--strategy-file", file, "--answer", "y").code == 2
    for option in (("--compare", "base"), ("--temperature", "0"), ("--max-new-tokens", "3"), ("--seed", "1")):
        ended = furrow("complete", "x", "--strategy", "tiny", "--strategy-file", file, *option)
        assert ended.code == 2 and f"{option[0]}: this model scores texts" in ended.err


def test_a_model_that_writes_takes_no_answer_to_score(strategy_file, furrow):
    file = strategy_file(training_args={"max_steps": 1})
    assert furrow("train", "--strategy", "tiny", "--strategy-file", file).code == 0
    ended = furrow("complete", "x", "--strategy", "tiny", "--strategy-file", file, "--answer", "y")
    assert ended.code == 2 and "--answer: this model writes its answers" in ended.err
