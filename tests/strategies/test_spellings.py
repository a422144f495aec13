"""The three spellings of a strategy file."""

from __future__ import annotations

import pytest

from furrow.components.errors import RequestError
from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load, load_all, names, summaries
from furrow.strategies.source import read_text
from furrow.strategies.spellings import MAX_STRATEGIES, bodies

BODY = "{method: {r: 4}, export: {to_gguf: true}}"
SPELLINGS = {
    "top level": f"mine: {BODY}\nother: {{}}\n",
    "strategies mapping": f"strategies:\n  mine: {BODY}\n  other: {{}}\n",
    "strategies list": "version: 1.0\nstrategies:\n  - name: mine\n    method: {r: 4}\n    export: {to_gguf: true}\n"
    "  - name: other\n",
    "top level with version": f'version: "1"\nmine: {BODY}\nother:\n',
    "with a byte order mark and CRLF": f"\ufeffmine: {BODY}\r\nother: {{}}\r\n",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_gives_the_same_strategy(text, write):
    reference = load("mine", write(SPELLINGS["top level"])).strategy
    path = write(text)
    assert names(path) == ["mine", "other"]
    assert load("mine", path).strategy == reference
    assert reference.export.to_gguf


def test_in_a_list_title_is_the_name_for_people(write):
    path = write("strategies:\n- {name: mine, title: My Own, description: a\n    b}\n")
    assert load("mine", path).strategy.title == "My Own"


def test_summaries_name_every_strategy_without_verifying_it(write):
    path = write("good: {name: Good}\nbad: {nonsense: 1, description: two\n    lines}\n")
    assert [(one.key, one.title, one.description) for one in summaries(path)] == [
        ("good", "Good", ""),
        ("bad", "bad", "two lines"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("- a\n", "s.yaml: ", "no strategy in it"),
        ("", "s.yaml: ", "no strategy in it"),
        ("strategies: 5\n", "s.yaml:1: strategies: ", "a mapping or a list"),
        ("strategies:\n- {name: a}\n- {nam: b}\n", "s.yaml:3: strategies[1]: ", "needs a `name`"),
        ("strategies:\n- {name: a}\n- {name: a}\n", "s.yaml:3: strategies[1]: ", "the first in line 2"),
        ("version: 1\nstrategies: {a: {}}\nextra: 1\n", "s.yaml:3: extra: ", "there is only `version`"),
        ("method: {r: 4}\ntraining_args: {}\n", "s.yaml:1: method: ", "is a block of a strategy, not a strategy"),
        ("../../a: {}\n", "s.yaml:1: ../../a: ", "the name of a strategy begins with"),
        ("strategies: [{name: 'a/b'}]\n", "s.yaml:1: strategies[0]: ", "the name of a strategy begins with"),
        ("a: text\n", "s.yaml:1: a: ", "a strategy is a mapping"),
    ],
)
def test_what_is_no_strategy_file_is_refused_with_its_line(text, line, what, write):
    with pytest.raises(RequestError) as refused:
        load_all(write(text))
    assert str(refused.value).startswith(line)
    assert what in str(refused.value)


def test_an_unknown_name_is_answered_with_the_nearest(write):
    with pytest.raises(RequestError, match="did you mean 'production'"):
        load("productoin", write("production: {}\ntesting: {}\n"))
    with pytest.raises(RequestError, match="did you mean 'demo_minimal'"):
        load("demo_minimul")


def test_validating_a_file_reports_the_problems_of_all_its_strategies(write):
    with pytest.raises(RequestError) as refused:
        load_all(write("a: {exprot: {}}\nb: {extends: nobody}\nc: {}\n"))
    assert [line.split(": ")[0] for line in str(refused.value).splitlines()] == ["s.yaml:1", "s.yaml:2"]


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(RequestError, match="No such file"):
        load("a", tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: {name: caf\xe9}\n")
    with pytest.raises(RequestError, match="not UTF-8: byte 13 is 0xe9"):
        load("a", tmp_path / "latin.yaml")


def test_every_bad_name_is_reported_and_none_poses_as_a_line():
    text = '"a\\nerror: line2": {}\n"": {}\ngood: {}\n"b\\u2028c": {}\nd: 3\n'
    with pytest.raises(StrategyErrors) as raised:
        bodies(read_text(text, "x.yaml"))
    lines = str(raised.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["x.yaml:1", "x.yaml:2", "x.yaml:4", "x.yaml:5"]
    assert lines[0].startswith("x.yaml:1: a\\nerror: line2: the name") and lines[2].startswith("x.yaml:4: b\\u2028c:")


def test_as_many_strategies_as_are_allowed_fit_if_each_changes_a_dozen_values():
    one = "  extends: a\n  training_args: {" + ", ".join(f"k{n}: {n}" for n in range(9)) + "}\n"
    assert len(bodies(read_text("".join(f"s{n}:\n{one}" for n in range(MAX_STRATEGIES)), "x.yaml"))) == MAX_STRATEGIES
