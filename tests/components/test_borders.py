"""What looks like a place to begin anew and is none: the ids are those of the whole text."""

from __future__ import annotations

import string

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from furrow.components.batch_encoder import BatchEncoder
from furrow.components.borders import borders_of
from furrow.components.records import END, Segment
from furrow.components.tokens import runs_of
from furrow.components.word_patterns import LLAMA3

TEXTS = ["the cat sat", "a b c", "so a b", "x\ny z", "it is the cat", "dog and the cat", "so x b"]
ROWS = [
    ([Segment(f"{one} {two}"), Segment(f"{gap}{three}", True), END], 0)
    for one in TEXTS
    for two in TEXTS
    for gap in (" ", "\n", "")
    for three in TEXTS
]


def tokenizer_of(*steps, normalizer=None, **model):
    raw = Tokenizer(models.BPE(**model))
    raw.pre_tokenizer = pre_tokenizers.Sequence(list(steps)) if steps else None
    raw.normalizer = normalizer
    raw.train_from_iterator(
        TEXTS * 20 + [f"{one} {two}" for one in TEXTS for two in TEXTS] * 5 + [*string.ascii_letters],
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=["</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if steps else [],
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", clean_up_tokenization_spaces=False)


def verify(tokenizer):
    assert BatchEncoder(tokenizer).encode(ROWS) == [runs_of(tokenizer, *row) for row in ROWS]


WHOLE = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
SPLIT = pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated")


@pytest.mark.parametrize(
    "steps", [(WHOLE, SPLIT), (WHOLE, WORDS), (WHOLE, pre_tokenizers.Metaspace()), (WHOLE, WHOLE, SPLIT)]
)
def test_where_blanks_are_bytes_already_nothing_cuts_at_them(steps):
    tokenizer = tokenizer_of(*steps)
    borders = borders_of(tokenizer.backend_tokenizer)
    assert not borders.blank and not borders.line
    verify(tokenizer)


def test_a_word_across_a_blank_that_is_a_byte_already_stays_whole():
    """As in vocabularies that prefer a word they have to what their merges would make of it."""
    merges = [("Ġ", "b"), ("x", "Ġ"), ("xĠ", "b")]
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges), "</s>"]
    raw = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=merges, ignore_merges=True))
    raw.pre_tokenizer = pre_tokenizers.Sequence([WHOLE, SPLIT])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", clean_up_tokenization_spaces=False)
    row = ([Segment("x b"), Segment("c", True), END], len(words) - 1)
    [[asked, answered, end]] = BatchEncoder(tokenizer).encode([row])
    assert [asked, answered, end] == runs_of(tokenizer, *row)
    assert tokenizer.convert_ids_to_tokens(asked.ids) == ["xĠb"]


@pytest.mark.parametrize("steps", [(SPLIT, WHOLE), (SPLIT, WHOLE, SPLIT), (WORDS, SPLIT)])
def test_a_cut_before_blanks_are_bytes_counts(steps):
    tokenizer = tokenizer_of(*steps)
    borders = borders_of(tokenizer.backend_tokenizer)
    assert borders.blank and borders.line
    verify(tokenizer)


@pytest.mark.parametrize(
    ("normalizer", "content"),
    [
        (normalizers.NFKC(), "a\u00a0b"),
        (normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), "A\u3000B"),
    ],
)
def test_an_added_token_that_has_a_blank_when_it_is_normalised_goes_across_it(normalizer, content):
    tokenizer = tokenizer_of(WORDS, normalizer=normalizer)
    assert borders_of(tokenizer.backend_tokenizer).blank
    tokenizer.add_tokens([AddedToken(content, normalized=True)])
    assert not borders_of(tokenizer.backend_tokenizer).blank
    verify(tokenizer)


def test_an_added_token_with_the_sign_of_a_blank_goes_across_where_blanks_are_written_so():
    raw = tokenizer_of(pre_tokenizers.Metaspace(prepend_scheme="never")).backend_tokenizer
    raw.pre_tokenizer, raw.normalizer = None, normalizers.Replace(" ", "▁")
    assert borders_of(raw).blank
    raw.add_tokens([AddedToken("a▁b", normalized=True)])
    assert not borders_of(raw).blank
    verify(PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", clean_up_tokenization_spaces=False))
    words = tokenizer_of(WORDS)
    words.add_tokens([AddedToken("<end▁of▁text>", normalized=True)])  # no text of it has a blank there
    assert borders_of(words.backend_tokenizer).blank
    verify(words)
