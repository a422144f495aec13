"""A file of rows that is not there, and what the strategy tells of why."""

from __future__ import annotations

import os
from pathlib import Path

from furrow.stages.data.dataset_files import OF_FILES
from furrow.stages.data.file_types import missing_file
from furrow.stages.data.gather import all_sources
from furrow.strategies.files import LIBRARY, Loaded


def refuse_missing(loaded: Loaded) -> None:
    """Raises RequestError for the first file that is not there, and where no training data is named."""
    for source in all_sources(loaded.strategy.dataset):
        reader = source.config.reader
        of_a_file = reader is None or reader.type in (*OF_FILES, "text")
        if of_a_file and not os.path.lexists(source.path):
            raise missing_file(source.path, _remedy(loaded, source.key))


def _remedy(loaded: Loaded, key: str) -> str | None:
    """None where the strategy tells nothing of it."""
    named = loaded.body.place(("dataset", *key.split("."))).source
    rows = loaded.body.place(("dataset", "train_file")).source
    if key == "eval_file" and rows.startswith("--set ") and not named.startswith("--set "):
        return (
            "the strategy names it: name other rows to measure on with --eval-dataset FILE, or none with "
            "--set dataset.eval_file=null"
        )
    if Path(named).parent == LIBRARY:
        return (
            "the paths of the demo strategies that ship count from a checkout of the project: run the command there, "
            "or name rows of your own with --train-dataset FILE"
        )
    return None
