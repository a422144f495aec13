"""Rows that judge answers, as the model sees them: TRL's token ids, one prompt for both answers, no answer lost."""

from __future__ import annotations

import json

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from furrow.components.errors import RequestError
from furrow.components.events import DataPrepared, Warned
from furrow.components.records import Row
from furrow.stages.complete import Answerer
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.quality.rules import Rules
from furrow.stages.train import dry_run, train
from furrow.strategies.files import load
from furrow.strategies.schema import PreprocessingConfig

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is a?"}]
EARLIER = [*ASKED, {"role": "assistant", "content": "A letter."}, {"role": "user", "content": "And b?"}]
GOOD, BAD = {"role": "assistant", "content": "It is aa."}, {"role": "assistant", "content": "It is of no use."}


@pytest.fixture
def maker(strategy_file, base_folder):
    """An ExampleMaker of the tiny base with its chat template."""
    from furrow.stages import wire

    def make(objective, **limits):
        tokenizer = AutoTokenizer.from_pretrained(base_folder)
        template = wire.prompt_template(load("tiny", strategy_file()).strategy, tokenizer)
        return ExampleMaker(template, tokenizer, PreprocessingConfig(**limits), objective)

    return make


def rows(*columns):
    return [Row(each, f"pairs.jsonl:{number}") for number, each in enumerate(columns, 1)]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_pairs_have_the_token_ids_of_trls_own_preparation(trl, maker, base_folder, tmp_path):
    data = [
        {"prompt": ASKED, "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": EARLIER, "chosen": [BAD], "rejected": [GOOD]},
    ]
    trainer = trl.DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base_folder),
        args=trl.DPOConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False),
        train_dataset=trl.Dataset.from_list(data),
        processing_class=AutoTokenizer.from_pretrained(base_folder),
    )
    ours = maker("dpo").prepare(rows(*data)).examples
    for pair, theirs in zip(ours, trainer.train_dataset, strict=True):
        given = theirs["prompt_ids"]
        for example, answer in ((pair.chosen, theirs["chosen_ids"]), (pair.rejected, theirs["rejected_ids"])):
            assert example.input_ids == given + answer
            assert example.learned == [False] * len(given) + [True] * len(answer)


def test_a_pair_and_plain_columns_are_rendered_as_sft_renders_them(maker):
    [pair] = maker("orpo").prepare(rows({"prompt": "What is a?", "chosen": "aa", "rejected": "bb"})).examples
    for example, answer in ((pair.chosen, "aa"), (pair.rejected, "bb")):
        [sft] = maker("sft").prepare(rows({"prompt": "What is a?", "completion": answer})).examples
        assert (example.input_ids, example.learned) == (sft.input_ids, sft.learned)


def test_answers_that_are_too_long_are_cut_before_their_end_token_and_the_prompt_stays_the_same(maker):
    [whole] = maker("dpo").prepare(rows({"prompt": "?", "chosen": "a" * 9, "rejected": "b" * 30})).examples
    start = whole.chosen.learned.index(True)
    prepared = maker("dpo", max_length=start + 12, truncation="cut_answer").prepare(
        rows({"prompt": "?", "chosen": "a" * 9, "rejected": "b" * 30})
    )
    [pair] = prepared.examples
    assert prepared.truncated == prepared.cut_answers == ["pairs.jsonl:1"]
    assert pair.chosen == whole.chosen
    assert pair.rejected.input_ids == [*whole.rejected.input_ids[: start + 11], whole.rejected.input_ids[-1]]
    assert pair.rejected.learned.index(True) == start


def test_prompts_that_are_too_long_are_cut_alike_for_both_answers(maker):
    asked = {"prompt": "c" * 20 + "d" * 20, "chosen": "aa", "rejected": "bbbb"}
    [pair] = maker("dpo", max_input_length=12).prepare(rows(asked)).examples
    starts = [example.learned.index(True) for example in (pair.chosen, pair.rejected)]
    assert starts == [12, 12] and pair.chosen.input_ids[:12] == pair.rejected.input_ids[:12]
    assert sum(pair.rejected.learned) == 5


