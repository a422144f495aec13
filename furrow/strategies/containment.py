"""What a strategy may name, so that one from somebody else names nothing outside its place.

A name is a name: of a model, a project, a run. It becomes part of a path or of a command that is printed. What is
written goes below the working directory, or to an absolute place (`/data/runs/x`, `~/runs/x`), which says openly where
it is; a relative path that climbs out (`../x`) is for the command line. There, only names that Furrow gives are
written, and `--overwrite` removes only those. What is read may lie anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from pathlib import PurePath
from typing import Any

from furrow.strategies.errors import Path, Problem, StrategyErrors
from furrow.strategies.moved_keys import ARGUMENTS, CONFIG
from furrow.strategies.schema import Strategy
from furrow.strategies.spellings import Body

LONGEST_NAME = 100
"""Characters; a file name has at most 255 bytes, and gets an ending."""
LONGEST_PATH, LONGEST_PART = 4096, 255

_NAMES: tuple[Path, ...] = (("monitoring", "project"), ("monitoring", "run_name"))
_MODEL_NAMES: tuple[Path, ...] = (("export", "model_name"), ("components", "model_app", "config", "model"))
_WRITTEN: Path = (*ARGUMENTS, "output_dir")
_PATHS: tuple[Path, ...] = (
    _WRITTEN,
    ("dataset", "train_file"),
    ("dataset", "eval_file"),
    ("dataset", "splitter", "list"),
    ("dataset", "cache_dir"),
    (*CONFIG, "base_model", "path"),
    (*CONFIG, "method", "init_from"),
    ("components", "model_app", "config", "gguf"),
)


def uncontained(strategy: Strategy, body: Body) -> Iterator[Problem]:
    """Every name that is none, and every path that leads out."""
    said = strategy.model_dump(mode="json")
    mixed = [("dataset", "mix", number, "file") for number in range(len(strategy.dataset.mix))]
    for paths, judge in ((_NAMES, wrong_name), (_MODEL_NAMES, wrong_model_name), ((*_PATHS, *mixed), _wrong_path)):
        for path in paths:
            value = _get(said, path)
            if isinstance(value, str) and (what := judge(value)):
                yield Problem(body.place(path), body.written(path), what)


def refuse_climbing_out(strategy: Strategy, body: Body) -> None:
    """Raises StrategyErrors where the run folder is a relative path out of the working directory that a file names.

    For who is about to write there: the filled strategy of a run whose folder came by --output-dir may be read.
    """
    written, place = _get(strategy.model_dump(mode="json"), _WRITTEN), body.place(_WRITTEN)
    if isinstance(written, str) and ".." in PurePath(written).parts and place.line is not None:
        what = "leads out of the folder in which the command runs; give such a place as --output-dir"
        raise StrategyErrors([Problem(place, body.written(_WRITTEN), what)])


def wrong_name(name: str) -> str | None:
    """What is wrong with it, if it is to be the name of something."""
    if not name or len(name) > LONGEST_NAME:
        return f"a name has 1 to {LONGEST_NAME} characters, this one {len(name):,}"
    if not name.isprintable():
        return "a name has no line ends, control characters or invisible ones in it"
    if name.startswith(("-", ".", "~")) or "/" in name or "\\" in name:
        return "a name begins with no - . or ~, and has no / or \\ in it"
    return None


def wrong_model_name(name: str) -> str | None:
    """The same for a model, whose name may say where it belongs: `host/namespace/model:tag`."""
    parts = name.split("/")
    if len(parts) > 3:
        return "the name of a model has at most three parts: host/namespace/model"
    return next((what for what in map(wrong_name, parts) if what), None)


def _wrong_path(path: str) -> str | None:
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "a path has no control characters in it"
    if len(path) > LONGEST_PATH or any(len(part.encode()) > LONGEST_PART for part in path.split("/")):
        return f"a path has at most {LONGEST_PATH} characters, and {LONGEST_PART} bytes between two slashes"
    try:
        FilePath(path).expanduser()
    except RuntimeError:
        return f"there is no home folder for {path.partition('/')[0]}"
    return None


def _get(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step] if isinstance(step, int) else data.get(step) if isinstance(data, dict) else None
    return data
