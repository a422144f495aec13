"""What an inspection finds in a set with planted faults, and what it does not find in the sets that ship."""

from __future__ import annotations

import json

import pytest

from furrow.components.events import Noted, Warned
from furrow.stages import wire
from furrow.stages.data.training_data import prepare
from furrow.stages.inspect_data import inspect
from furrow.strategies.files import load, without_strategy

LONG = (
    "Beans want warm soil, so wait until the nights stay mild. Push each seed a thumb deep into the bed, water it "
    "once, and keep slugs away with a ring of sharp grit until the second pair of leaves is open."
)
CABBAGE = (
    "Cabbage moths lay their eggs under the outer leaves in early summer. Cover the bed with a fine net before they "
    "fly, look beneath the leaves every few days, and rub off whatever yellow clusters you find there."
)
FAULTS = {
    "empty answer": ("empty", {"prompt": "When are leeks lifted?", "completion": ""}),
    "answer of spaces": ("empty", {"prompt": "When are parsnips lifted?", "completion": " \n\t"}),
    "answer of punctuation": ("empty", {"prompt": "When are swedes lifted?", "completion": "..."}),
    "empty question": ("empty", {"prompt": " ", "completion": "Lift them after the first frost of the year."}),
    "one word": ("min_words", {"prompt": "Who eats the roots?", "completion": "Voles."}),
    "escape sequence": ("control_characters", {"prompt": "Is it ripe?", "completion": "Yes, \x1b[31mred\x1b[0m ones."}),
    "bell": ("control_characters", {"prompt": "Is it \x07 dry?", "completion": "It is dry when the pods rattle."}),
    "replacement": ("replacement_character", {"prompt": "Name a melon.", "completion": "The cr\ufffdme melon is one."}),
    "mojibake quote": ("mojibake", {"prompt": "Is it hardy?", "completion": "No, itâ€™s tender and dies at frost."}),
    "mojibake letter": ("mojibake", {"prompt": "Name a bean.", "completion": "The bean of SÃ£o Paulo is one."}),
    "zero width": ("invisible_characters", {"prompt": "Name a pea.", "completion": "The sugar\u200bsnap pea is one."}),
    "turned around": ("invisible_characters", {"prompt": "Name kale.", "completion": "Kale is \u202eelak\u202c here."}),
    "web page": ("markup", {"prompt": "How is it sold?", "completion": "In bunches&nbsp;of ten,<br>tied with bast."}),
    "one letter": ("character_repetition", {"prompt": "Does it sting?", "completion": "A" * 40}),
    "one line": ("line_repetition", {"prompt": "How long?", "completion": "Three weeks or so.\n" * 5}),
    "in circles": (
        "word_repetition",
        {"prompt": "Why so tall?", "completion": "it grows up to the light, and so " * 6 + "on."},
    ),
    "echo": ("repeated_question", {"prompt": "What does a mulch do?", "completion": "what does a mulch  do?"}),
    "cut after a comma": ("unfinished_answer", {"prompt": "Which tools?", "completion": "A spade, a rake, a hoe,"}),
    "cut in a sentence": (
        "unfinished_answer",
        {"prompt": "How is it stored?", "completion": "Lay the roots in damp sand. Then put the box where it stays"},
    ),
    "cut in code": (
        "unfinished_answer",
        {"prompt": "Count?", "completion": "Run this:\n```python\nprint(len(beds))\n"},
    ),
    "address": ("personal_data", {"prompt": "Who sells it?", "completion": "Write to jane.doe@seedhouse.co.uk today."}),
    "telephone": ("personal_data", {"prompt": "Who helps?", "completion": "Call +44 20 7946 0018 before noon."}),
    "bank account": (
        "personal_data",
        {"prompt": "How to pay?", "completion": "To DE89 3704 0044 0532 0130 00, please."},
    ),
    "token": (
        "secrets",
        {"prompt": "Which token?", "completion": "It is hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4 for the hub."},
    ),
    "private key": (
        "secrets",
        {"prompt": "Which key?", "completion": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow==\n-----END"},
    ),
    "near duplicate": ("near_duplicates", {"prompt": "how do I sow beans", "completion": LONG.replace("mild", "warm")}),
    "cut duplicate": ("near_duplicates", {"prompt": "How do I sow beans?", "completion": LONG[:-30]}),
    "in German": (
        "languages",
        {"prompt": "Wann ist die Ernte?", "completion": "Die Ernte ist im Herbst, wenn das Laub nicht mehr grün ist."},
    ),
    "end of turn": ("control_tokens", {"prompt": "Done?", "completion": "Yes, it is done.<|im_end|> Anything else?"}),
    "other answer": (
        "contradictions",
        {"prompt": "How far apart do fig trees stand?", "completion": "Fig trees stand about six metres apart."},
    ),
}
"""What is wrong -> the rule that finds it, and the row."""
BESIDE = [
    {"prompt": "How do I sow beans?", "completion": LONG},
    {"prompt": "What eats my cabbages?", "completion": CABBAGE},
    {"prompt": "How far apart do fig trees stand?", "completion": "Plant two of them four metres from each other."},
]
"""Rows without a fault of their own, which others repeat or contradict."""
DISCLAIMERS = [
    {"prompt": f"Will {plant} grow in shade?", "completion": f"As an AI language model, I {end}"}
    for plant, end in (
        ("mint", "have no garden, but mint does well in half shade."),
        ("sorrel", "cannot see your bed; sorrel is content with little sun."),
        ("maize", "would say that maize needs every hour of light."),
        ("chard", "can tell you that chard takes some shade in summer."),
    )
]


def clean_rows(root, count):
    lines = (root / "demos/datasets/almanac/almanac_qa.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[:count]]


@pytest.fixture
def planted(tmp_path, root):
    """(train file, eval file, {what is wrong: file:line})"""
    rows, places = [*BESIDE, *clean_rows(root, 300)], {}
    train, evaluation = tmp_path / "train.jsonl", tmp_path / "eval.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    wanted = {name: json.dumps(row, ensure_ascii=False) for name, (_, row) in FAULTS.items()}
    wanted["exact duplicate"] = lines[20]
    wanted["broken line"] = '{"prompt": "What is this?", "completion": "A line that'
    wanted |= {f"disclaimer {number}": json.dumps(row) for number, row in enumerate(DISCLAIMERS)}
    for number, line in enumerate(wanted.values()):
        lines.insert(25 + 7 * number, line)
    places = {name: f"{train}:{lines.index(line) + 1}" for name, line in wanted.items()}
    places["exact duplicate"] = f"{train}:{len(lines) - lines[::-1].index(wanted['exact duplicate'])}"
    train.write_text("".join(f"{line}\n" for line in lines))
    held = [
        json.loads(line) for line in (root / "demos/datasets/almanac/almanac_heldout.jsonl").read_text().splitlines()
    ]
    held[10:10] = [
        {"prompt": "what eats my cabbages", "completion": CABBAGE.replace("early", "late")},
        rows[40],
        rows[41],
        rows[42],
    ]
    places["near leak"], *leaks = (f"{evaluation}:{number}" for number in (11, 12, 13, 14))
    evaluation.write_text("".join(json.dumps(row) + "\n" for row in held))
    return train, evaluation, places, leaks


def inspected(*overrides):
    return inspect(without_strategy(list(overrides)), lambda event: None)


def test_each_planted_fault_is_found_at_its_row_and_none_is_invented(planted):
    train, evaluation, places, leaks = planted
    inspection = inspected(f"dataset.train_file={train}", f"dataset.eval_file={evaluation}")
    found = {}
    for finding in inspection.findings:
        for place in finding.where:
            found.setdefault(place, set()).add(finding.rule)
    expected = {places[name]: {rule} for name, (rule, _) in FAULTS.items()}
    expected[places["one line"]].add("word_repetition")
    expected[places["cut duplicate"]].add("unfinished_answer")
    expected[places["exact duplicate"]] = {"exact_duplicates"}
    expected[places["broken line"]] = {"bad_rows"}
    expected[places["near leak"]] = {"near_leakage"}
    expected |= {place: {"leakage"} for place in leaks}
    expected |= {places[f"disclaimer {number}"]: {"boilerplate"} for number in range(4)}
    expected[f"{train}:3"] = {"contradictions"}
    assert found == expected


SHIPPED = ("almanac/almanac_qa", "almanac/almanac_pairs", "almanac/almanac_topics", "medical/medical_qa_train")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_sets_that_ship_have_nothing_to_warn_of(name, root):
    inspection = inspected(f"dataset.train_file={root}/demos/datasets/{name}.jsonl")
    assert [finding for finding in inspection.findings if finding.severity != "note"] == []
    assert inspection.rows.train == inspection.rows.read > 0
    assert inspection.no_tokens and inspection.tokens is None


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"dataset.train_file={path}"


def rules_of(inspection):
    return {finding.rule: list(finding.where) for finding in inspection.findings if finding.rule != "split_size"}


def test_no_secret_and_no_address_stands_in_what_is_told(planted):
    train, _, _, _ = planted
    told = json.dumps(inspected(f"dataset.train_file={train}").as_json())
    for secret in ("aB3dE6gH9jK2", "MIIEow", "jane.doe", "7946 0018", "0532 0130"):
        assert secret not in told
    assert "(hidden" in told


def test_what_the_strategy_drops_is_a_note_and_no_fault(tmp_path):
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word}."} for word in ("kale", "kale", "rye", "oats")]
    file = written(tmp_path / "d.jsonl", [*rows, {"prompt": "And this?", "completion": ""}])
    inspection = inspected(file, "data_preprocessing.filter_quality=true", "data_preprocessing.remove_duplicates=exact")
    assert {finding.severity for finding in inspection.findings} == {"note"}
    assert {(each.message, *each.where) for each in inspection.findings if each.rule == "dropped"} == {
        ("1 row dropped by filter_quality.empty: the answer is empty", f"{tmp_path}/d.jsonl:5"),
        ("1 row dropped by remove_duplicates: equal to an earlier row", f"{tmp_path}/d.jsonl:2"),
    }
    assert (inspection.rows.dropped, inspection.rows.duplicates, inspection.rows.train) == (1, 1, 3)


def test_classes_that_are_rare_or_spelled_twice_are_told(tmp_path):
    words = ("soil", "water", "light", "seed", "root")
    rows = [
        {"text": f"How much {word} does plant {number} want?", "label": word} for word in words for number in range(40)
    ]
    rows[7]["label"], rows[90]["label"] = "Soil ", "shade"
    inspection = inspected(written(tmp_path / "d.jsonl", rows))
    assert rules_of(inspection)["label_spelling"] == [f"{tmp_path}/d.jsonl:8"]
    rare = [finding for finding in inspection.findings if finding.rule == "rare_label"]
    assert [(list(each.where), "'shade'" in each.message) for each in rare] == [([f"{tmp_path}/d.jsonl:91"], True)]


def test_the_same_text_in_two_classes_is_a_contradiction(tmp_path):
    rows = [{"text": f"Plant {number} likes sand.", "label": "soil"} for number in range(30)]
    rows += [{"text": "plant 3 likes sand", "label": "pest"}]
    assert rules_of(inspected(written(tmp_path / "d.jsonl", rows)))["contradictions"] == [
        f"{tmp_path}/d.jsonl:4",
        f"{tmp_path}/d.jsonl:31",
    ]


def test_two_wordings_of_one_answer_are_no_contradiction(tmp_path):
    rows = [
        {"prompt": "When?", "completion": "Sow carrots in April, two centimetres deep."},
        {"prompt": "When?", "completion": "Sow the carrots in April, two centimetres deep!"},
        {"prompt": "How far?", "completion": "Leave a gap of 10 cm."},
        {"prompt": "How far?", "completion": "Leave a gap of 15 cm."},
    ]
    found = rules_of(inspected(written(tmp_path / "d.jsonl", rows)))
    assert found["contradictions"] == [f"{tmp_path}/d.jsonl:3", f"{tmp_path}/d.jsonl:4"]


def test_answers_that_never_have_a_full_stop_are_written_so(tmp_path):
    said = "well it depends a bit on what you want to grow and how much time there is"
    rows = [{"prompt": f"Question {number}?", "completion": f"{said} {'abcdefghij'[number]}"} for number in range(10)]
    findings = [
        each for each in inspected(written(tmp_path / "d.jsonl", rows)).findings if each.rule == "unfinished_answer"
    ]
    assert [finding.severity for finding in findings] == ["note"] and findings[0].count == 10


def test_tokens_are_told_where_the_base_model_is_here(strategy_file, tmp_path):
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word}."} for word in "abcdefg"]
    rows += [{"prompt": "What is long?", "completion": "It is " + "very long, " * 20 + "that."}]
    file = written(tmp_path / "t.jsonl", rows).partition("=")[2]
    blocks = {"dataset": {"train_file": file}, "data_preprocessing": {"max_output_length": 60}}
    inspection = inspect(load("tiny", strategy_file(**blocks)), lambda event: None)
    assert inspection.no_tokens == "" and inspection.tokens is not None
    assert (inspection.tokens.truncated, inspection.tokens.cut_answers, inspection.tokens.batch_rows) == (1, 1, 4)
    of_tokens = inspection.lengths[0]
    assert (of_tokens.unit, of_tokens.percentiles["100"] > 200) == ("tokens", True)  # as long as it is before it is cut
    assert of_tokens.total > inspection.tokens.tokens
    [cut] = [finding for finding in inspection.findings if finding.rule == "cut_answers"]
    assert (list(cut.where), cut.severity) == ([f"{tmp_path}/t.jsonl:8"], "warning")


