"""Rows encoded many at a time have the ids of rows encoded piece by piece, whatever the tokenizer and the text."""

from __future__ import annotations

import itertools
import random
import string

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from furrow.components import batch_encoder
from furrow.components.batch_encoder import BatchEncoder
from furrow.components.records import END, Segment
from furrow.components.tokens import runs_of
from furrow.components.word_patterns import GPT4O, LLAMA3, QWEN2, TEKKEN

SPECIAL = ["</s>", "<|im_start|>", "<|im_end|>", "<s>", "<unk>"]
WORDS = [
    "carrots", "Carrots", "leek", "it's", "I'LL", "don't", "x", "a", "The", "naïve", "Äpfel", "日本", "नमस्ते", "🥕",
    "e\u0301", "12", "1234567", "3.14", "...", "?!", "(", ")", "--", "#", "/", "\n/", " ", "  ", "   ", "\t", "\n",
    "\n\n", " \n ", "\r\n", "\u00a0", "\u3000", "▁", "▁a", "</", "<|im_", "end|>", "s>", "<|im_end|>",
    "<|im_start|>", "</s>", "assistant", ":", "'", "'s",
]  # fmt: skip
CUES = ["\nAnswer:", "\n\n### Response:\n", "<|im_end|>\n<|im_start|>assistant\n", " [/INST]", "A: ", "", "\n"]


