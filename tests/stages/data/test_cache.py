"""Prepared data is found again when nothing has changed, made anew when anything has, and believed only when whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tokenizers import AddedToken
from transformers import AutoTokenizer

from furrow.components import progress
from furrow.components.disk.sizes import GIB
from furrow.components.errors import RequestError
from furrow.components.events import DataPrepared, Noted, Progressed, RowsSetAside, StageStarted, json_line
from furrow.stages.data import cache, cache_keys, gather, training_data
from furrow.stages.data.cache import Cache
from furrow.stages.data.training_data import prepare
from furrow.strategies.files import load

ROWS = [{"prompt": f"What is {word}?", "completion": f"It is {word * 2}."} for word in "abcdefghijkl"]


@pytest.fixture
def tokenizer(base_folder):
    return AutoTokenizer.from_pretrained(base_folder)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def loaded(strategy_file, place):
    """loaded("data_preprocessing.max_length=50", …): the tiny strategy, its cache in `place`."""

    def make(*overrides, **blocks):
        dataset = {"train_file": str(strategy_file().parent / "qa.jsonl"), "cache_dir": str(place)}
        blocks["dataset"] = dataset | {"eval_split": 0.25} | blocks.pop("dataset", {})
        return load("tiny", strategy_file(**blocks), list(overrides))

    return make


def prepared(loaded, tokenizer):
    events = []
    data = prepare(loaded, tokenizer, events.append)
    found = {level for level, held in (("rows", data.rows.held), ("examples", data.held)) if held.found}
    return data, events, found


@pytest.mark.parametrize("first", [b"no row\n", b"[1]\n", b"\xff\n"])
def test_of_a_long_file_the_first_rows_are_tried_before_it_is_hashed(loaded, tokenizer, tmp_path, monkeypatch, first):
    monkeypatch.setattr(progress, "SECONDS", 0)
    events = []
    prepare(loaded(), tokenizer, events.append)
    hashed = [event for event in events if isinstance(event, Progressed) and event.stage == "hashing qa.jsonl (MiB)"]
    assert (hashed[-1].done, hashed[-1].total) == (1, 1)
    file = tmp_path / "qa.jsonl"
    file.write_bytes(first + file.read_bytes())
    monkeypatch.setattr(gather, "LONG", 100)
    with pytest.raises(RequestError, match=r"qa\.jsonl:1"):
        prepare(loaded(), tokenizer, events.append)
    assert len([event for event in events if isinstance(event, Progressed) and "hashing" in event.stage]) == len(hashed)


def said(data):
    sides = data.train, data.evaluation
    return [(list(each.examples), each.truncated, each.cut_answers, each.dropped, each.lost) for each in sides]


BOTH = {"rows", "examples"}


def test_the_second_time_it_is_found_and_is_the_same_to_the_last_token_and_the_last_event(loaded, tokenizer):
    first, events, found = prepared(loaded(), tokenizer)
    assert found == set()
    again, replayed, found = prepared(loaded(), tokenizer)
    assert found == BOTH and said(again) == said(first)
    assert list(again.rows.train) == list(first.rows.train) and again.rows.files == first.rows.files
    note = [event for event in replayed if isinstance(event, Noted) and "found prepared" in event.message]
    assert len(note) == 1
    assert list(map(json_line, events)) == [json_line(event) for event in replayed if event not in note]
    assert any(isinstance(event, DataPrepared) for event in replayed)


@pytest.mark.parametrize(
    "overrides",
    [
        ["training_args.learning_rate=0.5"], ["training_args.seed=7"], ["generation.temperature=0.1"],
        ["data_preprocessing.shuffle=false"], ["data_preprocessing.seed=3"], ["export.to_gguf=true"],
        ["name=another name"], ["dataset.on_faulty_data=warn"], ["dataset.cache_gb=7"],
    ],
    ids=lambda overrides: overrides[0],
)  # fmt: skip
def test_what_changes_no_example_finds_it(loaded, tokenizer, overrides):
    prepared(loaded(), tokenizer)
    assert prepared(loaded(*overrides), tokenizer)[2] == BOTH


@pytest.mark.parametrize(
    ("blocks", "overrides", "still_found"),
    [
        ({}, ["data_preprocessing.max_length=50"], {"rows"}),
        ({}, ["data_preprocessing.max_input_length=20"], {"rows"}),
        ({}, ["data_preprocessing.max_output_length=20"], {"rows"}),
        ({}, ["data_preprocessing.truncation=drop"], {"rows"}),
        ({}, ["data_preprocessing.learned_turns=last"], {"rows"}),
        ({}, ["data_preprocessing.remove_duplicates=exact"], set()),
        ({}, ["data_preprocessing.duplicate_similarity=0.9"], set()),
        ({}, ["data_preprocessing.unicode_normalization=NFC"], set()),
        ({}, ["data_preprocessing.filter_quality=true"], set()),
        ({}, ["dataset.eval_split=0.5"], set()),
        ({}, ["dataset.on_bad_row=skip"], set()),
        ({}, ["dataset.format=prompt_completion"], set()),
        ({"dataset": {"columns": {"prompt": "prompt"}}}, [], set()),
        ({"dataset": {"splitter": {"type": "random", "seed": 9}}}, [], set()),
        ({"dataset": {"reader": {"type": "jsonl"}}}, [], set()),
        ({"prompt_template": {"format": "Q: {input} A: {output}"}}, [], {"rows"}),
        ({"prompt_template": {"type": "alpaca"}}, [], {"rows"}),
        ({"objective": "x"}, [], set()),
    ],
    ids=lambda value: json.dumps(value, default=list),
)
def test_every_setting_that_may_change_an_example_makes_it_anew(loaded, tokenizer, blocks, overrides, still_found):
    prepared(loaded(), tokenizer)
    if "objective" in blocks:
        blocks, overrides = {}, ["objective=pretrain"]
        with pytest.raises(RequestError):  # these rows have no column `text`; nothing found would have raised nothing
            prepared(loaded(*overrides), tokenizer)
        return
    assert prepared(loaded(*overrides, **blocks), tokenizer)[2] == still_found


def test_one_byte_of_a_file_makes_it_anew_though_size_and_time_are_the_same(loaded, tokenizer, strategy_file):
    file = strategy_file().parent / "qa.jsonl"
    strategy = loaded()
    before, times = prepared(strategy, tokenizer)[0], file.stat()
    file.write_bytes(file.read_bytes().replace(b"It is aa", b"It is ab"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    now, _, found = prepared(strategy, tokenizer)
    assert found == set() and said(now) != said(before)


def test_another_eval_file_and_a_byte_of_it_make_it_anew(loaded, tokenizer, tmp_path):
    file = tmp_path / "eval.jsonl"
    file.write_text(json.dumps({"prompt": "What is z?", "completion": "It is zz."}))
    blocks = {"dataset": {"eval_file": str(file), "eval_split": 0}}
    prepared(loaded(), tokenizer)
    assert prepared(loaded(**blocks), tokenizer)[2] == set()
    file.write_text(json.dumps({"prompt": "What is z?", "completion": "It is yy."}))
    assert prepared(loaded(**blocks), tokenizer)[2] == set()


def another_vocabulary(tokenizer):
    tokenizer.add_tokens(["completely new"])


def another_special_token(tokenizer):
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("<|new|>", special=True)]})


def another_end(tokenizer):
    tokenizer.eos_token = "<|user|>"


def another_chat_template(tokenizer):
    tokenizer.chat_template = "{# another #}" + tokenizer.chat_template


def another_longest(tokenizer):
    tokenizer.model_max_length = 200


@pytest.mark.parametrize(
    "change", [another_vocabulary, another_special_token, another_end, another_chat_template, another_longest]
)
def test_another_tokenizer_makes_the_tokens_anew_and_finds_the_rows(loaded, base_folder, tokenizer, change):
    prepared(loaded(), tokenizer)
    other = AutoTokenizer.from_pretrained(base_folder)
    assert prepared(loaded(), other)[2] == BOTH
    change(other)
    assert prepared(loaded(), other)[2] == {"rows"}


def test_a_tokenizer_that_lies_elsewhere_is_the_same_one(loaded, base_folder, tokenizer, tmp_path):
    prepared(loaded(), tokenizer)
    tokenizer.save_pretrained(tmp_path / "moved")
    moved = AutoTokenizer.from_pretrained(tmp_path / "moved")
    assert cache_keys.tokenizer_print(moved) == cache_keys.tokenizer_print(AutoTokenizer.from_pretrained(base_folder))


@pytest.mark.parametrize("what", ["code", "package", "python"])
def test_another_version_of_the_code_or_of_a_package_makes_it_anew(loaded, tokenizer, monkeypatch, what):
    prepared(loaded(), tokenizer)
    if what == "code":
        monkeypatch.setattr(cache_keys, "code_print", lambda: "another")
    else:
        versions = cache_keys.package_versions() | ({"tokenizers": "0"} if what == "package" else {"python": "3"})
        monkeypatch.setattr(cache_keys, "package_versions", lambda: versions)
    assert prepared(loaded(), tokenizer)[2] == set()


def test_the_print_of_the_code_changes_with_a_file_that_prepares_data_and_with_no_other(tmp_path):
    script = "from furrow.stages.data.cache_keys import code_print; print(code_print())"
    copy = tmp_path / "copy"
    shutil.copytree(Path(cache.__file__).parents[2], copy / "furrow")

    def told():
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, cwd=copy, capture_output=True, text=True, check=True)
        return done.stdout

    first = told()
    with (copy / "furrow/screen/tables.py").open("a") as file:
        file.write("\n# more\n")
    assert told() == first
    with (copy / "furrow/components/messages.py").open("a") as file:
        file.write("\n# more\n")
    second = told()
    with (copy / "furrow/components/prompt_template/builtin/chatml.jinja").open("a") as file:
        file.write(" ")
    assert len({first, second, told()}) == 3


def test_what_is_set_aside_is_the_same_when_it_is_found(loaded, tokenizer, strategy_file):
    file = strategy_file().parent / "qa.jsonl"
    file.write_text(file.read_text() + '{"prompt": "half\n' + json.dumps({"prompt": "Who?", "completion": ""}) + "\n")
    strategy = loaded("dataset.on_bad_row=skip")
    tellings = []
    for expected in (set(), BOTH):
        data, _, found = prepared(strategy, tokenizer)
        assert found == expected
        event = data.rows.bad.event()
        assert isinstance(event, RowsSetAside)
        tellings.append([json_line(event), said(data), list(data.rows.train), list(data.rows.evaluation)])
    assert tellings[0] == tellings[1] and "2" in tellings[0][0]


def test_classes_are_known_without_reading_the_rows_again(strategy_file, place, tokenizer, tmp_path):
    file = tmp_path / "labelled.jsonl"
    rows = [{"text": f"word {number}", "label": "ab"[number % 2]} for number in range(8)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = {"train_file": str(file), "cache_dir": str(place)}
    strategy = load("tiny", strategy_file(dataset=dataset), ["objective=classification"])
    first, second = (prepared(strategy, tokenizer) for _ in range(2))
    assert second[2] == BOTH and second[0].labels == first[0].labels == ["a", "b"]
    assert said(first[0]) == said(second[0])
    assert first[1][1:] == [event for event in second[1][1:] if not isinstance(event, Noted)]


def entry(place, level):
    [path] = (place / level).iterdir()
    return path


def damages():
    for level, names in (
        ("rows", ("rows.jsonl", "row_ends.bin", "account.json", "events.jsonl", "SUMS.json")),
        ("examples", ("train/tokens.bin", "train/ends.npy", "train/places.bin", "account.json", "SUMS.json")),
    ):
        for name in names:
            for how in ("flipped", "cut", "gone"):
                yield level, name, how


@pytest.mark.parametrize(("level", "name", "how"), damages())
def test_damage_is_noticed_and_it_is_made_anew(loaded, tokenizer, place, level, name, how):
    first = said(prepared(loaded(), tokenizer)[0])
    file = entry(place, level) / name
    content = bytearray(file.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
    elif how == "cut":
        file.write_bytes(content[:-1])
    else:
        file.unlink()
    again, events, found = prepared(loaded(), tokenizer)
    assert found == BOTH - {level} and said(again) == first
    assert sum("is damaged" in event.message for event in events if isinstance(event, Noted)) == 1
    assert prepared(loaded(), tokenizer)[2] == BOTH


def test_where_nothing_can_be_written_it_goes_on_and_says_so(loaded, tokenizer, place):
    place.write_text("a file, where a folder is wanted")
    data, events, found = prepared(loaded(), tokenizer)
    assert found == set() and len(data.train.examples) == 9
    assert sum("not kept" in event.message for event in events if isinstance(event, Noted)) >= 1


def test_nothing_is_kept_of_what_is_larger_than_is_allowed_and_nothing_at_all_at_0(loaded, tokenizer, place):
    for _ in range(2):
        _, events, found = prepared(loaded("dataset.cache_gb=0.000001"), tokenizer)
        assert found == set() and any("cache_gb" in event.message for event in events if isinstance(event, Noted))
    assert Cache(place, GIB).entries() == []
    prepared(loaded("dataset.cache_gb=0", "dataset.cache_dir=" + str(place / "none")), tokenizer)
    assert not (place / "none").exists()


def filled(store, key, size=1000):
    def make(folder, say):
        (folder / "content").write_bytes(b"x" * size)
        say(Noted(message=key))

    return store.provide("rows", key, f"of {key}", make, lambda event: None)


def test_the_entries_used_longest_ago_go_first_and_those_in_use_stay(tmp_path):
    store = Cache(tmp_path, 5000)
    in_use = filled(store, "a")
    for number, key in enumerate("bcd"):
        del number
        filled(store, key)
        time.sleep(0.02)
    assert filled(store, "b").found  # used again: c is now the oldest of those that nobody uses
    filled(store, "e")
    assert {each.key for each in store.entries()} == {"a", "b", "d", "e"}
    assert (in_use.path / "content").read_bytes() == b"x" * 1000


def test_only_its_owner_may_look_into_an_entry(tmp_path):
    held = filled(Cache(tmp_path, GIB), "a")
    assert held.path.stat().st_mode & 0o077 == 0


def test_examples_of_rows_that_came_out_otherwise_are_not_taken(loaded, tokenizer, place, monkeypatch):
    """What models answer may be another thing when it is asked again, and nothing else says so."""
    reading = training_data.load_rows

    def otherwise(loaded, emit, folder):
        rows = reading(loaded, emit, folder)
        rows.train = rows.train[1:]
        return rows

    prepared(loaded(), tokenizer)
    shutil.rmtree(entry(place, "rows"))
    monkeypatch.setattr(training_data, "load_rows", otherwise)
    data, _, found = prepared(loaded(), tokenizer)
    assert found == set() and len(data.train.examples) == 8


def test_clearing_leaves_what_is_in_use(tmp_path):
    store = Cache(tmp_path, GIB)
    in_use = filled(store, "a")
    filled(store, "b")
    gone, stays = store.clear()
    assert [each.key for each in gone] == ["b"] and [each.key for each in stays] == ["a"]
    assert in_use.path.is_dir() and gone[0].of == "of b"
    del in_use
    assert len(store.clear()[0]) == 1 and store.entries() == []


def test_two_that_make_the_same_at_once_both_have_it_and_one_is_kept(tmp_path):
    store = Cache(tmp_path, GIB)

    def slower(folder, say):
        filled(store, "same")
        (folder / "content").write_bytes(b"x" * 1000)

    held = store.provide("rows", "same", "", slower, lambda event: None)
    assert (held.path / "content").read_bytes() == b"x" * 1000
    assert [each.key for each in store.entries()] == ["same"]
    del held
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == ["same"]


def test_what_was_said_before_the_disk_was_full_is_said_once(tmp_path):
    store, heard, attempts = Cache(tmp_path, GIB), [], []

    def make(folder, say):
        attempts.append(folder)
        say(Noted(message="one"))
        if len(attempts) == 1:
            raise OSError(28, "No space left on device")
        say(Noted(message="two"))

    held = store.provide("rows", "key", "", make, heard.append)
    assert [event.message for event in heard if "kept" not in event.message] == ["one", "two"]
    assert len(heard) == 3 and held.path.is_dir() and tmp_path not in held.path.parents
    gone = held.path
    del held
    assert not gone.exists()


def test_what_a_killed_process_had_begun_is_neither_used_nor_left(tmp_path):
    script = f"""
