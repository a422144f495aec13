"""The JSON Schema that editors use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from furrow.strategies.files import LIBRARY
from furrow.strategies.json_schema import file_schema

SCHEMA = file_schema()
FILES = [*LIBRARY.glob("*.yaml"), *(Path(__file__).parent / "guide").glob("*.yaml")]


def alternatives(schema):
    if "$ref" in schema:
        return alternatives(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    inner = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]
    return [found for option in inner for found in alternatives(option)] or [schema]


def test_is_json_with_no_reference_that_leads_nowhere():
    text = json.dumps(SCHEMA)
    for part in text.split('"$ref": "#/$defs/')[1:]:
        assert part.partition('"')[0] in SCHEMA["$defs"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_of_the_shipped_strategies_and_of_the_guide_is_in_it(path):
    def walk(value, schema, where):
        if not isinstance(value, dict):
            return
        for key, inner in value.items():
            options = [option for option in alternatives(schema) if key in option.get("properties", {})]
            assert options, f"{where}.{key}"
            walk(inner, {"anyOf": [option["properties"][key] for option in options]}, f"{where}.{key}")

    for name, body in yaml.safe_load(path.read_text()).items():
        walk(body, {"$ref": "#/$defs/Strategy"}, name)


def test_every_key_that_it_describes_has_a_description():
    for name, definition in SCHEMA["$defs"].items():
        for key, described in definition.get("properties", {}).items():
            assert "description" in described or "$ref" in described, f"{name}.{key}"


def test_blocks_are_closed_and_choices_are_listed():
    assert all(
        definition["additionalProperties"] is False
        for definition in SCHEMA["$defs"].values()
        if definition.get("type") == "object"
    )
    arguments = SCHEMA["$defs"]["TrainingArgsConfig"]["properties"]
    assert {"linear", "cosine_with_min_lr", "warmup_stable_decay"} < set(arguments["lr_scheduler_type"]["enum"])
    assert {"adamw", "adamw_torch", "paged_adamw_8bit"} < set(arguments["optim"]["enum"])
    assert arguments["temperature"]["deprecated"] is True
    assert "q4_k_m" in SCHEMA["$defs"]["ExportConfig"]["properties"]["quantization"]["enum"]


def test_the_three_spellings_are_in_it():
    assert SCHEMA["additionalProperties"] == {"$ref": "#/$defs/Strategy"}
    kinds = [option["type"] for option in SCHEMA["properties"]["strategies"]["anyOf"]]
    assert kinds == ["object", "array"]