def test_pairs_that_differ_only_beyond_the_limit_are_dropped_and_so_are_those_that_lose_an_answer(maker):
    alike = {"prompt": "?", "chosen": "a" * 20 + "b", "rejected": "a" * 20 + "c"}
    lost = {"prompt": "d" * 40, "chosen": "a", "rejected": "b"}
    for truncation in ("cut_answer", "drop", "cut_turns"):
        prepared = maker("dpo", max_length=20, truncation=truncation).prepare(rows(alike, lost))
        assert prepared.examples == [] and prepared.dropped == ["pairs.jsonl:1", "pairs.jsonl:2"]


def test_both_answers_of_a_pair_lose_the_same_of_the_prompt_before_them(maker):
    given = rows({"prompt": "".join(map(chr, range(97, 117))), "chosen": "a", "rejected": "bbbb"})
    [whole] = maker("dpo").prepare(given).examples
    prepared = maker("dpo", max_length=len(whole.rejected.input_ids) - 7).prepare(given)
    [pair] = prepared.examples
    for cut, was in ((pair.chosen, whole.chosen), (pair.rejected, whole.rejected)):
        assert cut.input_ids == [was.input_ids[0], *was.input_ids[8:]]
        assert cut.learned == [False, *was.learned[8:]]
    assert prepared.truncated == ["pairs.jsonl:1"] and prepared.cut_answers == []


def test_each_verdict_borrows_the_answer_of_the_nearest_other_prompt_before_it(maker):
    given = [
        {"prompt": "p?", "completion": "one", "label": True},
        {"prompt": "p?", "completion": "two", "label": False},
        {"prompt": "q?", "completion": "three", "label": True},
    ]
    maker_ = maker("kto")
    judged = maker_.prepare(rows(*given)).examples
    assert [row.desirable for row in judged] == [True, False, True]
    borrowed = [maker_.tokenizer.decode(row.unrelated.input_ids) for row in judged]
    assert [text.rpartition("<|assistant|>")[2] for text in borrowed] == ["three<|end|>", "three<|end|>", "two<|end|>"]
    assert [text.split("<|")[1] for text in borrowed] == ["user|>p?", "user|>p?", "user|>q?"]


def test_a_single_verdict_and_prompts_that_are_all_the_same_have_something_to_borrow(maker):
    one = {"prompt": "p?", "completion": "one", "label": True}
    [judged] = maker("kto").prepare(rows(one)).examples
    assert judged.unrelated.input_ids == judged.example.input_ids
    two = maker("kto").prepare(rows(one, {**one, "completion": "two"})).examples
    assert two[0].unrelated.input_ids == two[1].example.input_ids


def test_quality_rules_drop_pairs_of_equal_or_empty_answers_and_let_worse_ones_be_bad():
    pair = {"prompt": "What is a?", "chosen": "It is aa.", "rejected": "x" * 40}

    def flaw(row):
        found = Rules().flaw(row)
        return found and found.reason

    assert flaw(rows(pair)[0]) is None
    assert flaw(rows({**pair, "rejected": pair["chosen"]})[0]) == "both answers are the same"
    assert flaw(rows({**pair, "rejected": " "})[0]) == "the rejected answer is empty"
    assert "mostly 'x'" in flaw(rows({**pair, "chosen": pair["rejected"], "rejected": "no"})[0])
    verdict = {"prompt": "What is a?", "completion": "x" * 40, "label": False}
    assert flaw(rows(verdict)[0]) is None and "mostly" in flaw(rows({**verdict, "label": True})[0])
    for unwanted, wanted in ((0, 1), ("false", "True"), ("0", "1")):  # as TRL takes it, and as a table holds it
        assert flaw(rows({**verdict, "label": unwanted})[0]) is None
        assert "mostly" in flaw(rows({**verdict, "label": wanted})[0])
    talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "x" * 40}]
    assert flaw(rows({"messages": talk, "label": False})[0]) is None


def test_a_margin_is_read_from_a_table_too_and_only_where_it_counts(maker):
    pair = {"prompt": "What is a?", "chosen": "aa", "rejected": "bb"}
    given = rows({**pair, "margin": "0.5"}, {**pair, "margin": ""}, {**pair, "margin": 2})
    assert [example.margin for example in maker("reward").prepare(given).examples] == [0.5, None, 2.0]
    for wrong in ("much", "nan", True, [1]):
        with pytest.raises(RequestError, match="column 'margin' is"):
            maker("reward").prepare(rows({**pair, "margin": wrong}))
        [example] = maker("dpo").prepare(rows({**pair, "margin": wrong})).examples
        assert example.margin is None


