"""A strategy file on disk, and what loading it gives."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from furrow.components.events import Warned
from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import Loaded, load, names

Write = Callable[[str], Path]
LoadText = Callable[..., Loaded]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `s.yaml` (indentation taken off) and goes to its folder, so that errors begin with `s.yaml`."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("s.yaml")
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    return write


@pytest.fixture
def load_text(write: Write) -> LoadText:
    """Loads the first strategy of a text."""

    def load_text(text: str, overrides: Sequence[str] = ()) -> Loaded:
        path = write(text)
        return load(names(path)[0], path, overrides)

    return load_text


@pytest.fixture
def problems(load_text: LoadText) -> Callable[..., list[str]]:
    """The problems of a text that must be refused, one text each, in their order."""

    def problems(text: str, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(StrategyErrors) as refused:
            load_text(text, overrides)
        assert refused.value.exit_code == 2
        return str(refused.value).splitlines()

    return problems


@pytest.fixture
def said() -> Callable[[Loaded], list[str]]:
    """The messages of a load, `warning: ` before those that ask for something; without that on the missing base."""

    def said(loaded: Loaded) -> list[str]:
        messages = [("warning: " if isinstance(note, Warned) else "") + note.message for note in loaded.notes]
        return [message for message in messages if "no base_model" not in message]

    return said
