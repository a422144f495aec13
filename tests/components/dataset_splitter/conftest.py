"""Rows with something to split by, and a splitter of any type by its settings."""

from __future__ import annotations

import json

import pytest

from furrow.components.fingerprint import fingerprint
from furrow.components.records import Row
from furrow.components.registry import factory, find


@pytest.fixture
def rows_of():
    """rows_of([columns, …]) -> rows at data.jsonl:1 and so on; a text is a column `text`."""

    def rows_of(each):
        columns = [{"text": one} if isinstance(one, str) else one for one in each]
        return [Row(one, f"data.jsonl:{number}") for number, one in enumerate(columns, 1)]

    return rows_of


@pytest.fixture
def evaluated():
    """evaluated(type, rows, share, **settings) -> numbers of the rows to measure on."""

    def evaluated(kind, rows, share=0.1, **settings):
        component = find("dataset_splitter", kind)
        splitter = factory(component)(component.config.model_validate_json(json.dumps(settings)))
        return splitter.evaluated(rows, [fingerprint(row) for row in rows], share)

    return evaluated