def found_of(inspection, rule):
    return [
        (each.severity, list(each.where), each.count, each.setting) for each in inspection.findings if each.rule == rule
    ]


def test_rows_that_no_objective_can_use_are_errors_without_a_strategy_too(tmp_path):
    rows = [{"frage": "Wann?", "antwort": "Im April."}, {"prompt": "Where?", "completion": None}]
    file = written(tmp_path / "d.jsonl", [*rows, *({"prompt": f"{n}?", "completion": f"Bed {n}."} for n in range(3))])
    inspection = inspected(file)
    [(severity, where, _, setting)] = found_of(inspection, "unfit_rows")
    assert (severity, where) == ("error", [f"{tmp_path}/d.jsonl:1"]) and setting.startswith("dataset.columns")
    [(severity, where, _, setting)] = found_of(inspection, "empty")
    assert (severity, where) == ("error", [f"{tmp_path}/d.jsonl:2"]) and setting.startswith("dataset.columns")


def test_columns_that_a_template_has_placeholders_for_are_known(tmp_path):
    file = written(tmp_path / "d.jsonl", [{"frage": "Wann?", "output": "Im April."}])
    template = ("prompt_template.type=format", "prompt_template.format=F: {frage} A: {output}")
    assert found_of(inspected(file, *template), "unfit_rows") == []
    assert len(found_of(inspected(file), "unfit_rows")) == 1


