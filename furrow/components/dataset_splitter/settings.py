"""The settings of the splitters that ship. Light: what they do is in the modules that the factories name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from furrow.components.config import Config
from furrow.components.registry import Component

Column = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

VALIDATION = ("validation", "valid", "val", "dev", "eval", "evaluation")
TEST = ("test",)
TRAIN = ("train", "training")


class RandomSplitConfig(Config):
    """Which of the many random splits."""

    seed: Seed = 42
    """Another seed is another split; the same seed and rows are always the same one."""


class StratifiedConfig(Config):
    """What both sides are to have in the same proportions."""

    by: Column | None = None
    """The column whose values make the strata. One of more than `bins` numbers is cut into bins. Default: the length of
    the answer, in characters."""
    bins: Annotated[int, Field(ge=2, le=1000)] = 10
    """Into how many parts of equal size numbers and lengths are cut."""
    seed: Seed = 42
    """Another seed chooses other rows of each stratum."""


class GroupedConfig(Config):
    """Which rows belong together."""

    by: Column
    """Rows with the same value in this column stay on one side, e.g. `patient` or `page`."""
    seed: Seed = 42
    """Another seed chooses other groups to evaluate on."""


class HashConfig(Config):
    """What a row's side hangs on, and nothing else: no row changes sides when others come or go."""

    by: Column | None = None
    """The column whose value is hashed, such as `id`; rows with the same value stay together. Default: all that the row
    says."""
    seed: Seed = 42
    """Another seed sends other rows to the evaluation."""


class TimeConfig(Config):
    """By which column the past is told from what comes later."""

    by: Column
    """A column of dates (ISO 8601; without a zone it is UTC) or of numbers (epoch seconds, years). The latest rows are
    evaluated on; rows of one moment stay together."""


class FileConfig(Config):
    """Where it stands which rows are evaluated on."""

    own_share: ClassVar[bool] = True
    idle: ClassVar[Mapping[str, str]] = {"dataset.eval_split": "the splitter `file` is told which rows to evaluate on"}

    by: Column = "split"
    """The column that says it of each row; with `list`, the one whose values are listed."""
    list: Annotated[str, Field(min_length=1)] | None = None
    """A text file with one value of the column `by` a line, e.g. ids: the rows with these are evaluated on, all others
    learned. Default: the column itself says it."""
    evaluated: tuple[str, ...] = ()
    """Without `list`: values of the column whose rows are evaluated on. Default: validation (also valid, val, dev,
    eval), or, where no row has such a one, test."""
    left_out: tuple[str, ...] = ()
    """Without `list`: values whose rows are neither learned nor evaluated on. Default: test, where there is validation
    too."""

    @model_validator(mode="after")
    def _one_way(self) -> FileConfig:
        if self.list is not None and (self.evaluated or self.left_out):
            raise ValueError("`list` says which rows are evaluated on; leave `evaluated` and `left_out` out")
        if both := sorted(set(self.evaluated) & set(self.left_out)):
            raise ValueError(f"{both[0]!r} cannot be both evaluated and left out")
        return self


class KFoldConfig(Config):
    """Cuts the rows into parts of one size, each of which is evaluated on by another training."""

    own_share: ClassVar[bool] = True
    idle: ClassVar[Mapping[str, str]] = {"dataset.eval_split": "the splitter `k_fold` evaluates on one part of `folds`"}

    folds: Annotated[int, Field(ge=2, le=1000)] = 5
    """How many parts. 5 and 10 are usual: each training learns from 80 or 90 % of the rows."""
    fold: Annotated[int, Field(ge=1)] = 1
    """Which part is evaluated on, from 1 to `folds`."""
    by: Column | None = None
    """Rows with the same value in this column stay in one part. Default: only equal rows do."""
    seed: Seed = 42
    """Another seed cuts them otherwise. All folds of one row of trainings want the same."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> KFoldConfig:
        if self.fold > self.folds:
            raise ValueError(f"there is no fold {self.fold} of {self.folds}")
        return self


_HERE = "furrow.components.dataset_splitter"

RANDOM = Component(
    summary="a seeded random split that keeps equal rows together",
    config=RandomSplitConfig,
    factory=f"{_HERE}.random_split:RandomSplitter",
)
STRATIFIED = Component(
    summary="both sides have a column's values, or the lengths of answers, in the same proportions",
    config=StratifiedConfig,
    factory=f"{_HERE}.stratified:StratifiedSplitter",
)
GROUPED = Component(
    summary="rows with the same value in a column stay together",
    config=GroupedConfig,
    factory=f"{_HERE}.random_split:GroupedSplitter",
)
HASH = Component(
    summary="a row's side hangs on the row alone, and stays when others are added; the share is approximate",
    config=HashConfig,
    factory=f"{_HERE}.hash_split:HashSplitter",
)
TIME = Component(
    summary="learns the earlier rows and evaluates on the latest",
    config=TimeConfig,
    factory=f"{_HERE}.time_split:TimeSplitter",
)
FILE = Component(
    summary="a column of the rows, or a file of ids, says which are evaluated on",
    config=FileConfig,
    factory=f"{_HERE}.file_split:FileSplitter",
)
K_FOLD = Component(
    summary="one of several equal parts is evaluated on, for sets that are small",
    config=KFoldConfig,
    factory=f"{_HERE}.k_fold:KFoldSplitter",
)
