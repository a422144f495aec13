"""Answers that come from a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from furrow.components.errors import FurrowError, RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.ollama.app import OllamaApp
from furrow.components.model_app.ollama.component import COMPONENT, OllamaAppConfig
from furrow.components.models.folder import ModelFolder
from furrow.components.models.served import Served
from furrow.components.ollama_api import OllamaRefusal, OllamaUnreachable

SERVED = Served(
    model=ModelFolder(Path("runs/a b/final_model"), "adapter"), exports=Path("runs/exports"), model_name="garden"
)


def app(**config):
    return OllamaApp(OllamaAppConfig(**config), SERVED)


@pytest.fixture
def garden(ollama):
    ollama.models["garden"] = {}
    return ollama


def test_the_rendered_prompt_goes_raw_with_every_setting(garden):
    generation = GenerationConfig(max_new_tokens=9, temperature=0.3, top_p=0.8, top_k=5, repetition_penalty=1.2, seed=7)
    assert "".join(app().answer("### User: leeks?\n", generation, ["### User:"])) == "In March."
    [request] = garden.generated
    assert request == {
        "model": "garden", "prompt": "### User: leeks?\n", "raw": True,
        "think": False, "truncate": False, "shift": False, "stream": True,
        "options": {
            "num_predict": 9, "temperature": 0.3, "top_k": 5, "top_p": 0.8, "min_p": 0.0, "repeat_penalty": 1.2,
            "repeat_last_n": -1, "seed": 7, "stop": ["### User:"],
        },
    }  # fmt: skip


def test_pieces_come_one_by_one(garden):
    assert list(app().answer("x", GenerationConfig(), [])) == ["In ", "March", "."]


def test_a_stop_text_that_the_server_lets_through_is_cut(garden):
    garden.answer = ["In March", "\n##", "# User: next"]
    assert "".join(app().answer("x", GenerationConfig(), ["\n### User:"])) == "In March"


def test_the_config_names_another_model_and_another_server(garden, no_ollama):
    garden.models["other:v2"] = {}
    assert "".join(app(model="other:v2", host=garden.url).answer("x", GenerationConfig(), [])) == "In March."
    assert garden.generated[0]["model"] == "other:v2"


def test_a_model_that_the_server_does_not_know_is_answered_with_the_command_that_makes_it(ollama):
    with pytest.raises(RequestError, match="garden") as caught:
        list(app().answer("x", GenerationConfig(), []))
    assert (
        "convert 'runs/a b/final_model' runs/exports/ollama --format ollama --model-name garden" in caught.value.remedy
    )


def test_an_absent_server_is_an_error_with_a_remedy(no_ollama):
    with pytest.raises(OllamaUnreachable, match=no_ollama) as caught:
        list(app().answer("x", GenerationConfig(), []))
    assert "ollama serve" in caught.value.remedy


def test_an_error_inside_the_stream_is_raised_after_what_came_before(garden):
    garden.stream_error = "llama runner process has terminated"
    pieces = app().answer("x", GenerationConfig(), [])
    assert next(pieces) == "In "
    with pytest.raises(OllamaRefusal, match="terminated"):
        next(pieces)


def test_an_answer_that_breaks_off_is_an_error(garden):
    garden.break_off = True
    with pytest.raises(FurrowError):
        list(app().answer("x", GenerationConfig(), []))


def test_an_empty_prompt_is_refused_because_the_server_would_only_load_the_model(garden):
    with pytest.raises(RequestError, match="empty"):
        list(app().answer("", GenerationConfig(), []))
    assert garden.generated == []


def test_a_conversation_is_rendered_by_ollama(garden):
    messages = [{"role": "user", "content": "Leeks?"}]
    assert "".join(app().chat(messages, GenerationConfig(max_new_tokens=9, seed=7))) == "In March."
    [request] = garden.generated
    assert garden.requests == [("POST", "/api/chat")]
    assert request["messages"] == messages
    assert request["options"]["num_predict"] == 9 and request["options"]["seed"] == 7
    assert request["think"] is False and "raw" not in request


def test_a_conversation_that_max_new_tokens_ended_is_told_from_one_that_ended(garden):
    garden.done_reason = "length"
    pieces = app().chat([{"role": "user", "content": "Leeks?"}], GenerationConfig())
    assert [next(pieces), next(pieces), next(pieces)] == ["In ", "March", "."]
    with pytest.raises(CutOff):
        list(pieces)


def test_a_conversation_with_an_unknown_model_is_answered_with_the_command_that_makes_it(ollama):
    with pytest.raises(RequestError, match="garden"):
        list(app().chat([{"role": "user", "content": "Leeks?"}], GenerationConfig()))


def test_setup_warns_when_no_server_answers(no_ollama):
    [check] = COMPONENT.checks(OllamaAppConfig())
    assert check.status == "warning"