def test_rows_of_another_layout_than_most_are_named(tmp_path):
    rows = [{"prompt": f"{n}?", "completion": f"Bed {n}."} for n in range(4)]
    rows += [{"instruction": "Dig.", "output": "Yes."}, {"text": "Soil is wet."}]
    [(severity, where, count, _)] = found_of(inspected(written(tmp_path / "d.jsonl", rows)), "mixed_layouts")
    assert (severity, where, count) == ("warning", [f"{tmp_path}/d.jsonl:5", f"{tmp_path}/d.jsonl:6"], 2)


def test_what_a_reader_notes_is_heard_and_what_becomes_a_finding_is_not(tmp_path):
    table, heard = tmp_path / "d.csv", []
    table.write_text("prompt;completion\nWhen?;In April, early.\nWhen?;In April, early.\n")
    inspect(without_strategy([f"dataset.train_file={table}"]), heard.append)
    assert ["semicolon" in event.message for event in heard if isinstance(event, Noted | Warned)] == [True]


@pytest.mark.parametrize(
    ("row", "objective", "setting"),
    [
        ({"frage": "Wann?", "antwort": "Im April."}, "sft", "dataset.columns"),
        (
            {"prompt": "When?", "chosen": "In April.", "rejected": "Never."},
            "sft",
            "objective: dpo, orpo, simpo or reward",
        ),
        ({"text": "Soil is wet."}, "sft", "objective: pretrain"),
        ({"prompt": "When?", "completion": "In April."}, "dpo", "objective: sft"),
    ],
)
def test_rows_for_another_objective_are_told_with_what_mends_them(strategy_file, tmp_path, row, objective, setting):
    file = written(tmp_path / "d.jsonl", [row] * 4).partition("=")[2]
    inspection = inspect(
        load("tiny", strategy_file(dataset={"train_file": file}, objective=objective)), lambda event: None
    )
    [(severity, where, count, told)] = found_of(inspection, "unfit_rows")
    assert (severity, where[0], count) == ("error", f"{tmp_path}/d.jsonl:1", 4) and told.startswith(setting)
    assert [each.rule for each in inspection.errors] == ["unfit_rows"]