import sys, time
from pathlib import Path
from furrow.stages.data.cache import Cache
def make(folder, say):
    (folder / "content").write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(60)
Cache(Path({str(tmp_path)!r}), 10**9).provide("rows", "key", "", make, lambda event: None)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = Cache(tmp_path, GIB)
    assert store.entries() == [] and len(list((tmp_path / "rows").iterdir())) == 1
    held = filled(store, "key")
    assert not held.found and (held.path / "content").read_bytes() == b"x" * 1000
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["key"]


def test_a_run_on_a_disk_that_becomes_full_prepares_its_data_elsewhere(loaded, strategy_file, tmp_path, base_folder):
    """A real file system of 300 kB for the cache."""
    rows = "".join(json.dumps({"prompt": f"What is {n}?", "completion": "word " * 20}) + "\n" for n in range(1000))
    (strategy_file().parent / "qa.jsonl").write_text(rows)
    loaded()
    small = tmp_path / "small"
    small.mkdir()
    file = strategy_file().parent / "strategies.yaml"
    body = yaml.safe_load(file.read_text())
    body["tiny"]["dataset"]["cache_dir"] = str(small)
    file.write_text(yaml.safe_dump(body))
    script = f"""
import subprocess
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", {str(small)!r}], check=True)
from transformers import AutoTokenizer
from furrow.stages.data.training_data import prepare
from furrow.strategies.files import load
tokenizer = AutoTokenizer.from_pretrained({str(base_folder)!r})
data = prepare(load("tiny", Path({str(file)!r}), []), tokenizer, lambda event: print(event))
print(len(data.train.examples) + len(data.evaluation.examples))
"""
    command = ["unshare", "-Urm", sys.executable, "-c", script]
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "the disk is full" in done.stdout and done.stdout.splitlines()[-1] == "1000"


def test_an_input_that_nothing_says_the_same_of_is_not_kept():
    assert cache_keys.rows_key(None, {"train_file": {"path": "somewhere"}}) is None


def test_how_far_it_is_is_not_said_again(tmp_path, loaded, tokenizer):
    prepared(loaded(), tokenizer)
    events = prepared(loaded(), tokenizer)[1]
    assert sum(isinstance(event, StageStarted) for event in events) == 1


def test_folders_of_others_in_the_same_place_are_no_entries_and_stay(tmp_path):
    (tmp_path / "rows" / "mine").mkdir(parents=True)
    (tmp_path / "rows" / "mine" / "letter.txt").write_text("dear")
    store = Cache(tmp_path, 1)
    assert store.entries() == []
    assert store.clear() == ([], [])
    assert (tmp_path / "rows" / "mine" / "letter.txt").read_text() == "dear"
