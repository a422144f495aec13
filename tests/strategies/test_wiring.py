"""A strategy wires components by type, of this package or of another one."""

from __future__ import annotations

import importlib.metadata
import sys
import types

import pytest

from furrow.components import registry
from furrow.components.config import Config
from furrow.components.registry import Component
from furrow.strategies.json_schema import file_schema
from furrow.strategies.wiring import OfSlot


class EchoConfig(Config):
    """Settings of a component that another package brings."""

    loudness: int = 3
    """How loud."""
    words: tuple[str, ...] = ()
    """What to say."""


@pytest.fixture
def plugins(monkeypatch):
    """Two packages: one brings model_app `echo` and dataset_splitter `halves`, the other a model_app that is broken."""
    module = types.ModuleType("echo_plugin")
    module.APP = Component(summary="says it again", config=EchoConfig, factory="echo_plugin:App")
    monkeypatch.setitem(sys.modules, "echo_plugin", module)
    points = [
        importlib.metadata.EntryPoint("echo", "echo_plugin:APP", "furrow.model_app"),
        importlib.metadata.EntryPoint("halves", "echo_plugin:APP", "furrow.dataset_splitter"),
        importlib.metadata.EntryPoint("broken", "no_such_module_anywhere:APP", "furrow.model_app"),
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda group, _path: [point for point in points if point.group == group]
    )


@pytest.mark.usefixtures("plugins")
def test_a_component_of_another_package_is_wired_with_its_own_config(load_text):
    strategy = load_text("""
        a:
          components: {model_app: {type: echo, config: {loudness: 7, words: [x, y]}}}
          dataset: {splitter: {type: halves, loudness: 1}}
    """).strategy
    assert (strategy.model_app.config.loudness, strategy.model_app.config.words) == (7, ("x", "y"))
    assert (strategy.dataset.splitter.type, strategy.dataset.splitter.config.loudness) == ("halves", 1)


@pytest.mark.usefixtures("plugins")
def test_mistakes_in_its_config_have_their_place(problems):
    found = problems("a:\n  components:\n    model_app:\n      type: echo\n      config:\n        loudness: high\n")
    assert found == ["s.yaml:6: components.model_app.config.loudness: a whole number is wanted, got text 'high'"]


@pytest.mark.usefixtures("plugins")
def test_a_broken_package_fails_only_the_strategy_that_names_it(load_text, problems):
    assert load_text("a: {components: {model_app: echo}}").strategy.model_app.type == "echo"
    [problem] = problems("a:\n  components: {model_app: broken}\n")
    assert problem.startswith("s.yaml:2: components.model_app")
    assert "No module named 'no_such_module_anywhere'" in problem
    schema = file_schema()["$defs"]["ComponentsConfig"]["properties"]["model_app"]
    assert "echo" in schema["anyOf"][-1]["enum"]
    assert "broken" not in schema["anyOf"][-1]["enum"]


@pytest.mark.parametrize(
    "written", ["ollama", "{type: ollama}", "{type: ollama, config: }", "{type: ollama, config: {}}"]
)
def test_a_type_alone_takes_the_default_settings(written, load_text):
    wired = load_text(f"a: {{components: {{model_app: {written}}}}}").strategy.model_app
    assert wired.config == wired.component.config()


def test_the_template_is_format_where_a_format_is_given_and_chat_else(load_text):
    assert load_text("a: {prompt_template: {format: '{input} {output}'}}").strategy.prompt_template.type == "format"
    assert load_text("a: {prompt_template: {system: Hello}}").strategy.prompt_template.type == "chat"
    assert load_text("a: {}").strategy.prompt_template.type == "chat"
    assert load_text("a: {dataset: {reader: csv}}").strategy.dataset.reader.type == "csv"


def test_what_is_written_out_wires_the_same_again():
    for slot in (OfSlot("model_app", default="transformers"), OfSlot("dataset_splitter", flat=True, default="random")):
        wired = slot.wire({})
        assert slot.wire(slot.unwire(wired)) == wired
