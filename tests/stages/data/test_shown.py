"""A row token by token: the texts make up the whole, and what is cut, special and weighted is said."""

from __future__ import annotations

import json
import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.stages.data.shown import Hidden, Token, abridged, shown, token_texts
from furrow.stages.preview import preview
from furrow.stages.train import dry_run
from furrow.strategies.files import load

TEXTS = ["What is a? It is aa.", "naïve 你好, 👩‍🌾!", "  two  blanks\n\n", "", "\ufffd or not", "🌾" * 5]


@pytest.fixture(scope="module")
def pieces():
    """A tokenizer as SentencePiece makes them: a blank is a part of the word behind it, and bytes are what is left."""
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()])
    names = ["<unk>", *(f"<0x{number:02X}>" for number in range(256))]
    raw.train_from_iterator(["What is a? It is aa."] * 3, trainers.BpeTrainer(vocab_size=320, special_tokens=names))
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>")


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_the_tokens_make_up_the_whole_text(base_folder, pieces, text):
    for tokenizer in (AutoTokenizer.from_pretrained(base_folder), pieces):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        texts = list(token_texts(ids, tokenizer))
        assert len(texts) == len(ids)
        assert "".join(texts) == tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_texts_of_any_letters_are_made_up_of_their_tokens(base_folder, pieces):
    chance = random.Random(1)
    for tokenizer in (AutoTokenizer.from_pretrained(base_folder), pieces):
        for _ in range(50):
            text = "".join(chance.choice("aW \u00e9\u4f60\U0001f33e\n\u0301") for _ in range(20))
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert "".join(token_texts(ids, tokenizer)) == tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_a_character_of_several_tokens_is_shown_where_it_is_whole(base_folder):
    tokenizer = AutoTokenizer.from_pretrained(base_folder)
    ids = tokenizer("a你b", add_special_tokens=False).input_ids
    assert list(token_texts(ids, tokenizer)) == ["a", "", "", "你", "b"]


def written(tmp_path, *rows):
    file = tmp_path / "seen.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def told(each):
    """Learned text in ⟦⟧, special tokens in ‹›, cut text in ⟪⟫."""
    text = ""
    for token in each.tokens:
        piece = f"‹{token.text}›" if token.special else token.text
        piece = f"⟦{piece}⟧" if token.learned else piece
        text += piece if token.kept else f"⟪{piece}⟫"
    return text.replace("⟧⟦", "").replace("⟫⟪", "")


def ignore(event):
    pass


def test_learned_and_special_tokens_are_told_apart(strategy_file, tmp_path):
    data = written(tmp_path, {"prompt": "a?", "completion": "aa"}, {"prompt": "b?", "completion": "bb"})
    seen = preview(load("tiny", strategy_file(dataset={"train_file": data})), ignore, count=1)
    [row] = seen.rows
    assert told(row) == "‹<|user|>›a?‹<|end|>›‹<|assistant|>›⟦aa‹<|end|>›⟧"
    assert (row.seen, row.learned, row.cut) == (len(row.tokens), 3, 0)
    assert (seen.train_rows, seen.eval_rows) == (2, 0)


def test_what_the_limit_cuts_is_shown_as_cut_and_the_rest_is_what_is_trained(strategy_file, tmp_path):
    data = written(tmp_path, *({"prompt": "a" * 40 + "?", "completion": word} for word in ("b", "c")))
    limits = {"max_input_length": 12}
    file = strategy_file(dataset={"train_file": data}, data_preprocessing=limits)
    trained, seen = dry_run(load("tiny", file), 2, ignore)
    for each, example in zip(seen, trained.train.examples, strict=True):
        assert [token.id for token in each.tokens if token.kept] == list(example.input_ids)
        assert [token.learned for token in each.tokens if token.kept] == list(example.learned)
        assert each.cut == 44 - 12


def test_a_row_of_which_nothing_would_be_learned_says_that_it_is_dropped(strategy_file, tmp_path):
    rows = [{"prompt": "a?", "completion": "aa"}] * 3 + [{"prompt": "a" * 90, "completion": "aa"}]
    settings = {"max_length": 30, "truncation": "drop"}
    file = strategy_file(dataset={"train_file": written(tmp_path, *rows)}, data_preprocessing=settings)
    [row] = preview(load("tiny", file), ignore, asked=["4"]).rows
    assert row.seen == row.learned == 0 and row.cut == 96
    assert row.note.startswith("dropped:")


