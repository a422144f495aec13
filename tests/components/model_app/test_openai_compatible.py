"""Answers of a server that speaks OpenAI's interface."""

from __future__ import annotations

import email.utils
import json
import time
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from furrow.components.errors import FurrowError, RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.openai_compatible import api
from furrow.components.model_app.openai_compatible.api import ServerRefusal, ServerUnreachable
from furrow.components.model_app.openai_compatible.app import OpenAICompatibleApp
from furrow.components.model_app.openai_compatible.component import COMPONENT, OpenAICompatibleConfig
from furrow.components.models.folder import ModelFolder
from furrow.components.models.served import Served
from tests.components.model_app.openai_double import serving

SERVED = Served(model=ModelFolder(Path("final_model"), "adapter"), exports=Path("exports"), model_name="garden")
KEY = "lab-0123456789abcdef"
PLAIN = GenerationConfig(max_new_tokens=9)


@pytest.fixture
def server():
    with serving() as double:
        yield double


@pytest.fixture
def keyed(server, monkeypatch):
    server.key = KEY
    monkeypatch.setenv("LAB_API_KEY", KEY)
    monkeypatch.setenv("LAB_API_KEY_HOST", server.url.removeprefix("http://"))
    return server


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were to be waited for; nobody waits."""
    found = []
    monkeypatch.setattr(api.time, "sleep", found.append)
    return found


def app(server, **config):
    return OpenAICompatibleApp(OpenAICompatibleConfig(base_url=server.url, **config), SERVED)


def answered(server, generation=PLAIN, stop=(), **config):
    return "".join(app(server, **config).answer("### User: leeks?\n", generation, stop))


def test_the_rendered_prompt_goes_as_it_is_with_every_setting(server):
    generation = GenerationConfig(max_new_tokens=9, temperature=0.3, top_p=0.8, seed=7)
    assert answered(server, generation, ["### User:"]) == "In March."
    assert server.requests == [("POST", "/v1/completions", None)]
    assert server.asked == [
        {
            "model": "garden", "prompt": "### User: leeks?\n", "max_tokens": 9, "temperature": 0.3, "top_p": 0.8,
            "seed": 7, "stream": True, "stop": ["### User:"],
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        ("llama_cpp", {"top_k": 5, "min_p": 0.0, "repeat_penalty": 1.2, "repeat_last_n": -1}),
        ("vllm", {"top_k": 5, "min_p": 0.0, "repetition_penalty": 1.2}),
    ],
)
def test_a_known_server_is_told_what_is_no_part_of_the_shared_interface(server, dialect, told):
    server.dialect = dialect
    generation = GenerationConfig(temperature=0.3, top_k=5, repetition_penalty=1.2)
    assert answered(server, generation, dialect=dialect) == "In March."
    assert {name: server.asked[0][name] for name in told} == told


def test_a_setting_that_the_shared_interface_cannot_say_is_refused(server):
    for generation in (GenerationConfig(top_k=5, temperature=1.0), GenerationConfig(repetition_penalty=1.1)):
        with pytest.raises(RequestError, match="no part") as caught:
            answered(server, generation)
        assert "dialect" in caught.value.remedy
    assert server.requests == []


def test_pieces_come_one_by_one(server):
    assert list(app(server).answer("x", PLAIN, [])) == ["In ", "March", "."]


def test_more_stop_texts_than_the_interface_takes_are_cut_here(server):
    server.pieces = ["In March", "\n##", "# six: next"]
    assert answered(server, stop=["one", "two", "three", "four", "five", "\n### six:"]) == "In March"
    assert server.asked[0]["stop"] == ["one", "two", "three", "four"]


def test_an_answer_in_one_piece_is_taken_too(server):
    server.whole = True
    assert answered(server) == "In March."
    assert "".join(app(server).chat([{"role": "user", "content": "x"}], PLAIN)) == "In March."


def test_a_conversation_goes_as_messages(server):
    messages = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Leeks?"}]
    assert "".join(app(server).chat(messages, PLAIN)) == "In March."
    assert server.requests == [("POST", "/v1/chat/completions", None)]
    assert server.asked[0]["messages"] == messages
    assert "prompt" not in server.asked[0]


def test_a_conversation_that_max_new_tokens_ended_is_told_from_one_that_ended(server):
    server.finish_reason = "length"
    pieces = app(server).chat([{"role": "user", "content": "x"}], PLAIN)
    assert [next(pieces), next(pieces), next(pieces)] == ["In ", "March", "."]
    with pytest.raises(CutOff):
        next(pieces)
    assert answered(server) == "In March."  # a completion is what it is


def test_the_config_names_another_model(server):
    server.models.append("other")
    assert answered(server, model="other") == "In March."
    assert server.asked[0]["model"] == "other"


def test_a_model_that_the_server_does_not_know_is_an_error_in_its_words(server):
    with pytest.raises(ServerRefusal, match="`other` does not exist") as caught:
        answered(server, model="other")
    assert "model_app.config" in caught.value.remedy


def test_an_absent_server_is_an_error_with_a_remedy(no_ollama):
    with pytest.raises(ServerUnreachable, match=no_ollama) as caught:
        "".join(
            OpenAICompatibleApp(OpenAICompatibleConfig(base_url=f"http://{no_ollama}"), SERVED).answer("x", PLAIN, [])
        )
    assert "base_url" in caught.value.remedy


def test_an_error_inside_the_stream_is_raised_after_what_came_before(server):
    server.stream_error = "out of memory"
    pieces = app(server).answer("x", PLAIN, [])
    assert next(pieces) == "In "
    with pytest.raises(ServerRefusal, match="out of memory"):
        next(pieces)


def test_an_answer_that_breaks_off_is_an_error(server):
    server.break_off = True
    with pytest.raises(ServerUnreachable, match="broke off"):
        answered(server)


def test_an_empty_prompt_is_refused(server):
    with pytest.raises(RequestError, match="empty"):
        list(app(server).answer("", PLAIN, []))
    assert server.requests == []


# asking again


def test_a_busy_server_is_asked_again_after_the_time_that_it_asks_for(server, waits):
    in_seven = email.utils.formatdate(time.time() + 7, usegmt=True)
    server.failures = [(429, {"Retry-After": "3"}), (503, {}), (500, {}), (429, {"Retry-After": in_seven})]
    assert answered(server) == "In March."
    assert waits[:3] == [3.0, 2.0, 4.0]
    assert 4 < waits[3] <= 7


def test_it_is_not_asked_for_ever(server, waits):
    server.failures = [(503, {})] * 9
    with pytest.raises(ServerRefusal, match="out of order"):
        answered(server, retries=2)
    assert (len(server.requests), waits) == (3, [1.0, 2.0])


def test_a_server_that_wants_to_be_left_alone_for_an_hour_is_not_waited_for(server, waits):
    server.failures = [(429, {"Retry-After": "3600"})]
    with pytest.raises(ServerRefusal, match="3600 s") as caught:
        answered(server)
    assert (waits, "later" in caught.value.remedy) == ([], True)


@pytest.mark.parametrize("header", ["-5", "soon", "nan", "1e9", "9" * 400, ""])
def test_a_wait_that_is_none_is_not_taken_for_one(server, waits, header):
    server.failures = [(503, {"Retry-After": header})]
    if header.isdecimal():
        with pytest.raises(ServerRefusal):
            answered(server)
    else:
        assert answered(server) == "In March."
        assert waits == [1.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_would_be_refused_again_is_not_asked_again(server, waits, status):
    server.failures = [(status, {})]
    with pytest.raises(ServerRefusal, match="out of order"):
        answered(server)
    assert len(server.requests) == 1


# the key


def test_the_key_goes_in_the_header(keyed):
    assert answered(keyed, api_key_env="LAB_API_KEY") == "In March."
    assert keyed.requests[0][2] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [KEY, "sunshine"])  # a word is looked for in no other text
def test_a_wrong_key_is_an_error_that_does_not_say_it(keyed, monkeypatch, key):
    monkeypatch.setenv("LAB_API_KEY", key)
    keyed.key = "another"
    with pytest.raises(ServerRefusal, match="Incorrect API key") as caught:
        answered(keyed, api_key_env="LAB_API_KEY")
    assert "api_key_env" in caught.value.remedy
    assert key not in "".join(traceback.format_exception(caught.value))
    assert key not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_gets_the_key_or_the_prompt(keyed, status):
    with serving() as elsewhere:
        keyed.failures = [(status, {"Location": f"{elsewhere.url}/v1/completions"})]
        with pytest.raises(ServerRefusal, match="another place"):
            answered(keyed, api_key_env="LAB_API_KEY")
        assert elsewhere.requests == []


def test_a_key_that_the_environment_does_not_hold_is_asked_for(server):
    with pytest.raises(RequestError, match="LAB_API_KEY is not set"):
        app(server, api_key_env="LAB_API_KEY")


@pytest.mark.parametrize("host", [None, "", "llm.lab.org", "127.0.0.1", "127.0.0.1:1"])
def test_a_key_is_for_the_host_that_the_environment_names(keyed, monkeypatch, host):
    monkeypatch.delenv("LAB_API_KEY_HOST") if host is None else monkeypatch.setenv("LAB_API_KEY_HOST", host)
    with pytest.raises(RequestError, match=r"not for 127\.0\.0\.1") as caught:
        app(keyed, api_key_env="LAB_API_KEY")
    assert f"LAB_API_KEY_HOST={keyed.url.removeprefix('http://')}" in caught.value.remedy
    assert keyed.requests == []


def test_of_a_usual_port_the_host_alone_is_enough(monkeypatch):
    monkeypatch.setenv("LAB_API_KEY", KEY)
    monkeypatch.setenv("LAB_API_KEY_HOST", "LLM.lab.org")
    config = OpenAICompatibleConfig(base_url="https://llm.lab.org/v1", api_key_env="LAB_API_KEY")
    OpenAICompatibleApp(config, SERVED)


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "Schlüssel-des-Labors"])
def test_what_no_header_can_hold_is_no_key(keyed, monkeypatch, value):
    monkeypatch.setenv("LAB_API_KEY", value)
    with pytest.raises(RequestError, match="is no key") as caught:
        app(keyed, api_key_env="LAB_API_KEY")
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["HOME", "/etc/passwd", "LAB", "A B_KEY", "", "~/.netrc", "LAB_KEY\n"])
def test_only_a_variable_with_the_name_of_a_secret_may_hold_it(name):
    with pytest.raises(ValidationError, match="name of a variable"):
        OpenAICompatibleConfig(base_url="http://h", api_key_env=name)


# addresses


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://h", "http://h/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("https://h/api/v3/", "https://h/api/v3"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_the_address_without_a_path_is_that_of_version_1(given, url):
    assert OpenAICompatibleConfig(base_url=given).base_url == url


@pytest.mark.parametrize(
    "given",
    ["h:8000", "file:///etc/passwd", "ftp://h/", "http://", "http://u:secret@h/", "http://t@h/", "http://h/?k=v",
     "http://h/#a", "http://h:99999/", "http://h:0/", "http://h h/", "http://h/a b", "http://[::1/", "//h/v1",
     "http://h\\@evil/", "http://h/\r\nX: y"],
)  # fmt: skip
def test_another_address_is_refused_with_the_strategy(given):
    with pytest.raises(ValidationError) as caught:
        OpenAICompatibleConfig(base_url=given)
    assert "secret" not in str(caught.value).split("input_value")[0]


# hostile servers


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ([b"data: " + b"x" * 1000 + b"\n"] * 2000 + [b"\n"], ServerRefusal),
        ([b"data: " + b"x" * (2 << 20)], ServerRefusal),
        ([b"data: nonsense\n\n"], ServerUnreachable),
        ([b"data: " + b"[" * 100_000 + b"\n\n"], ServerUnreachable),
        ([b"<html>"], ServerUnreachable),
        ([b""], ServerUnreachable),
        ([b'data: {"choices": [{"text": 5, "finish_reason": "stop"}]}\n\n'], None),
        ([b'data: {"choices": 5}\n\ndata: 7\n\ndata: {"choices": [3]}\n\n'], ServerUnreachable),
        ([b'data: {"error": null}\n\n'], ServerRefusal),
    ],
)
def test_what_no_server_should_send_ends_in_an_error_or_in_text(server, raw, error):
    server.raw = raw
    if error is None:
        assert answered(server) == "5"
        return
    with pytest.raises(error):
        answered(server)


def test_an_answer_without_an_end_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(api, "MOST_OF_AN_ANSWER", 10_000)
    server.pieces = ["x" * 100] * 200
    with pytest.raises(ServerRefusal, match="no end"):
        answered(server)


def test_a_silent_server_is_not_waited_for_longer_than_asked(server):
    server.reply = lambda body: time.sleep(2) or "late"
    with pytest.raises(ServerUnreachable):
        answered(server, timeout=0.2)


# setup


def checks(server, **config):
    config = OpenAICompatibleConfig.model_validate_json(json.dumps({"base_url": server.url, **config}))
    return [(check.name, check.status) for check in COMPONENT.checks(config)]


def test_setup_finds_the_server_the_model_and_the_key(keyed, monkeypatch):
    named = {"api_key_env": "LAB_API_KEY"}
    assert checks(keyed, **named, model="garden") == [("API key", "passed"), ("server", "passed")]
    assert checks(keyed, **named, model="weeds") == [("API key", "passed"), ("server", "warning")]
    keyed.key = "another"
    assert checks(keyed, **named) == [("API key", "passed"), ("server", "failed")]
    monkeypatch.delenv("LAB_API_KEY")
    assert checks(keyed, **named) == [("API key", "failed")]


def test_setup_warns_when_no_server_answers(no_ollama):
    config = OpenAICompatibleConfig(base_url=f"http://{no_ollama}")
    assert [check.status for check in COMPONENT.checks(config)] == ["warning"]


def test_setup_warns_of_a_key_in_the_clear(monkeypatch):
    monkeypatch.setenv("LAB_API_KEY", KEY)
    monkeypatch.setenv("LAB_API_KEY_HOST", "nowhere.invalid")
    config = OpenAICompatibleConfig(base_url="http://nowhere.invalid", api_key_env="LAB_API_KEY")
    found = list(COMPONENT.checks(config))
    assert "in the clear" in found[1].found
    assert all(KEY not in repr(check) for check in found)


def test_every_error_is_one_that_the_user_can_mend():
    assert issubclass(ServerRefusal, FurrowError)
    assert issubclass(ServerUnreachable, FurrowError)
