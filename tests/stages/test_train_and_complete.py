"""The whole line: what was trained is what answers, in every form that was exported."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import DataPrepared, ExportVerified, Warned
from furrow.stages.complete import Answerer
from furrow.stages.convert import convert
from furrow.stages.train import dry_run, train
from furrow.strategies.files import load


@pytest.fixture
def run(strategy_file):
    """run(**blocks) -> (loaded strategy, run folder, events)."""

    def go(overrides=(), overwrite=False, **blocks):
        loaded = load("tiny", strategy_file(**blocks), overrides)
        events = []
        return loaded, train(loaded, overwrite=overwrite, emit=events.append), events

    return go


def test_what_was_learned_is_answered_alike_by_transformers_and_by_llama_cpp(run, tmp_path):
    loaded, _, events = run(export={"to_gguf": True, "quantization": "f32"})
    answers = [Answerer(loaded.strategy).ask(f"What is {word}?") for word in "abcdefghijkl"]
    assert answers == [f"It is {word * 2}." for word in "abcdefghijkl"]
    served = load("tiny", tmp_path / "strategies.yaml", ["components.model_app.type=llama_cpp"]).strategy
    assert [Answerer(served).ask(f"What is {word}?") for word in "abcdefghijkl"] == answers
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.top1_agreement == 1.0 and verified.mean_kl < 1e-6
    assert Answerer(loaded.strategy, base=True).ask("What is a?") != answers[0]


def test_a_run_can_be_repeated_from_its_own_folder(run, tmp_path):
    _, folder, _ = run(training_args={"num_train_epochs": 2})
    again = load("tiny", folder.strategy, [f"training_args.output_dir={tmp_path / 'again'}"])
    second = train(again, overwrite=False, emit=lambda event: None)
    name = "final_model/model.safetensors"
    assert (folder.path / name).read_bytes() == (second.path / name).read_bytes()


def test_the_folder_of_a_run_says_how_it_was_made(run):
    _, folder, _ = run(training_args={"num_train_epochs": 1}, export={"to_merged": True})
    manifest = json.loads(folder.manifest.read_text())
    assert manifest["finished"] and manifest["data"]["train_rows"] == 12
    assert len(manifest["data"]["train_file"]["sha256"]) == 64
    assert {"torch", "bitsandbytes", "trl"} <= manifest["versions"].keys()
    assert manifest["exports"][0]["verified"][0]["top1_agreement"] == 1.0
    lines = [json.loads(line)["event"] for line in folder.metrics.read_text().splitlines()]
    assert lines.count("step_ended") == 3 and "data_prepared" in lines
    page = folder.report.read_text()
    assert "![curves of the run](curves.svg)" in page and "merged" in page
    assert yaml.safe_load(folder.strategy.read_text())["tiny"]["generation"]["top_p"] == 1.0


def test_a_second_run_into_the_folder_is_refused_and_with_overwrite_replaces_it(run):
    _, folder, _ = run(training_args={"num_train_epochs": 1})
    with pytest.raises(RequestError, match="--overwrite"):
        run(training_args={"num_train_epochs": 1})
    run(training_args={"num_train_epochs": 1}, overwrite=True)
    assert folder.final_model.is_dir()


def test_a_run_that_fails_before_it_saves_anything_can_be_tried_again_without_overwrite(run, tmp_path):
    with pytest.raises(RequestError, match="no linear layer 'q_porj'"):
        run(method={"type": "lora", "target_modules": ["q_porj"]})
    assert not (tmp_path / "run").exists()
    run(training_args={"num_train_epochs": 1})


def test_an_earlier_run_survives_the_request_for_a_device_that_is_not_there(run):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    _, folder, _ = run(training_args={"num_train_epochs": 1})
    with pytest.raises(RequestError, match="'cuda' is asked for"):
        run(hardware={"device": "cuda"}, overwrite=True)
    assert folder.final_model.is_dir()


def test_an_earlier_run_is_put_back_when_the_one_that_was_to_replace_it_fails(run, tmp_path):
    _, folder, _ = run(training_args={"num_train_epochs": 1})
    weights = (folder.final_model / "model.safetensors").read_bytes()
    with pytest.raises(RequestError, match="no linear layer 'q_porj'"):
        run(method={"type": "lora", "target_modules": ["q_porj"]}, overwrite=True)
    assert (folder.final_model / "model.safetensors").read_bytes() == weights
    assert folder.report.is_file() and not (tmp_path / "run/.earlier").exists()


def test_an_export_replaces_no_folder_that_holds_something_else(run, tmp_path):
    _, folder, _ = run(training_args={"num_train_epochs": 1})
    again = {
        "format": "merged",
        "quantization": None,
        "model_name": None,
        "overwrite": True,
        "emit": lambda event: None,
    }
    made = convert(folder.path, tmp_path / "merged", **again)
    assert convert(folder.path, made, **again) == made
    (made / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match=r"what no export wrote: thesis\.txt"):
        convert(folder.path, made, **again)
    for holding in (folder.final_model, folder.path, tmp_path):
        with pytest.raises(RequestError, match="holds the model that is to be converted"):
            convert(folder.path, holding, **again)
    assert (made / "thesis.txt").read_text() == "mine" and folder.final_model.is_dir()


def test_more_tokens_than_the_model_takes_are_refused_in_training_and_in_asking(run, strategy_file):
    with pytest.raises(RequestError, match="the model takes at most 256"):
        dry_run(load("tiny", strategy_file(data_preprocessing={"max_length": 257})), 1, lambda event: None)
    loaded, _, _ = run(training_args={"num_train_epochs": 1})
    with pytest.raises(RequestError, match=r"the prompt has .* tokens, the model takes fewer than 256"):
        Answerer(loaded.strategy).ask("zqx " * 100)


def test_an_output_folder_that_is_a_file_is_one_clear_error(run, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RequestError, match="run cannot be made"):
        run()
    assert (tmp_path / "run").read_text() == "a file"


def test_evaluation_rows_that_are_never_evaluated_are_warned_of(strategy_file):
    events = []
    dry_run(
        load("tiny", strategy_file(), ["dataset.eval_split=0.25", "training_args.eval_strategy=no"]), 1, events.append
    )
    assert any("eval_strategy is no" in event.message for event in events if isinstance(event, Warned))


def test_completing_before_training_names_the_command_that_trains(strategy_file):
    with pytest.raises(FurrowError, match=r"no trained model of tiny yet[\s\S]*python cli.py train --strategy tiny"):
        Answerer(load("tiny", strategy_file()).strategy)


@pytest.mark.parametrize("place", ["final_model", "", "checkpoints/step-00000003", "exports/merged"])
def test_convert_tells_run_folder_final_model_checkpoint_and_merged_folder_apart(run, tmp_path, place):
    _, folder, _ = run(
        method={"type": "lora", "r": 4},
        training_args={"num_train_epochs": 1, "save_strategy": "epoch"},
        export={"to_merged": True},
    )
    events = []
    made = convert(
        folder.path / place, tmp_path / "out.gguf", format="gguf", quantization="f32", model_name=None,
        overwrite=False, emit=events.append,
    )  # fmt: skip
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert made.is_file() and verified.top1_agreement == 1.0


def test_convert_refuses_what_it_cannot_do_before_it_works(run, tmp_path):
    _, folder, _ = run(training_args={"num_train_epochs": 1})
    settings = {"model_name": None, "overwrite": False, "emit": lambda event: None}
    with pytest.raises(RequestError, match="did you mean 'gguf'"):
        convert(folder.path, tmp_path / "x", format="ggfu", quantization=None, **settings)
    with pytest.raises(RequestError, match="no quantization"):
        convert(folder.path, tmp_path / "x", format="merged", quantization="q8_0", **settings)
    with pytest.raises(RequestError, match="q4_k_m"):
        convert(folder.path, tmp_path / "x", format="gguf", quantization="q4_km", **settings)
    with pytest.raises(RequestError, match="holds no model"):
        convert(tmp_path, tmp_path / "x", format="gguf", quantization=None, **settings)
    assert not (tmp_path / "x").exists()


def test_rows_whose_answer_is_cut_away_are_dropped_counted_and_named(strategy_file, tmp_path):
    file = strategy_file(data_preprocessing={"max_length": 40})
    with (tmp_path / "qa.jsonl").open("a") as data:
        data.write(json.dumps({"prompt": "long " * 30, "completion": "lost"}) + "\n")
        data.write(json.dumps({"prompt": "?", "completion": "cut " * 30}) + "\n")
    events = []
    data, shown = dry_run(load("tiny", file), 3, events.append)
    [prepared] = [event for event in events if isinstance(event, DataPrepared)]
    assert (prepared.dropped_rows, prepared.truncated_rows, prepared.train_rows) == (1, 1, 13)
    warnings = " ".join(event.message for event in events if isinstance(event, Warned))
    assert "qa.jsonl:13" in warnings and "qa.jsonl:14" in warnings
    assert len(shown) == 3 and len(data.train.examples[-1].input_ids) == 40


def test_a_limit_that_drops_most_rows_is_an_error_and_not_a_small_data_set(strategy_file):
    with pytest.raises(RequestError, match=r"(lose their whole answer|no row is left)[\s\S]*raise it"):
        dry_run(load("tiny", strategy_file(data_preprocessing={"max_length": 8})), 3, lambda event: None)


def test_a_row_with_an_empty_answer_is_an_error_with_its_line(strategy_file, tmp_path):
    file = strategy_file()
    with (tmp_path / "qa.jsonl").open("a") as data:
        data.write('{"prompt": "What?", "completion": ""}\n')
    with pytest.raises(RequestError, match="no token to learn") as refused:
        dry_run(load("tiny", file), 3, lambda event: None)
    assert refused.value.where.endswith("qa.jsonl:13")


def test_a_dry_run_marks_exactly_the_answer_and_its_end(strategy_file):
    _, [first, *_] = dry_run(load("tiny", strategy_file()), 1, lambda event: None)
    assert (
        "".join(token.text for token in first.tokens if not token.learned) == "<|user|>What is a?<|end|><|assistant|>"
    )
    assert "".join(token.text for token in first.tokens if token.learned) == "It is aa.<|end|>"


def test_plain_text_is_learned_whole_and_long_text_in_several_pieces(strategy_file, tmp_path):
    (tmp_path / "text.jsonl").write_text(json.dumps({"text": "carrots " * 20}) + "\n")
    overrides = [f"dataset.train_file={tmp_path / 'text.jsonl'}", "data_preprocessing.max_length=16"]
    file = strategy_file(objective={"type": "pretrain"})
    data, _ = dry_run(load("tiny", file, overrides), 1, lambda event: None)
    pieces = data.train.examples
    assert len(pieces) > 2 and all(len(piece.input_ids) <= 16 for piece in pieces)
    predicted = [
        token
        for piece in pieces
        for token, learned in zip(piece.input_ids[1:], piece.learned[1:], strict=True)
        if learned
    ]
    whole = data.maker.tokenizer("carrots " * 20).input_ids
    assert predicted == [*whole[1:], 0]


def test_sampling_is_repeatable_by_its_seed_and_varied_by_another(run):
    loaded, _, _ = run(training_args={"num_train_epochs": 1})
    answerer = Answerer(loaded.strategy)
    first, again, other = (
        answerer.ask("What is a?", temperature=2.0, seed=seed, max_new_tokens=12) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_stop_sequences_and_length_end_an_answer(run):
    loaded, folder, _ = run()
    stopping = load("tiny", folder.strategy, ['prompt_template.stop_sequences=["bb"]']).strategy
    assert Answerer(stopping).ask("What is b?") == "It is"
    assert len(Answerer(loaded.strategy).ask("What is b?", max_new_tokens=2)) < len("It is bb.")
