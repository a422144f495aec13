"""Rows as examples, through the whole maker: in batches as one by one, by the template of their set, within limits."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from transformers import AutoTokenizer

from furrow.components.errors import FurrowError, RequestError
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.records import END, Row, Segment
from furrow.components.registry import factory, find
from furrow.stages.data import batches
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.examples import ExampleMaker, maker_for
from furrow.stages.data.rows import load_rows
from furrow.strategies.files import load
from furrow.strategies.schema import PreprocessingConfig


@pytest.fixture(scope="module")
def tokenizer(base_folder):
    return AutoTokenizer.from_pretrained(base_folder)


@pytest.fixture
def chat(tokenizer):
    return factory(find("prompt_template", "chat"))(ChatConfig(), tokenizer)


def plain(tokenizer, form):
    component = find("prompt_template", "format")
    return factory(component)(component.config.model_validate({"format": form}), tokenizer)


def talk(turns, **more):
    messages = [{"role": "system", "content": "Be kind."}] if more.pop("system", True) else []
    for number in range(turns):
        messages += [
            {"role": "user", "content": f"q{number}?"},
            {"role": "assistant", "content": f"a{number}.", **more},
        ]
    return messages


def row(columns, number=1, source=0):
    return Row(columns, f"rows.jsonl:{number}", source)


def learned_text(tokenizer, example):
    return tokenizer.decode([token for token, on in zip(example.input_ids, example.learned, strict=True) if on])


def test_rows_in_many_batches_are_the_examples_of_each_row_alone(tokenizer, chat, monkeypatch):
    monkeypatch.setattr(batches, "ROWS", 7)
    monkeypatch.setattr(batches, "CHARACTERS", 300)
    rows = [row({"prompt": "x" * (number % 60), "completion": f"It is {number}."}, number) for number in range(1, 61)]
    for maker in (
        ExampleMaker(chat, tokenizer, PreprocessingConfig(max_length=40)),
        ExampleMaker(plain(tokenizer, "Q: {input}\nA: {output}"), tokenizer, PreprocessingConfig(max_length=30)),
    ):
        together = maker.prepare(iter(rows))
        alone = [maker.prepare([each]) for each in rows]
        assert together.examples == [example for prepared in alone for example in prepared.examples]
        assert together.truncated == [place for prepared in alone for place in prepared.truncated] != []


def test_what_is_wrong_with_a_row_is_raised_in_the_order_of_the_rows_or_set_aside(tokenizer, chat, monkeypatch):
    monkeypatch.setattr(batches, "ROWS", 2)
    fine = {"prompt": "a", "completion": "b"}
    given = [fine, fine, {"prompt": "a", "completion": ""}, fine, {"wrong": 1}, fine, fine]
    rows = [row(columns, number) for number, columns in enumerate(given, 1)]
    with pytest.raises(RequestError, match=r"rows\.jsonl:3"):
        ExampleMaker(chat, tokenizer, PreprocessingConfig()).prepare(rows)
    bad = BadRows(skip=True)
    prepared = ExampleMaker(chat, tokenizer, PreprocessingConfig(), bad=bad).prepare(rows)
    assert [example.where for example in prepared.examples] == [f"rows.jsonl:{number}" for number in (1, 2, 4, 6, 7)]
    assert [each.where for each in bad.found] == ["rows.jsonl:3", "rows.jsonl:5"]


def test_a_failure_of_the_source_comes_after_the_rows_before_it():
    def source():
        yield [1]
        yield [2]
        raise FurrowError("the file ends here")

    seen = []
    with pytest.raises(FurrowError, match="ends here"):
        for batch, made in batches.worked(source(), sum):
            seen.append((batch, made))
    assert seen == [([1], 1), ([2], 2)]


def test_every_answer_is_learned_or_the_last_alone(tokenizer, chat):
    given = row({"messages": talk(3)})
    for turns, expected in (("all", "a0.<|end|>a1.<|end|>a2.<|end|>"), ("last", "a2.<|end|>")):
        maker = ExampleMaker(chat, tokenizer, PreprocessingConfig(learned_turns=turns))
        [example] = maker.prepare([given]).examples
        assert learned_text(tokenizer, example) == expected


def test_a_message_has_its_weight_and_one_of_weight_0_is_given(tokenizer, chat):
    messages = talk(3)
    messages[2]["weight"], messages[4]["weight"] = 0, 0.5
    [example] = ExampleMaker(chat, tokenizer, PreprocessingConfig()).prepare([row({"messages": messages})]).examples
    assert learned_text(tokenizer, example) == "a1.<|end|>a2.<|end|>"
    by_weight = {
        weight: tokenizer.decode([token for token, _ in tokens])
        for weight, tokens in itertools.groupby(
            [each for each in zip(example.input_ids, example.weights, strict=True) if each[1]], lambda each: each[1]
        )
    }
    assert by_weight == {0.5: "a1.<|end|>", 1.0: "a2.<|end|>"}


@pytest.mark.parametrize("turns_left", [3, 2, 1])
def test_a_conversation_loses_its_first_turns_and_is_the_shorter_conversation(tokenizer, chat, turns_left):
    def prepare(messages, **limits):
        maker = ExampleMaker(chat, tokenizer, PreprocessingConfig(truncation="cut_turns", **limits))
        return maker.prepare([row({"messages": messages})])

    whole = talk(4)
    short = [whole[0], *whole[-2 * turns_left :]]
    [wanted] = prepare(short).examples
    found = prepare(whole, max_length=len(wanted.input_ids) + 1)
    assert found.examples == [wanted]
    assert found.truncated == ["rows.jsonl:1"] and found.cut_answers == found.dropped == []
    assert prepare(whole, max_length=10).dropped == ["rows.jsonl:1"]


def test_a_system_message_stays_where_the_beginning_of_a_prompt_is_cut(tokenizer):
    template = plain(tokenizer, "Q: {input}\nA: {output}")
    columns = {"messages": [{"role": "system", "content": "Be kind."}, *talk(1, system=False)]}
    columns["messages"][1]["content"] = "long " * 20
    maker = ExampleMaker(template, tokenizer, PreprocessingConfig(max_length=40))
    prepared = maker.prepare([row(columns)])
    text = tokenizer.decode(prepared.examples[0].input_ids)
    assert text.startswith("Be kind.\n") and text.endswith("long \nA: a0.<|end|>")
    assert len(prepared.examples[0].input_ids) == 40 and prepared.truncated == ["rows.jsonl:1"]


def test_each_set_of_a_mix_has_its_template_and_other_rows_that_of_the_strategy(tokenizer, chat):
    forms = [plain(tokenizer, form) for form in ("1 {input} {output}", "2 {input} {output}")]
    maker = ExampleMaker(chat, tokenizer, PreprocessingConfig(), templates=forms)
    fine = {"prompt": "a", "completion": "b"}
    prepared = maker.prepare([row(fine, number, source=number) for number in (0, 1, 2)])
    texts = [tokenizer.decode(example.input_ids) for example in prepared.examples]
    assert texts == ["1 a b<|end|>", "2 a b<|end|>", "<|user|>a<|end|><|assistant|>b<|end|>"]
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    maker = ExampleMaker(chat, tokenizer, PreprocessingConfig(), "dpo", templates=forms)
    [example] = maker.prepare([row(pair, 1, source=1)]).examples
    assert tokenizer.decode(example.chosen.input_ids) == "2 a b<|end|>"


def test_a_strategy_names_the_template_of_each_set(strategy_file, tokenizer, tmp_path):
    files = []
    for number, name in enumerate(("first", "second")):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(json.dumps({"prompt": f"a{number}", "completion": "b"}) + "\n")
        files.append(str(file))
    mix = [{"file": files[0], "template": {"format": "Q {input} {output}"}}, {"file": files[1]}]
    loaded = load("tiny", strategy_file(dataset={"mix": mix}))
    rows = load_rows(loaded, lambda event: None)
    prepared = maker_for(loaded.strategy, tokenizer, rows).prepare(rows.train)
    texts = {tokenizer.decode(example.input_ids) for example in prepared.examples}
    assert texts == {"Q a0 b<|end|>", "<|user|>a1<|end|><|assistant|>b<|end|>"}


def test_what_is_shown_uncut_agrees_with_what_is_prepared(tokenizer, chat):
    columns = {"messages": talk(4)}
    for limits in ({}, {"max_length": 40}, {"max_length": 40, "truncation": "cut_turns"}, {"max_output_length": 2}):
        maker = ExampleMaker(chat, tokenizer, PreprocessingConfig(**limits))
        [example] = maker.prepare([row(columns)]).examples
        [(whole, positions)] = maker.uncut(row(columns))
        assert [whole.input_ids[at] for at in positions] == example.input_ids


@dataclasses.dataclass
class Unhashable:
    """A template as somebody else may write it."""

    asked: str = "Q "

    def train_segments(self, row):
        return [Segment(self.asked), Segment(row.columns["text"], True), END]

    def system(self):
        return None

    def end_of_turn(self):
        return None


def test_a_template_that_cannot_be_hashed_renders_rows(tokenizer):
    with pytest.raises(TypeError):
        hash(Unhashable())
    made = ExampleMaker(Unhashable(), tokenizer, PreprocessingConfig()).prepare([row({"text": "A"})]).examples
    assert [tokenizer.decode(each.input_ids) for each in made] == ["Q A<|end|>"]
