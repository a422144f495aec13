"""What is made of what was seen: which of it is a fault, how grave, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from furrow.components.errors import FurrowError
from furrow.components.plural import plural
from furrow.components.records import Row
from furrow.components.stored.rows import StoredRows
from furrow.stages.data.bad_rows import BadRows, as_text
from furrow.stages.data.dropped import DroppedRows
from furrow.stages.data.faulty import MOST_LEAKED
from furrow.stages.data.inspection.boilerplate import shared_edges
from furrow.stages.data.inspection.copies import Copies
from furrow.stages.data.inspection.excerpts import excerpt
from furrow.stages.data.inspection.exchange import exchange_of
from furrow.stages.data.inspection.findings import Finding, Severity
from furrow.stages.data.inspection.survey import ALL_RULES, EXAMPLES, UNKNOWN, Found, Survey
from furrow.stages.data.places import Places
from furrow.stages.data.quality.texts import Texts
from furrow.stages.data.rows import DUPLICATES
from furrow.strategies.schema import Strategy

STYLE = 0.5
"""Share of the long answers without a full stop from which on that is how they are written, and no fault."""
STRAY = 0.2
"""Share of the rows up to which another language than the most frequent one is a stray."""
_LONG_SHARED = 25
"""Characters that answers share: more is no turn of phrase but boilerplate."""
_GRAVE = frozenset(
    {
        "the answer is null",
        "the answer is empty",
        "the text is empty",
        "the rejected answer is empty",
        "both answers are the same",
    }
)
"""Reasons for which `train` takes the row for a bad one."""
MOST_NEARLY_LEAKED = 0.1
"""Share of the evaluation rows that may be nearly equal to a learned one: questions of one kind often are, to some
degree; with more, the two sides were not drawn apart."""
_NOTES = frozenset({"invisible_characters", "markup"})
_NULL, _ANSWERS = "the answer is null", "dataset.columns, where another column holds it"
_MASK = {
    "secrets": "revoke them, mask them in the file; data_preprocessing.filter_quality: {secrets: true} drops the rows",
    "personal_data": "mask them in the file; data_preprocessing.filter_quality: {personal_data: true} drops the rows",
    "mojibake": "decode the file as UTF-8 where it was made; data_preprocessing.filter_quality: {mojibake: true} drops "
    "the rows",
}


def of_rules(survey: Survey) -> Iterator[Finding]:
    """One finding for each way in which a rule is broken."""
    for (rule, reason), found in survey.faults.items():
        severity: Severity = "note" if rule in _NOTES else "warning"
        if reason in _GRAVE:
            severity = "error"
        message = f"{_rows(found.where)}: {reason}"
        if rule == "unfinished_answer" and "full stop" in reason and _is_style(survey):
            severity, message = "note", f"{message}, as most answers here"
        setting = f"{_ANSWERS}; {_setting(rule)}" if reason == _NULL else _setting(rule)
        yield Finding(rule, severity, message, found.where, setting, found.examples)
    if survey.one_word.where:
        one = survey.one_word
        message = f"{_rows(one.where)}: the answer is one word"
        yield Finding("min_words", "note", message, one.where, _setting("min_words", "2"), one.examples)


def of_copies(rows: StoredRows, survey: Survey, copies: Copies, measured: int) -> Iterator[Finding]:
    """`measured`: how many rows are evaluated on."""
    remedy = "take them out of one of the files"
    for rule, places, said, setting in (
        ("exact_duplicates", copies.exact, "equal to an earlier one", "data_preprocessing.remove_duplicates: exact"),
        (
            "near_duplicates",
            copies.near,
            "nearly equal to an earlier one",
            "data_preprocessing.remove_duplicates: near",
        ),
        ("leakage", copies.leaked, "to evaluate on and learned too", remedy),
        ("near_leakage", copies.nearly_leaked, "to evaluate on and nearly equal to a learned one", remedy),
    ):
        most = {"leakage": MOST_LEAKED, "near_leakage": MOST_NEARLY_LEAKED}.get(rule)
        grave = most is not None and len(places) > most * measured
        if len(places):
            message = f"{plural(len(places), 'row is', 'rows are')} {said}"
            if rule.endswith("leakage"):
                message += f", of {measured:,}: {len(places) / measured:.1%}"
            where = _places(survey, places)
            yield Finding(rule, "error" if grave else "warning", message, where, setting, _examples(rows, places))


def of_contradictions(rows: StoredRows, survey: Survey, places: np.ndarray) -> Iterator[Finding]:
    if len(places):
        message = f"{plural(len(places), 'row answers', 'rows answer')} a question that another row answers otherwise"
        setting = "keep one answer to each question in the file, unless many are meant"
        yield Finding("contradictions", "warning", message, _places(survey, places), setting, _examples(rows, places))


def of_boilerplate(rows: StoredRows, survey: Survey) -> Iterator[Finding]:
    for shared in shared_edges(rows, survey.beginnings, survey.endings):
        yield Finding(
            "boilerplate",
            "warning" if shared.is_disclaimer or len(shared.words) > _LONG_SHARED else "note",
            f"{len(shared.places):,} answers have the same {shared.at}: {excerpt(shared.words)!r}",
            _places(survey, shared.places),
            "take it out of the answers in the file, unless the model shall say it",
            _examples(rows, shared.places),
        )


def of_languages(survey: Survey) -> Iterator[Finding]:
    known = {code: count for code, count in survey.languages.items() if code != UNKNOWN}
    if len(known) < 2:
        return
    main = max(known, key=known.__getitem__)
    for code, count in sorted(known.items(), key=lambda each: -each[1]):
        if code != main and count <= STRAY * sum(known.values()):
            found = survey.by_language[code]
            message = f"{_rows(found.where)} {'is' if count == 1 else 'are'} in {code!r}, most are in {main!r}"
            yield Finding("languages", "note", message, found.where, _setting("languages", f"[{main}]"), found.examples)


def of_left_out(bad: BadRows, dropped: DroppedRows, strategy: Strategy) -> Iterator[Finding]:
    """Rows that are on neither side."""
    by_reason: dict[tuple[str, str], Found] = {}
    for each in dropped:
        by_reason.setdefault((each.rule, each.reason), Found()).add(each.where, each.reason)
    for (rule, reason), found in by_reason.items():
        by = "remove_duplicates" if rule == DUPLICATES else rule
        yield Finding("dropped", "note", f"{_rows(found.where)} dropped by {by}: {reason}", found.where)
    if bad.found:
        found = Found()
        for row in bad.found:
            found.add(row.where, row.what)
        skips = strategy.dataset.on_bad_row == "skip"
        setting = "mend them; dataset.on_bad_row: skip sets them aside"
        message = f"{_rows(found.where)} cannot be used" + (", and will be set aside" if skips else "")
        yield Finding("bad_rows", "warning" if skips else "error", message, found.where, setting, found.examples)


def _is_style(survey: Survey) -> bool:
    return survey.long_answers > 0 and survey.stopped < STYLE * survey.long_answers


def _setting(rule: str, value: str = "true") -> str:
    if rule in _MASK:
        return _MASK[rule]
    setting = getattr(ALL_RULES, rule, value)
    told = value if setting is False or isinstance(setting, bool) else f"{setting:g}"
    return f"data_preprocessing.filter_quality: {{{rule}: {told}}}"


def _rows(places: Sequence[str] | np.ndarray) -> str:
    return plural(len(places), "row")


def _places(survey: Survey, places: np.ndarray) -> Places:
    return Places(survey.places[int(place)] for place in places)


def _examples(rows: Sequence[Row], places: np.ndarray) -> list[str]:
    return [excerpt(_told(rows[int(place)])) for place in places[:EXAMPLES]]


def _told(row: Row) -> str:
    """What it says; of a row that cannot be used, its columns."""
    try:
        return exchange_of(row, Texts()).told
    except FurrowError:
        return as_text(row)
