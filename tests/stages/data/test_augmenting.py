"""Rows made of training rows: apart from what is measured on, marked, nothing twice, the same without the model."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Noted, RowsAugmented, TextsSent
from furrow.components.fingerprint import fingerprint
from furrow.components.generation import GenerationConfig
from furrow.components.interruption import Interrupted, StopRequest, Unwound
from furrow.components.model_app import CutOff
from furrow.components.records import Row
from furrow.screen.sentences import describe
from furrow.stages import wire
from furrow.stages.data.augmenting import answers_kept, augmented, models_asked
from furrow.stages.data.kept_answers import FILE
from furrow.stages.data.rows import Rows, load_rows
from furrow.stages.data.training_data import read_rows
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.stopped import before_it_began
from furrow.strategies.files import load
from tests.components.model_app.openai_double import serving

VARIATION = {"type": "instruction_variation", "shipped": False, "patterns": ["Please {request}."]}
WORDS = {"type": "token_replacement", "words": {"big": ["large"]}}


@pytest.fixture
def strategy(tmp_path):
    """strategy(*augmentations, **dataset) -> what `load` gives."""

    def make(*augmentations, preprocessing=None, **dataset):
        body = {
            "extends": "demo_minimal",
            "dataset": {
                "train_file": str(tmp_path / "none.jsonl"),
                "cache_dir": str(tmp_path / "cache"),
                "augmentation": list(augmentations),
                **dataset,
            },
            "data_preprocessing": preprocessing or {},
        }
        file = tmp_path / "s.yaml"
        file.write_text(yaml.safe_dump({"a": body}))
        return load("a", file)

    return make


@pytest.fixture
def server():
    with serving() as double:
        double.reply = reworded
        yield double


def reworded(body):
    """Says the text backwards, word by word, with the seed behind it: another answer to each question."""
    text = body["messages"][0]["content"].rpartition("Text:\n")[2]
    return " ".join(reversed(text.split())) + " ~" * (body["seed"] % 7)


def paraphrase(server, **settings):
    app = {"type": "openai_compatible", "config": {"base_url": server.url, "model": "garden", "retries": 0}}
    return {"type": "paraphrase", "model_app": app, **settings}


def asked_rows(*texts, column="prompt"):
    return [Row({column: text, "completion": f"Done {n}."}, f"t.jsonl:{n}") for n, text in enumerate(texts, 1)]


def made(loaded, train, evaluation=(), ask=True):
    events: list = []
    cache = Path(loaded.strategy.dataset.cache_dir) / "answers"
    rows = list(augmented(loaded.strategy, train, list(evaluation), events.append, cache, ask=ask))
    return rows, [event for event in events if isinstance(event, RowsAugmented)]


def test_rows_are_marked_with_their_origin_and_told(strategy):
    train = [Row({"prompt": "Draw a big cat.", "completion": "Done."}, "t.jsonl:1", source=3)]
    rows, [varied, replaced] = made(strategy(VARIATION, WORDS), train)
    assert [(row.columns["prompt"], row.where, row.origin, row.source) for row in rows] == [
        ("Please draw a big cat.", "t.jsonl:1 (instruction_variation 1)", "instruction_variation", 3),
        ("Draw a large cat.", "t.jsonl:1 (token_replacement 1)", "token_replacement", 3),
    ]
    assert (varied.rows, varied.made, varied.asked) == (1, 1, None)
    assert describe(replaced) == "token_replacement: 1 row made of 1"


def test_what_another_row_says_is_left_out(strategy):
    train = asked_rows("Draw a big cat.", "Draw a large cat.")
    train = [Row({**row.columns, "completion": "Done."}, row.where) for row in train]
    rows, [event] = made(strategy({**WORDS, "variants": 3}), train)
    assert (rows, event.made, event.equal) == ([], 0, 3)
    assert describe(event) == "token_replacement: 0 rows made of 2, 3 equal to another row left out"


def test_what_is_measured_on_is_left_out_also_where_it_is_put_nearly_so(strategy):
    story = "Tell the story of a big grey cat that walks through the old town at night and meets nobody but the moon"
    train = asked_rows("Draw a big cat.", story, "Paint a big dog.")
    evaluation = [
        Row({"prompt": "draw a LARGE cat", "completion": "Other answer."}, "e.jsonl:1"),
        Row({"prompt": story.replace("big", "large") + "!", "completion": "Done 2."}, "e.jsonl:2"),
        Row({"prompt": story.replace("big grey", "large gray"), "completion": "Done 2."}, "e.jsonl:3"),
    ]
    rows, [event] = made(strategy(WORDS), train, evaluation)
    assert [row.columns["prompt"] for row in rows] == ["Paint a large dog."]
    assert (event.made, event.like_evaluation) == (1, 2)
    rows, [event] = made(strategy(WORDS), train[1:2], evaluation[2:])
    assert event.like_evaluation == 1  # nearly so, and no more


def test_the_answers_are_never_changed_and_the_question_is_what_differs(strategy):
    train = asked_rows(*(f"Draw a big thing and number {n}." for n in range(30)))
    rows, _ = made(strategy({**WORDS, "columns": []}), train)
    by_place = {row.where: row for row in train}
    for row in rows:
        original = by_place[row.where.partition(" (")[0]]
        assert row.columns["completion"] == original.columns["completion"]
        assert row.columns["prompt"] != original.columns["prompt"]


def test_a_share_of_the_rows_is_varied_and_more_rows_change_nothing_for_the_others(strategy):
    train = asked_rows(*(f"Draw a big thing and number {n}." for n in range(400)))
    loaded = strategy({**WORDS, "share": 0.25})
    some, [event] = made(loaded, train[:200])
    more, _ = made(loaded, train)
    assert 30 <= event.rows == len(some) <= 70
    assert [row for row in more if row.where in {each.where for each in some}] == some
    assert {row.where for row in more} & {f"{row.where} (token_replacement 1)" for row in train[:200]} == {
        row.where for row in some
    }
    other, _ = made(strategy({**WORDS, "share": 0.25, "seed": 1}), train[:200])
    assert {row.where for row in other} != {row.where for row in some}


def test_the_prefix_of_a_task_stays_in_front(strategy):
    mix = [{"file": "a.jsonl", "prefix": "draw: "}, {"file": "b.jsonl"}]
    loaded = strategy(VARIATION, mix=mix, train_file=None)
    train = [
        Row({"prompt": "draw: Draw a cat.", "completion": "x"}, "a.jsonl:1", 0),
        Row({"prompt": "Draw it.", "completion": "y"}, "b.jsonl:1", 1),
    ]
    rows, _ = made(loaded, train)
    assert [row.columns["prompt"] for row in rows] == ["draw: Please draw a cat.", "Please draw it."]


def test_a_row_that_cannot_be_varied_is_named(strategy):
    with pytest.raises(RequestError, match="plain text") as caught:
        made(strategy(VARIATION), [Row({"text": "Once."}, "t.jsonl:7")])
    assert caught.value.where == "t.jsonl:7"


def test_without_augmentation_nothing_is_made(strategy, tmp_path):
    assert made(strategy(), asked_rows("Draw.")) == ([], [])
    assert not (tmp_path / "cache").exists()


# models that are asked


def test_the_same_again_asks_the_model_nothing_also_when_it_is_gone(strategy, tmp_path):
    train = asked_rows(*(f"Draw thing {n} for me" for n in range(5)))
    with serving() as server:
        server.reply = reworded
        loaded = strategy(paraphrase(server, variants=2))
        first, [event] = made(loaded, train)
        assert (len(first), event.asked, len(server.asked)) == (10, 10, 10)
        assert made(loaded, train)[0] == first
        assert len(server.asked) == 10
    again, [event] = made(loaded, train)
    assert (again, event.asked) == (first, 0)
    assert made(loaded, train, ask=False)[0] == first
    with pytest.raises(FurrowError, match="no server answers"):
        made(loaded, asked_rows("A new one"))


@pytest.mark.parametrize(
    "change",
    [{"prompt": "Else: Text:\n{text}"}, {"seed": 1}, {"generation": {"temperature": 0.1}}],
)
def test_whatever_an_answer_hangs_on_is_asked_anew(strategy, server, change):
    train = asked_rows("Draw a cat for me")
    made(strategy(paraphrase(server)), train)
    made(strategy(paraphrase(server, **change)), train)
    assert len(server.asked) == 2


def test_what_an_answer_does_not_hang_on_is_not(strategy, server):
    train = asked_rows("Draw a cat for me")
    given = paraphrase(server)
    made(strategy(given), train)
    given["model_app"]["config"] |= {"timeout": 5.0, "retries": 1}
    made(strategy(given), train)
    assert len(server.asked) == 1


def test_another_model_is_asked_anew(strategy, server):
    server.models.append("weeds")
    given = paraphrase(server)
    made(strategy(given), asked_rows("Draw a cat for me"))
    given["model_app"]["config"] |= {"model": "weeds"}
    made(strategy(given), asked_rows("Draw a cat for me"))
    assert [body["model"] for body in server.asked] == ["garden", "weeds"]


def test_a_file_that_answers_counts_by_what_is_in_it(strategy, tmp_path):
    gguf = tmp_path / "m.gguf"
    asked = {"type": "paraphrase", "model_app": {"type": "llama_cpp", "config": {"gguf": str(gguf)}}}
    loaded = strategy(asked)
    gguf.write_bytes(b"one")
    before = models_asked(loaded.strategy)
    gguf.write_bytes(b"two")
    assert models_asked(loaded.strategy) != before
    gguf.write_bytes(b"one")
    assert models_asked(loaded.strategy) == before


def test_unusable_answers_are_counted_with_their_reasons_and_known_too(strategy, server):
    train = asked_rows("Draw 3 cats", "Draw a cat for me", "")
    server.reply = lambda body: "Draw some cats"
    rows, [event] = made(strategy(paraphrase(server)), train)
    assert [row.columns["prompt"] for row in rows] == ["Draw some cats"]
    assert (event.failed, event.reasons) == (1, {"the answer leaves out '3'": 1})
    assert "1 could not be made (the answer leaves out '3': 1)" in describe(event)
    server.finish_reason = "length"
    loaded = strategy(paraphrase(server, seed=9))
    for _ in range(2):
        assert made(loaded, train[1:2])[1][0].reasons == {"the answer was cut at generation.max_new_tokens": 1}
    assert len(server.asked) == 3


def test_where_nobody_is_to_be_asked_nobody_is_and_nothing_is_written(strategy, server, tmp_path):
    rows, [event] = made(strategy(paraphrase(server)), asked_rows("Draw a cat for me"), ask=False)
    assert (rows, event.reasons) == ([], {"the model was not asked yet": 1})
    assert (server.requests, (tmp_path / "cache").exists()) == ([], False)


def test_it_is_said_where_the_texts_go(strategy, server):
    events: list = []
    loaded = strategy(paraphrase(server))
    list(
        augmented(
            loaded.strategy, asked_rows("Draw a cat for me"), [], events.append, Path(loaded.strategy.dataset.cache_dir)
        )
    )
    [note] = [event for event in events if isinstance(event, Noted)]
    assert server.url in note.message and "garden" in note.message


def test_rows_that_are_found_prepared_are_not_said_to_go_anywhere(strategy, server, tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"prompt": "Draw a cat for me", "completion": "ok"}) + "\n")
    loaded = strategy(paraphrase(server), train_file=str(tmp_path / "t.jsonl"))
    told = []
    for _ in range(2):
        events: list = []
        read_rows(loaded, events.append)
        told.append([any(isinstance(event, kind) for event in events) for kind in (TextsSent, RowsAugmented)])
    assert told == [[True, True], [False, True]] and len(server.asked) == 1


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_is_stopped_while_models_answer_says_that_their_answers_are_kept(strategy, server, tmp_path, resume):
    (tmp_path / "t.jsonl").write_text(json.dumps({"prompt": "Draw a cat for me", "completion": "ok"}) + "\n")

    def stopped(loaded):
        def answers():
            return answers_kept(loaded.strategy)

        with pytest.raises(Interrupted) as ended, before_it_began(RunFolder(tmp_path), StopRequest(), resume, answers):
            load_rows(loaded, lambda event: None)
            raise Unwound(signal.SIGINT)
        return str(ended.value)

    plain = strategy(train_file=str(tmp_path / "t.jsonl"))
    assert "answers" not in stopped(plain)
    assert f"the answers of the models that were asked ({tmp_path}/cache/answers/{FILE})" in stopped(
        strategy(paraphrase(server), train_file=str(tmp_path / "t.jsonl"))
    )
    assert "answers" not in stopped(plain)


def test_a_server_that_fails_is_one_error_and_what_it_said_before_is_kept(strategy, server):
    train = asked_rows(*(f"Draw a cat number {n} for me" for n in "abcdef"))
    loaded = strategy(paraphrase(server))

    def breaks(body):
        server.failures = [(500, {})] if len(server.asked) == 4 else []
        return reworded(body)

    server.reply = breaks
    with pytest.raises(FurrowError, match="out of order"):
        made(loaded, train)
    assert len(server.asked) == 4
    server.failures, server.reply = [], reworded
    rows, [event] = made(loaded, train)
    assert (len(rows), event.asked) == (6, 2)


def test_a_run_that_is_interrupted_keeps_what_was_answered(strategy, server, tmp_path):
    server.reply = lambda body: time.sleep(0.05) or reworded(body)
    (tmp_path / "t.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Draw a cat number {n} for me", "completion": "ok"}) + "\n" for n in range(100))
    )
    loaded = strategy(paraphrase(server), train_file=str(tmp_path / "t.jsonl"))
    code = (
        "import sys; from pathlib import Path; from furrow.strategies.files import load;"
        "from furrow.stages.data.rows import load_rows; load_rows(load('a', Path(sys.argv[1])), lambda e: None)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s.yaml")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.asked) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) != 0
    asked = len(server.asked)
    assert 10 <= asked < 100
    server.reply = reworded
    rows = load_rows(loaded, lambda event: None)
    assert len(rows.train) == 200
    assert len(server.asked) <= 101  # the one that was under way is asked again


def test_a_damaged_answer_is_asked_again_and_a_damaged_file_is_an_error(strategy, server, tmp_path):
    train = asked_rows("Draw a cat for me")
    loaded = strategy(paraphrase(server))
    first, _ = made(loaded, train)
    file = tmp_path / "cache" / "answers" / FILE
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE answers SET answer = 'Draw a dog'")
    assert made(loaded, train)[0] == first
    assert len(server.asked) == 2
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(FurrowError, match="cannot be read") as caught:
        made(loaded, train)
    assert caught.value.where == str(file)


def test_two_runs_at_once_share_one_file(strategy, server):
    train = asked_rows(*(f"Draw a cat number {n} for me" for n in "abcdefgh"))
    loaded = strategy(paraphrase(server))
    both = [
        augmented(loaded.strategy, train, [], lambda event: None, Path(loaded.strategy.dataset.cache_dir)) for _ in "ab"
    ]
    assert list(both[0]) == list(both[1])
    assert len(server.asked) == 8


# in the data of a run


def test_the_rows_of_a_run_hold_them_once_and_apart_from_what_is_measured(strategy, tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": f"Draw a big {w} and a moon", "completion": w}) + "\n" for w in "abcdefghij" * 2)
    )
    loaded = strategy(VARIATION, WORDS, train_file=str(file), eval_split=0.3)
    rows = load_rows(loaded, lambda event: None, tmp_path / "rows")
    train, evaluation = list(rows.train), list(rows.evaluation)
    new = [row for row in train if row.origin]
    assert len(new) == len({fingerprint(row) for row in new}) == 14
    assert not any(row.origin for row in evaluation)
    measured = {row.columns["completion"] for row in evaluation}
    assert not measured & {row.columns["completion"] for row in new}
    rows.save(tmp_path / "rows")
    again = Rows.load(tmp_path / "rows")
    assert (list(again.train), list(again.evaluation)) == (train, evaluation)


def test_a_run_that_goes_on_knows_rows_that_a_model_made_otherwise(strategy, server, tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"prompt": "Draw a cat for me", "completion": "ok"}\n')
    loaded = strategy(paraphrase(server), train_file=str(file))
    before = load_rows(loaded, lambda event: None).prints
    (tmp_path / "cache" / "answers" / FILE).unlink()
    assert load_rows(loaded, lambda event: None).prints == before
    (tmp_path / "cache" / "answers" / FILE).unlink()
    server.reply = lambda body: "Sketch a cat"
    assert load_rows(loaded, lambda event: None).prints != before


def test_an_address_at_which_nothing_answers_is_one_error(strategy, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = {"type": "openai_compatible", "config": {"base_url": url, "model": "m"}}
    with pytest.raises(FurrowError, match=url):
        made(strategy({"type": "back_translation", "model_app": app}), asked_rows("Draw a cat"))


def test_the_base_model_of_the_strategy_can_be_asked(strategy_file, tmp_path):
    app = {"type": "transformers", "config": {"adapter": False}}
    asking = {"type": "paraphrase", "model_app": app, "prompt": "Again: {text}", "generation": {"max_new_tokens": 6}}
    dataset = {"train_file": str(tmp_path / "qa.jsonl"), "augmentation": [asking], "cache_dir": str(tmp_path / "cache")}
    loaded = load("tiny", strategy_file(dataset=dataset))
    train = asked_rows("What is a?", "What is b?")
    first, [event] = made(loaded, train)
    assert event.asked == 2 == event.made + event.failed + event.equal
    again, [event] = made(loaded, train)
    assert (again, event.asked) == (first, 0)
    model = wire.asked_app(loaded.strategy, loaded.strategy.dataset.augmentation[0].config.model_app)
    greedy = GenerationConfig(max_new_tokens=6)
    said = []
    with contextlib.suppress(CutOff):
        said += model.chat([{"role": "user", "content": "Hi"}], greedy)
    assert said == list(model.answer("<|user|>Hi<|end|><|assistant|>", greedy, ["<|end|>"]))
    with pytest.raises(CutOff):
        list(model.chat([{"role": "user", "content": "Hi"}], GenerationConfig(max_new_tokens=1)))
