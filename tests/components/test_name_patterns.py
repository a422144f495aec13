"""Patterns of real adapters are let through, and those that keep `re` busy are not."""

from __future__ import annotations

import re
import time

import pytest

from furrow.components.name_patterns import takes_for_ever

VISION = (
    r"(?:.*?(?:vision|image|visual|patch|language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
    r"(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj|fc1|fc2|out_proj).*?)"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)\.(?:(?:q_proj|k_proj)))"
)
LONG = "base_model.model.model.language_model.layers.31.self_attn.mlp.experts.127.gate_up_proj.base_layer.lora_A.x"


@pytest.mark.parametrize(
    "pattern",
    [
        VISION,
        r"model\.language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)",
        r".*(model)(?!.*visual).*(down_proj|gate_proj|up_proj|k_proj|q_proj|v_proj|o_proj).*",
        r"^(language_model|aligner)(?!.*(lm_head|output|emb|wte|shared)).*",
        r"layers\.(?:1[0-9]|2[0-3])\.q_proj",
        "q_proj",
        ".*.*.*.*!",
    ],
)
def test_patterns_with_an_end_are_let_through_and_come_to_it(pattern: str) -> None:
    assert not takes_for_ever(pattern)
    began = time.process_time()
    re.fullmatch(pattern, LONG)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "pattern",
    [
        "([a-z_.0-9]+)+!", "(a|a)*b", "(?i)(?:ab|AB)*c", "(?:ab|a)*!", "((.|.)*)*!", ".*" * 5 + "!",
        "a?" * 30 + "a" * 30,
        "(?:\\w|\\w\\w)" * 40 + "!", "(.+)\\1+!", "(a?){40}", "(?:(?=a*)b)+!", "(" * 5000, "((((", "x" * 20_000,
    ],
)  # fmt: skip
def test_patterns_without_measure_are_told_before_they_are_tried(pattern: str) -> None:
    assert takes_for_ever(pattern)


def test_many_patterns_are_counted_together() -> None:
    assert not takes_for_ever(*[f"model.layers.{number}.mlp.up_proj" for number in range(1000)])
    assert takes_for_ever(*[f".*.*.*.*{number}!" for number in range(10)])