def test_a_dry_run_and_a_preview_agree(strategy_file):
    loaded = load("tiny", strategy_file())
    assert dry_run(loaded, 3, ignore)[1] == preview(loaded, ignore, count=3).rows


def test_rows_are_found_by_number_by_place_and_on_either_side(strategy_file, tmp_path):
    rows = [{"prompt": f"{number}?", "completion": str(number)} for number in range(1, 9)]
    train, evaluation = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for file, some in ((train, rows[:5]), (evaluation, rows[5:])):
        file.write_text("".join(json.dumps(row) + "\n" for row in some))
    loaded = load("tiny", strategy_file(dataset={"train_file": str(train), "eval_file": str(evaluation)}))

    def asked(*places, side="train"):
        return [row.where.rpartition("/")[2] for row in preview(loaded, ignore, asked=places, side=side).rows]

    assert asked("3", "b.jsonl:2", f"{train}:1") == ["a.jsonl:3", "b.jsonl:2", "a.jsonl:1"]
    assert asked("3", side="eval") == ["b.jsonl:3"]
    for place, said in (("6", "5 rows to learn"), ("0", "5 rows to learn"), ("a.jsonl:6", "stands at a.jsonl:6")):
        with pytest.raises(RequestError, match=said):
            asked(place)
    with pytest.raises(RequestError, match="3 rows to evaluate on"):
        asked("4", side="eval")


def test_the_side_that_is_not_there_is_a_wrong_request(strategy_file):
    with pytest.raises(RequestError, match="no row to evaluate on"):
        preview(load("tiny", strategy_file()), ignore, side="eval")


def test_a_long_text_is_shown_as_the_parts_that_it_becomes(strategy_file, tmp_path):
    data = written(tmp_path, {"text": "abcdefghij" * 9})
    file = strategy_file(
        objective={"type": "pretrain"}, dataset={"train_file": data}, data_preprocessing={"max_length": 20}
    )
    rows = preview(load("tiny", file), ignore).rows
    assert [row.role for row in rows] == ["part 1 of 5", "part 2 of 5", "part 3 of 5"]
    assert told(rows[0]) == "⟦" + "abcdefghij" * 2 + "⟧"
    assert told(rows[1]) == "j⟦" + ("abcdefghij" * 2)[:19] + "⟧"


def test_the_class_of_a_text_is_named(strategy_file, tmp_path):
    data = written(tmp_path, {"text": "a", "label": "good"}, {"text": "b", "label": "bad"})
    file = strategy_file(objective={"type": "classification"}, dataset={"train_file": data})
    assert [row.role for row in preview(load("tiny", file), ignore).rows] == ["class 1 (good)", "class 0 (bad)"]


def test_the_middle_of_a_long_stretch_is_counted_and_not_shown():
    def token(number, kept):
        return Token(number, "a", False, False, kept, 0.0)

    tokens = [token(number, number < 5) for number in range(505)]
    pieces = list(abridged(tokens))
    assert pieces[:5] == tokens[:5] and pieces[65] == Hidden(380, False) and pieces[66:] == tokens[-60:]
    assert str(pieces[65]) == "… 380 more tokens cut away …"
    assert list(abridged(tokens[:125])) == tokens[:125]


def test_the_weight_of_a_turn_stands_at_its_tokens(strategy_file, tmp_path):
    turns = [("user", "a?"), ("assistant", "aa"), ("user", "b?"), ("assistant", "bb")]
    messages = [{"role": role, "content": content} for role, content in turns]
    messages[1]["weight"] = 0.25
    file = strategy_file(dataset={"train_file": written(tmp_path, *[{"messages": messages}] * 2)})
    [row] = preview(load("tiny", file), ignore, count=1).rows
    weights = [token.weight for token in row.tokens if token.learned]
    assert weights == [0.25] * 3 + [1.0] * 3
    assert {token.weight for token in row.tokens if not token.learned} == {0.0}


def test_a_row_that_does_not_fit_is_named(strategy_file, tmp_path):
    data = written(tmp_path, {"prompt": "a?", "completion": ""}, {"prompt": "b?", "completion": "bb"})
    with pytest.raises(RequestError) as error:
        preview(load("tiny", strategy_file(dataset={"train_file": data})), ignore)
    assert str(error.value).startswith(f"{data}:1:")


def test_shown_needs_no_place_in_a_file(strategy_file):
    loaded = load("tiny", strategy_file())
    maker = dry_run(loaded, 1, ignore)[0].maker
    [row] = shown(Row({"prompt": "x", "completion": "y"}, "here"), maker)
    assert row.where == "here"
