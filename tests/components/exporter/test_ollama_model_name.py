"""Names are Ollama's, and a wrong one is answered with the nearest right one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.components.errors import RequestError
from furrow.components.exporter.ollama.model_name import checked_name, nearest_name

PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"


@pytest.mark.parametrize(
    "name", ["garden", "garden:v1", "me/garden", "host.org:5000/me/garden:q8_0", "_x", "a" * 80, "A.b-c"]
)
def test_a_legal_name_is_taken_as_it_is(name):
    assert checked_name(name) == name == nearest_name(name)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("my garden!", "my-garden"),
        ("-garden", "garden"),
        ("garden:v 1", "garden:v-1"),
        ("a:b:c", "a-b:c"),
        ("gärtner", "g-rtner"),
        ("fine_tuned_models/demo/final model", "demo/final-model"),
        ("my.space/garden+x", "my-space/garden-x"),
        ("a" * 90, "a" * 80),
        ("", "model"),
        ("/", "model"),
        ("garden:", "garden"),
        ("x\nSYSTEM evil", "x-SYSTEM-evil"),
    ],
)
def test_an_illegal_name_is_refused_with_the_nearest_legal_one(name, nearest):
    with pytest.raises(RequestError) as caught:
        checked_name(name)
    assert f"--model-name {nearest} " in caught.value.remedy


@given(st.text(max_size=100))
def test_the_nearest_name_is_always_legal(name):
    assert re.fullmatch(rf"(?:{PART}/)*{PART}(?::{PART})?", nearest_name(name))
    assert checked_name(nearest_name(name)) == nearest_name(name)
