"""docs/keys.md is what the classes say now."""

from __future__ import annotations

from pathlib import Path

from furrow.strategies.keys import every_key
from furrow.strategies.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m furrow.strategies.reference > docs/keys.md"


def test_every_key_has_a_help_text():
    assert [key.path for key in every_key() if not key.field.description] == []


def test_every_key_has_a_row():
    page = reference()
    assert [key.path for key in every_key() if f"\n| `{key.name}` |" not in page] == []
