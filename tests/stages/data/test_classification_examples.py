"""Rows for a classifier: which class, which text, and what happens to what does not fit."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from furrow.components.errors import RequestError
from furrow.components.events import ClassesCounted, Warned
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.prompt_template.chat.template import chat_template
from furrow.components.prompt_template.format.component import FormatConfig
from furrow.components.prompt_template.format.template import FormatTemplate
from furrow.components.records import Row
from furrow.stages.data.classification_examples import Classes, counted
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.labels import labels_of
from furrow.strategies.schema import PreprocessingConfig


def rows(*columns):
    return [Row(each, f"rows.jsonl:{number}") for number, each in enumerate(columns, 1)]


@pytest.fixture(scope="module")
def tokenizer(base_folder):
    return AutoTokenizer.from_pretrained(base_folder)


@pytest.fixture
def make(tokenizer):
    """make(rows, …) -> (texts of the examples, numbers of their classes, what was prepared)."""

    def run(given, template=None, names=(), column=None, learned=None, max_length=None):
        classes = Classes(labels_of(learned or given, names, column), keeps_end=template is not None)
        template = template or FormatTemplate(FormatConfig(format="{input}{output}"), tokenizer)
        limits = PreprocessingConfig(max_length=max_length)
        prepared = ExampleMaker(template, tokenizer, limits, "classification", classes).prepare(given)
        texts = [tokenizer.decode(example.example.input_ids) for example in prepared.examples]
        return texts, [example.label for example in prepared.examples], prepared

    return run


def test_classes_are_the_labels_that_occur_in_the_order_of_the_alphabet(make):
    texts, labels, prepared = make(rows({"text": "a b", "label": "pest"}, {"text": "c", "label": "harvest"}))
    assert (texts, labels) == (["a b", "c"], [1, 0])
    assert prepared.learned_tokens == 0 and prepared.truncated == prepared.dropped == []


def test_numbers_are_put_in_the_order_of_numbers_and_truth_values_have_names():
    assert labels_of(rows(*({"label": n} for n in (10, 2, 0))), (), None).names == ("0", "2", "10")
    assert labels_of(rows({"labels": True}, {"labels": False}), (), None).names == ("false", "true")


def test_a_strategy_that_names_the_classes_may_have_rows_that_number_them(make):
    given = rows({"text": "a", "label": 1}, {"text": "b", "label": "0"}, {"text": "c", "label": "good"})
    assert make(given, names=("bad", "good"))[1] == [1, 0, 1]
    assert make(rows({"text": "a", "sort": "good"}), names=("bad", "good"), column="sort")[1] == [1]


def test_a_label_that_training_does_not_know_is_named_with_its_line_and_the_nearest(make):
    learned = rows({"text": "a", "label": "harvest"}, {"text": "b", "label": "pest"})
    with pytest.raises(RequestError, match=r"rows.jsonl:1: the label 'harvst' is none of the 2 .*\n.*mean 'harvest'"):
        make(rows({"text": "c", "label": "harvst"}), learned=learned)
    with pytest.raises(RequestError, match="'2' is none of the 2 classes"):
        make(rows({"text": "c", "label": 2}), names=("bad", "good"))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": "a"}, "no column 'label' with the class among: text"),
        ({"text": "a", "label": None}, "column 'label' is null"),
        ({"text": "a", "label": " "}, "column 'label' is empty"),
        ({"text": "a", "label": 0.5}, "column 'label' is a number; a name or a whole number is wanted"),
        ({"text": "", "label": "x"}, "the text is empty"),
        ({"question": "a", "answer": "b", "label": "x"}, "column 'answer' is an answer, and would not be read"),
    ],
)
def test_what_cannot_be_classified_is_refused_with_its_line(make, columns, says):
    with pytest.raises(RequestError, match=f"rows.jsonl:1: .*{says}"):
        make(rows(columns), names=("x", "y"))


def test_one_class_alone_is_none():
    with pytest.raises(RequestError, match="every training row has the same class, 'x'"):
        labels_of(rows({"label": "x"}, {"label": "x"}), (), None)


def test_in_a_template_the_text_is_what_complete_asks_whatever_columns_it_comes_in(make, tokenizer):
    template = chat_template(ChatConfig(), tokenizer)
    asked = template.prompt([{"role": "user", "content": "What is it?"}])
    given = rows(
        {"text": "What is it?", "label": "x"},
        {"prompt": "What is it?", "label": "y"},
        {"instruction": "What is it?", "input": "", "label": "y"},
        {"messages": [{"role": "user", "content": "What is it?"}], "label": "x"},
        {"prompt": "What is it?", "completion": "x"},
    )
    assert make(given[:4], template)[:2] == ([asked] * 4, [0, 1, 1, 0])
    assert make(given[4:], template, names=("x", "y"), column="completion")[:2] == ([asked], [0])
    numbered = rows({"prompt": "What is it?", "output": 1}, {"prompt": "What is it?", "output": 0})
    assert make(numbered, template, column="output")[:2] == ([asked] * 2, [1, 0])


def test_a_template_with_columns_of_its_own_is_filled_up_to_the_answer(make, tokenizer):
    template = FormatTemplate(FormatConfig(format="{premise}\nSo: {hypothesis}\nAnswer: {output}"), tokenizer)
    given = rows({"premise": "It rains.", "hypothesis": "It is wet.", "label": "yes"})
    assert make(given, template, names=("no", "yes"))[0] == ["It rains.\nSo: It is wet.\nAnswer:"]


def test_of_plain_text_that_is_too_long_the_beginning_stays_and_of_a_template_the_cue_to_answer(make, tokenizer):
    given = rows({"text": "What is number 1 number 2 number 3", "label": "x"})
    whole = tokenizer(given[0].columns["text"]).input_ids
    *_, prepared = make(given, names=("x", "y"), max_length=5)
    assert prepared.examples[0].example.input_ids == whole[:5] and prepared.truncated == ["rows.jsonl:1"]
    *_, prepared = make(given, chat_template(ChatConfig(), tokenizer), names=("x", "y"), max_length=5)
    assert len(prepared.examples[0].example.input_ids) == 5
    assert tokenizer.decode(prepared.examples[0].example.input_ids).endswith("<|assistant|>")


def test_rows_are_counted_by_class_and_a_class_without_rows_is_said(make):
    learned = rows({"text": "a", "label": "x"}, {"text": "b", "label": "x"})
    *_, prepared = make(learned, names=("x", "y"))
    events = counted(labels_of(learned, ("x", "y"), None), prepared.examples, prepared.examples[:1])
    assert events[0] == ClassesCounted(labels=["x", "y"], train_rows=[2, 0], eval_rows=[1, 0])
    assert isinstance(events[1], Warned) and events[1].message == "1 of 2 classes have no row to learn from: y"
