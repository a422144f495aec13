"""Segments to ids: the same ids that a server gives the model, and learned where the template says so."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from furrow.components.errors import FurrowError
from furrow.components.records import END, Segment
from furrow.components.tokens import beginning_of_sequence, end_token_id, prompt_ids, segment_ids

TEXT = ["Question: what grows? Answer: carrots grow", "<s> leeks and carrots, Answer: leeks"]


def byte_level(bos=False):
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=330, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    )
    if bos:
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")


def metaspace():
    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Metaspace(prepend_scheme="first")
    raw.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=120, special_tokens=["<s>", "</s>", "<unk>"]))
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


ROW = [Segment("Question: what grows?\nAnswer:"), Segment(" carrots", learned=True), END]


@pytest.mark.parametrize("tokenizer", [byte_level(), byte_level(bos=True), metaspace()])
def test_a_row_begins_with_the_ids_of_its_prompt_and_only_the_rest_is_learned(tokenizer):
    ids, learned = segment_ids(tokenizer, ROW, 1)
    prompt = prompt_ids(tokenizer, ROW[0].text)
    assert ids[: len(prompt)] == prompt
    assert learned == [False] * len(prompt) + [True] * (len(ids) - len(prompt))
    assert ids[-1] == 1


@pytest.mark.parametrize("tokenizer", [byte_level(bos=True), metaspace()])
def test_a_row_has_the_ids_of_its_text_in_one_piece(tokenizer):
    ids, _ = segment_ids(tokenizer, ROW, 1)
    assert ids == [*tokenizer(ROW[0].text + ROW[1].text).input_ids, 1]


def test_a_word_cut_by_a_border_leaves_the_prompt_as_a_server_tokenises_it():
    tokenizer = byte_level()
    pieces = [Segment("leeks and car"), Segment("rots", learned=True)]
    ids, learned = segment_ids(tokenizer, pieces, 1)
    prompt = prompt_ids(tokenizer, "leeks and car")
    assert tokenizer("leeks and carrots").input_ids[: len(prompt)] != prompt  # the border matters here
    assert ids[: len(prompt)] == prompt
    assert tokenizer.decode(ids) == "leeks and carrots"
    assert sum(learned) == len(ids) - len(prompt)


def test_bos_stands_once_where_the_tokenizer_adds_it_and_not_where_it_does_not():
    assert beginning_of_sequence(byte_level(bos=True)) == [0]
    assert beginning_of_sequence(byte_level()) == []
    assert prompt_ids(byte_level(bos=True), "leeks").count(0) == 1


def test_the_end_token_is_the_templates_own_or_eos_and_one_of_them_must_be_there():
    tokenizer = byte_level()
    assert end_token_id(tokenizer, None) == 1
    assert end_token_id(tokenizer, "<s>") == 0
    with pytest.raises(FurrowError, match="no single token"):
        end_token_id(tokenizer, "<|im_end|>")
    tokenizer.eos_token = None
    with pytest.raises(FurrowError, match="no end-of-sequence token"):
        end_token_id(tokenizer, None)


@pytest.mark.parametrize("tokenizer", [byte_level(), byte_level(bos=True), metaspace()])
def test_a_later_turn_has_the_ids_of_the_prompt_that_asks_it(tokenizer):
    turns = [Segment("Answer:"), Segment(" leeks", learned=True), END, Segment("\nQuestion: what grows?\nAnswer:")]
    ids, _ = segment_ids(tokenizer, turns, 1)
    assert ids == prompt_ids(tokenizer, "Answer: leeks</s>\nQuestion: what grows?\nAnswer:")


def test_tokenising_continues_after_the_end_token_of_an_earlier_answer():
    tokenizer = byte_level()
    pieces = [
        Segment("Answer:"),
        Segment(" leeks", learned=True),
        END,
        Segment("Answer:"),
        Segment(" leeks", True),
        END,
    ]
    ids, learned = segment_ids(tokenizer, pieces, 1)
    half = len(ids) // 2
    assert ids[:half] == ids[half:] and learned[:half] == learned[half:]
