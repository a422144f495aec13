"""Whatever a strategy file holds, it becomes a Strategy that can be written out, or an error with its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from furrow.components.errors import FurrowError
from furrow.strategies.errors import Place
from furrow.strategies.files import filled_yaml, load, load_all, names
from furrow.strategies.interpolation import resolve
from furrow.strategies.keys import every_key
from furrow.strategies.moved_keys import MOVED, REWORDED, SHORT_FORMS
from furrow.strategies.spellings import Body
from tests.faults.fuzzing import tried

WORDS = sorted(
    {
        "a", "extends", "name", "strategies", "version", "type", "config", "key", "<<", "_target_", "", "é", "a b",
        *(key.name for key in every_key()),
        *SHORT_FORMS,
        *(str(step) for path in (*MOVED, *REWORDED) for step in path),
    }
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(
        [
            "no", "auto", "none", "full", "lora", "format", "chat", "pytorch", "seedling", "jsonl", "1e-4", "5-10",
            "???",
            "${name}", "${.type}", "${..a[0]}", "${oc.env:HF_TOKEN}", "${oc.env:HOME}", "\\${x}", "{input}{output}",
            "../x", "/x", "~/x", "-x", "last 3", "q8_0", "\ud800", "\x00", "\x1b[2J", "a/b:c", "x" * 5000, "9" * 5000,
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-2, 9), st.floats(), st.floats(0, 1), TEXTS, st.dates()
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=6), inner, max_size=5),
    ),
    max_leaves=25,
)
STRATEGY = st.dictionaries(st.sampled_from(WORDS), DATA, max_size=8)
MARKS = st.text(alphabet="aekmnotx:-?#&*!|>'\"%@`{}[],.~=<$\\/ \t\n\r0123456789é\x85\u2028\x1b", max_size=60)


@pytest.fixture
def strategy_file(tmp_path: Path) -> Path:
    return tmp_path / "s.yaml"


def read(file: Path, content: bytes, sets: Sequence[str] = ()) -> None:
    """Loads everything, and what it writes out once more; any error but a FurrowError with its place goes through."""
    file.write_bytes(content)
    try:
        loaded = [load(name, file, sets) for name in names(file)] if sets else load_all(file)
    except FurrowError as error:
        assert error.exit_code == 2
        assert str(error).startswith((str(file), "--set")), str(error)
        return
    for each in loaded:
        file.write_text(filled_yaml(each.strategy), encoding="utf-8")
        assert load(each.strategy.key, file).strategy == each.strategy


@tried(50)
@example({"strategies": {"version": None}})
@given(st.dictionaries(st.sampled_from(["a", "b", "strategies"]), STRATEGY | DATA, min_size=1, max_size=2))
def test_any_data_becomes_a_strategy_or_an_error_with_its_place(strategy_file, data):
    read(strategy_file, yaml.dump(data, allow_unicode=False).encode("utf-8", "replace"))


@tried(150)
@given(MARKS)
@example("hello")
@example("- a")
@example("? {}\n: x")
@example("a: !!binary gIGC")
@example("a: &a {b: *a}")
@example("%TAG ! !\n--- !x {}")
def test_any_text_becomes_a_strategy_or_an_error_with_its_place(strategy_file, text):
    read(strategy_file, text.encode())


@tried(60)
@given(st.binary(max_size=60))
def test_any_bytes_become_a_strategy_or_an_error_with_its_place(strategy_file, content):
    read(strategy_file, content)


@tried(40)
@given(st.sampled_from(WORDS) | MARKS, MARKS | TEXTS)
@example("prompt_template.system", "a\n${b}")
@example("name", "\ud800")
def test_any_option_becomes_a_strategy_or_an_error_with_its_place(strategy_file, key, value):
    read(strategy_file, b"a: {}", [f"{key}={value}"])


REFERRING = st.lists(
    st.sampled_from(
        ["${a}", "${b}", "${c.d}", "${c}", "${l[1]}", "${.d}", "\\", "\\\\", "$", "x", " ", "${oc.env:HOME}"]
    ),
    max_size=5,
).map("".join)


@tried(150)
@given(REFERRING, REFERRING)
@pytest.mark.filterwarnings("ignore")
def test_references_mean_what_they_mean_to_omegaconf(first, second):
    from omegaconf import OmegaConf

    data = {"a": 1e-4, "b": "y", "l": [first, True], "c": {"d": None, "e": second}}
    found, problems = resolve(Body("k", data, {(): Place("s.yaml", 1, ())}))
    if not problems:
        assert found == OmegaConf.to_container(OmegaConf.create(data), resolve=True)