def byte_level(*cuts, **settings):
    raw = Tokenizer(models.BPE(**settings))
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not cuts or cuts[0] == "digits")
    steps = [
        pre_tokenizers.Digits(individual_digits=True)
        if cut == "digits"
        else pre_tokenizers.Split(Regex(cut), behavior="isolated")
        for cut in cuts
    ]
    raw.pre_tokenizer = pre_tokenizers.Sequence([*steps, last])
    return raw, trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def sentencepiece(split, kind="BPE", scheme="first"):
    raw = Tokenizer(models.Unigram() if kind == "Unigram" else models.BPE(byte_fallback=True, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    if kind == "Unigram":
        return raw, trainers.UnigramTrainer(
            vocab_size=250, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        )
    return raw, trainers.BpeTrainer(vocab_size=350, special_tokens=SPECIAL, show_progress=False)


def as_in_llama2():
    """No cutting into words at all: merges alone keep them apart."""
    raw, trainer = sentencepiece(True, scheme="never")
    return raw, trainer


def gpt2():
    return byte_level()


def smollm():
    return byte_level("digits")


def llama3():
    return byte_level(LLAMA3, ignore_merges=True)


def qwen2():
    raw, trainer = byte_level(QWEN2)
    raw.normalizer = normalizers.NFC()
    return raw, trainer


def tekken():
    return byte_level(TEKKEN)


def gpt4o():
    return byte_level(GPT4O)


def unknown_cuts():
    """Takes line ends and what follows together, which no known expression does."""
    return byte_level(r"\s*\S+|\s+$|\s+")


def looks_ahead():
    """A word ends where a question mark comes, however far away."""
    return byte_level(r"\w+(?=[^?]*\?)|\w|\W+")


def metaspace():
    return sentencepiece(True)


def metaspace_always():
    return sentencepiece(True, scheme="always")


def metaspace_whole():
    return sentencepiece(False)


def unigram():
    return sentencepiece(True, "Unigram")


def unigram_whole():
    return sentencepiece(False, "Unigram", "always")


KINDS = [
    gpt2, smollm, llama3, qwen2, tekken, gpt4o, unknown_cuts, looks_ahead, metaspace, metaspace_always, metaspace_whole,
    unigram, unigram_whole, as_in_llama2,
]  # fmt: skip


def text_of(chance, words):
    return "".join(
        chance.choice(WORDS) + (" " if chance.random() < 0.6 else "") for _ in range(chance.randint(1, words))
    )


def tokenizer_of(kind, bos=False):
    raw, trainer = kind()
    chance = random.Random(1)
    texts = [text_of(chance, 30) + chance.choice(CUES) for _ in range(300)]
    raw.train_from_iterator([*texts, *string.ascii_letters], trainer)
    if kind is as_in_llama2:
        raw.pre_tokenizer = None
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="</s>", bos_token="<s>" if bos else None, clean_up_tokenization_spaces=False
    )


def row_of(chance):
    """A random row: turns with and without end tokens, borders in the middle of words, weights, empty pieces."""
    segments = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        given = text_of(chance, 12) if chance.random() < 0.9 else ""
        segments.append(Segment(given + chance.choice(CUES)))
        if chance.random() < 0.1:
            segments.append(Segment(text_of(chance, 3)))
        weight = chance.choice([1.0, 1.0, 0.5])
        segments.append(Segment(text_of(chance, 12), learned=chance.random() < 0.9, weight=weight))
        if chance.random() < 0.8:
            segments.append(END)
    return segments


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_are_those_of_encoding_every_beginning_of_the_row(kind):
    tokenizer = tokenizer_of(kind)
    encoder, chance = BatchEncoder(tokenizer), random.Random(kind.__name__)
    rows = [(row_of(chance), chance.choice([0, 2])) for _ in range(500)]
    for (segments, end_id), runs in zip(rows, encoder.encode(rows), strict=True):
        assert runs == runs_of(tokenizer, segments, end_id), segments


@pytest.mark.parametrize("kind", [gpt2, llama3, metaspace, unigram])
@pytest.mark.parametrize("settings", [{"rstrip": True}, {"lstrip": True}, {"single_word": True}, {"normalized": True}])
def test_added_tokens_that_look_at_their_neighbours_change_no_id(kind, settings):
    tokenizer = tokenizer_of(kind, bos=True)
    tokenizer.add_tokens([AddedToken("<|im_start|>!", **settings), AddedToken("Answer: a", **settings)])
    encoder, chance = BatchEncoder(tokenizer), random.Random(str(settings))
    rows = [(row_of(chance), 0) for _ in range(200)]
    assert encoder.encode(rows) == [runs_of(tokenizer, *row) for row in rows]


class InPython:
    """A tokenizer without a backend: nothing is known of where it begins anew."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.bos_token_id = None
        self.convert_ids_to_tokens = tokenizer.convert_ids_to_tokens

    def __call__(self, text, add_special_tokens=True):
        return self._tokenizer(text.replace("x", "carrots"), add_special_tokens=add_special_tokens)


def test_a_tokenizer_that_changes_the_text_in_python_is_asked_itself():
    tokenizer = InPython(tokenizer_of(gpt2))
    chance = random.Random(3)
    rows = [(row_of(chance), 0) for _ in range(50)]
    assert BatchEncoder(tokenizer).encode(rows) == [runs_of(tokenizer, *row) for row in rows]


@pytest.mark.parametrize("kind", [gpt2, smollm, llama3, qwen2, gpt4o, metaspace, as_in_llama2])
@pytest.mark.parametrize(
    ("before", "cue"),
    [
        ("", "<|im_start|>assistant\n"),
        ("Question: ", "\nAnswer:"),
        ("", "\n\n### Response:\n"),
        ("", " So the answer is"),
    ],
)
def test_rows_of_usual_templates_are_encoded_once(kind, before, cue, monkeypatch):
    tokenizer = tokenizer_of(kind)
    rows = [
        ([Segment(f"{before}What is {n} to the leek?{cue}"), Segment(" It is so.", True), END], 2) for n in range(50)
    ]
    expected = [runs_of(tokenizer, *row) for row in rows]
    monkeypatch.setattr(batch_encoder, "runs_of", lambda *row: pytest.fail("a row was encoded by itself"))
    assert BatchEncoder(tokenizer).encode(rows) == expected


def test_a_border_in_the_middle_of_a_word_leaves_the_prompt_as_a_server_has_it():
    tokenizer = tokenizer_of(gpt2)
    rows = [([Segment("What is a carr"), Segment("ots", True), END], 2)]
    [[given, answer, end]] = BatchEncoder(tokenizer).encode(rows)
    assert given.ids == tokenizer("What is a carr").input_ids and answer.ids == tokenizer("ots").input_ids
    assert end.ids == [2]


@pytest.mark.parametrize("kind", [gpt2, llama3, qwen2, gpt4o])
@pytest.mark.parametrize("cue", ["\nAnswer:", "<|im_end|>\n<|im_start|>assistant\n", " So the answer is"])
def test_a_cue_that_its_question_or_answer_repeats_or_joins_is_cut_where_it_is_one(kind, cue):
    tokenizer = tokenizer_of(kind)
    questions = ["What is it?", f"What?{cue} x", f"{cue}{cue}", f"\u212aelvin: \u00e9{cue[:-1]}"]
    answers = [" It is.", f" It is.{cue} x", f":{cue}", "\n\n", "n't so", f"{cue[1:]}", "<|im_start|>", "\u0301 Ä"]
    rows = [([Segment(one + cue), Segment(other, True), END], 2) for one in questions for other in answers]
    rows += [([*first[:2], *second, *first], 2) for (first, _), (second, _) in itertools.pairwise(rows)]
    assert BatchEncoder(tokenizer).encode(rows) == [runs_of(tokenizer, *row) for row in rows]