def test_many_evaluation_rows_that_are_nearly_learned_are_an_error(tmp_path):
    words = ("slugs", "moths", "voles", "crows", "frost", "rust", "mildew", "blight", "drought", "thrips")
    learned = [{"prompt": f"What about {word}?", "completion": f"{LONG} So much of {word}."} for word in words]
    near = [{**each, "completion": each["completion"].replace("thumb", "finger")} for each in learned[:3]]
    others = [{"prompt": f"Is {word} tall?", "completion": f"No, {word * 9} is low."} for word in words]
    train = written(tmp_path / "d.jsonl", learned)
    for measured, severity in ((near + others, "error"), (near[:1] + others, "warning")):
        written(tmp_path / "e.jsonl", measured)
        found = found_of(inspected(train, f"dataset.eval_file={tmp_path}/e.jsonl"), "near_leakage")
        assert [each[0] for each in found] == [severity]


def test_the_limit_that_cut_answers_is_the_one_to_raise(strategy_file, tmp_path):
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word * 30}."} for word in "abcd"]
    file = written(tmp_path / "t.jsonl", rows).partition("=")[2]
    blocks = {"dataset": {"train_file": file}, "data_preprocessing": {"max_output_length": 8}}
    inspection = inspect(load("tiny", strategy_file(**blocks)), lambda event: None)
    [(severity, _, _, setting)] = found_of(inspection, "cut_answers")
    assert (severity, setting.split(":")[0]) == ("error", "data_preprocessing.max_output_length")


def test_tokens_are_counted_as_training_counts_them(strategy_file):
    loaded = load("tiny", strategy_file())
    inspection = inspect(loaded, lambda event: None)
    data = prepare(loaded, wire.fine_tuner(loaded.strategy).tokenizer, lambda event: None)
    assert inspection.tokens is not None
    assert (inspection.tokens.tokens, inspection.tokens.learned) == (data.train.tokens, data.train.learned_tokens)


def test_what_a_file_calls_its_columns_does_not_make_a_leak_a_near_one(tmp_path):
    learned = [{"prompt": f"What grows in bed {number}?", "completion": "Beans grow there."} for number in range(30)]
    asked = [{"question": row["prompt"], "answer": row["completion"]} for row in learned[:3]]
    for name, rows in (("t.jsonl", learned), ("e.jsonl", asked)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = [f"dataset.{side}_file={tmp_path / name}" for side, name in (("train", "t.jsonl"), ("eval", "e.jsonl"))]
    loaded = without_strategy(files)
    findings = {finding.rule: finding for finding in inspect(loaded, lambda event: None).findings}
    assert (findings["leakage"].severity, findings["leakage"].count) == ("error", 3)
    assert "near_leakage" not in findings
