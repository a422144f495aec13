"""`clean`: what is kept is as it was, what is not stands beside it with the reason, and together they are all rows."""

import json

import pytest

from furrow.components.errors import RequestError
from furrow.stages.clean import clean
from furrow.strategies.files import without_strategy

LINES = [
    '{"input":   "When to sow?", "output": "In April."}',
    '{"input": "What is it?", "output": ""}',
    '{"input": "Café?", "output": "Caf\\u00e9.", "id": 3}',
    '{"input": "When to sow?", "output": "In April.", "id": 9}',
    '{"input": "broken',
    '{"output": "Deep sand suits it best of all.", "input": "Which soil?"}',
]


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("\ufeff" + "\n".join(LINES), encoding="utf-8")
    return file


def cleaned(file, *overrides, output=None, overwrite=False):
    return clean(without_strategy([f"dataset.train_file={file}", *overrides]), output, overwrite, lambda event: None)


def read(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_lines_that_are_kept_stand_as_they_stood_and_the_others_say_why(rows, tmp_path):
    result = cleaned(rows)
    assert (result.clean_file, result.dropped_file) == (tmp_path / "rows_clean.jsonl", tmp_path / "rows_dropped.jsonl")
    assert result.clean_file.read_text(encoding="utf-8") == "".join(f"{LINES[at]}\n" for at in (0, 2, 5))
    told = {each["where"]: (each["rule"], each["reason"].split(":")[0]) for each in read(result.dropped_file)}
    assert told == {
        f"{rows}:2": ("filter_quality.empty", "the answer is empty"),
        f"{rows}:4": ("remove_duplicates", "equal to an earlier row"),
        f"{rows}:5": ("on_bad_row", told[f"{rows}:5"][1]),
    }
    assert [each["row"] for each in read(result.dropped_file)][:2] == [json.loads(LINES[1]), json.loads(LINES[3])]
    assert result.dropped == {"filter_quality.empty": 1, "remove_duplicates": 1, "on_bad_row": 1}
    assert result.read == len(LINES) == result.kept + sum(result.dropped.values())


def test_what_the_strategy_says_of_a_rule_holds(rows):
    off = cleaned(rows, "data_preprocessing.filter_quality=false", "data_preprocessing.remove_duplicates=false")
    assert (off.kept, off.dropped) == (5, {"on_bad_row": 1})
    strict = cleaned(rows, "data_preprocessing.filter_quality={min_words: 3}", overwrite=True)
    assert strict.dropped == {
        "filter_quality.min_words": 3,
        "filter_quality.empty": 1,
        "on_bad_row": 1,
    }
    assert [row["input"] for row in read(strict.clean_file)] == ["Which soil?"]


def test_columns_are_those_of_the_file_whatever_the_strategy_calls_them(tmp_path):
    table = tmp_path / "faq.csv"
    table.write_text("frage,antwort,nr\nWann?,Im April.,1\nWo?,,2\n")
    result = cleaned(table, "dataset.columns={prompt: frage, completion: antwort}")
    assert read(result.clean_file) == [{"frage": "Wann?", "antwort": "Im April.", "nr": "1"}]
    [dropped] = read(result.dropped_file)
    assert (dropped["where"], dropped["reason"]) == (f"{table}:3", "the answer is empty")


def test_text_is_normalised_where_the_strategy_says_so(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"prompt": "Cafe\u0301?", "completion": "ﬁne."}, ensure_ascii=False), encoding="utf-8")
    result = cleaned(file, "data_preprocessing.unicode_normalization=NFKC")
    assert read(result.clean_file) == [{"prompt": "Café?", "completion": "fine."}]


def test_a_file_in_which_all_is_well_gets_no_list_of_what_was_dropped(rows, tmp_path):
    rows.write_text(LINES[0])
    (tmp_path / "rows_dropped.jsonl").write_text("of an earlier cleaning")
    result = cleaned(rows, overwrite=True)
    assert (result.kept, result.dropped, result.dropped_file) == (1, {}, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows_clean.jsonl"]


def test_a_row_whose_answer_is_null_is_not_kept(rows):
    rows.write_text('{"input": "Where?", "output": null}\n' + LINES[0])
    result = cleaned(rows)
    assert (result.kept, result.dropped) == (1, {"filter_quality.empty": 1})
    assert read(result.dropped_file)[0]["reason"] == "the answer is null"


def test_near_duplicates_go_where_that_is_asked_for(tmp_path, root):
    long = "Beans want warm soil, so wait until the nights stay mild, and push each seed a thumb deep into its bed."
    rows = [
        {"prompt": "How?", "completion": said} for said in (long, long.upper(), long[:-9], "Ask a gardener, please.")
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cleaned(file).kept == 4
    near = cleaned(file, "data_preprocessing.remove_duplicates=near", overwrite=True)
    assert (near.kept, near.dropped) == (2, {"remove_duplicates": 2})
    assert [each["like"] for each in read(near.dropped_file)] == [f"{file}:1"] * 2


def test_nothing_is_written_where_something_is_there_or_nothing_is_left(rows, tmp_path):
    (tmp_path / "rows_dropped.jsonl").write_text("mine")
    with pytest.raises(RequestError, match="rows_dropped"):
        cleaned(rows)
    with pytest.raises(RequestError, match="is the file that is read"):
        cleaned(rows, output=rows, overwrite=True)
    with pytest.raises(RequestError, match="no row is left"):
        cleaned(rows, "data_preprocessing.filter_quality={min_words: 99}", overwrite=True)
    with pytest.raises(RequestError, match="one is cleaned at a time"):
        clean(without_strategy([f"dataset.mix=[{{file: {rows}}}, {{file: {rows}}}]"]), None, False, lambda event: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows_dropped.jsonl"]
    assert (tmp_path / "rows_dropped.jsonl").read_text() == "mine"