@pytest.fixture
def pairs_file(strategy_file, tmp_path):
    """A strategy `tiny` for an objective, on a dozen pairs."""

    def write(objective, extra=(), **blocks):
        given = [
            {"prompt": f"What is {word}?", "chosen": f"It is {word * 2}.", "rejected": "No idea."}
            for word in "abcdefghijkl"
        ]
        data = tmp_path / "pairs.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in [*given, *extra]))
        return strategy_file(objective=objective, dataset={"train_file": str(data)}, **blocks)

    return write


def test_a_dry_run_shows_both_answers_of_a_pair(pairs_file):
    events = []
    _, shown = dry_run(load("tiny", pairs_file("dpo")), 2, events.append)
    assert [(row.where.rpartition("/")[2], row.role) for row in shown] == [
        ("pairs.jsonl:1", "chosen"),
        ("pairs.jsonl:1", "rejected"),
        ("pairs.jsonl:2", "chosen"),
        ("pairs.jsonl:2", "rejected"),
    ]
    learned = ["".join(token.text for token in row.tokens if token.learned) for row in shown[:2]]
    assert learned == ["It is aa.<|end|>", "No idea.<|end|>"]
    [prepared] = [event for event in events if isinstance(event, DataPrepared)]
    assert prepared.train_rows == 12


def test_what_is_dropped_is_said_with_its_line(pairs_file):
    long = {"prompt": "dabc" * 15, "chosen": "a", "rejected": "b"}
    events = []
    limits = {"max_length": 48, "truncation": "drop"}
    dry_run(load("tiny", pairs_file("dpo", [long], data_preprocessing=limits)), 1, events.append)
    [warned] = [event.message for event in events if isinstance(event, Warned)]
    assert "dropped: an answer, or all that tells the two apart, is beyond max_length 48" in warned
    assert "pairs.jsonl:13" in warned


def test_kto_counts_what_it_drops_of_pairs_by_the_answer(pairs_file):
    """Seven pairs of 19 lose both their answers: 14 are more than half of the pairs, and few of 38 answers."""
    lost = [{"prompt": f"{number} " + "d" * 60, "chosen": "a", "rejected": "b"} for number in range(7)]
    events = []
    limits = {"max_length": 48, "truncation": "drop"}
    dry_run(load("tiny", pairs_file("kto", lost, data_preprocessing=limits)), 1, events.append)
    [prepared] = [event for event in events if isinstance(event, DataPrepared)]
    assert (prepared.train_rows, prepared.dropped_rows) == (24, 14)


def test_a_pair_of_equal_answers_is_an_error_with_its_line_unless_quality_is_filtered(pairs_file):
    same = {"prompt": "?", "chosen": "aa", "rejected": "aa"}
    with pytest.raises(RequestError, match="are the same") as refused:
        dry_run(load("tiny", pairs_file("dpo", [same])), 1, lambda event: None)
    assert refused.value.where.endswith("pairs.jsonl:13")
    data, _ = dry_run(
        load("tiny", pairs_file("dpo", [same], data_preprocessing={"filter_quality": True})), 1, lambda event: None
    )
    assert len(data.train.examples) == 12


@pytest.mark.parametrize("objective", ["dpo", "orpo", "simpo", "kto"])
def test_a_strategy_with_pairs_trains_evaluates_and_reports(pairs_file, objective):
    arguments = {"max_steps": 3, "eval_strategy": "steps", "eval_steps": 3}
    file = pairs_file(objective, training_args=arguments, export={"to_merged": True})
    run = train(load("tiny", file, ["dataset.eval_split=0.25"]), overwrite=False, emit=lambda event: None)
    events = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    [evaluated] = [event for event in events if event["event"] == "evaluated"]
    assert evaluated["eval_perplexity"] is None and "eval_rewards/margins" in evaluated["metrics"]
    assert run.manifest.is_file() and (run.exports / "merged").is_dir()


def test_orpo_teaches_the_chosen_answers_and_not_the_rejected_ones(pairs_file):
    loaded = load("tiny", pairs_file("orpo", training_args={"num_train_epochs": 40}))
    train(loaded, overwrite=False, emit=lambda event: None)
    answerer = Answerer(loaded.strategy)
    assert [answerer.ask(f"What is {word}?") for word in "ac"] == ["It is aa.", "It is cc."]
