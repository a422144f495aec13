"""The client against a server that keeps Ollama's contract."""

import hashlib

import pytest

from furrow.components.generation import GenerationConfig
from furrow.components.ollama_api import OllamaApi, OllamaRefusal, OllamaUnreachable, check_reachable, options


def test_a_blob_arrives_whole_and_tells_its_progress(ollama, tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * 20_000)
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    api, told = OllamaApi(ollama.url), []
    assert not api.has_blob(digest)
    api.push_blob(digest, file, lambda done, total: told.append((done, total)))
    assert api.has_blob(digest)
    assert ollama.blobs[digest] == file.read_bytes()
    assert told == sorted(told)
    assert told[-1] == (5_120_000, 5_120_000)
    assert 50 <= len(told) <= 101


def test_a_digest_that_does_not_fit_is_refused_with_the_servers_words(ollama, tmp_path):
    (tmp_path / "weights").write_bytes(b"GGUF")
    with pytest.raises(OllamaRefusal, match="digest mismatch") as caught:
        OllamaApi(ollama.url).push_blob("sha256:" + "0" * 64, tmp_path / "weights", lambda done, total: None)
    assert caught.value.status == 400
    assert not ollama.blobs


def test_an_absent_server_is_said_with_what_to_do(no_ollama):
    with pytest.raises(OllamaUnreachable, match="does not answer") as caught:
        OllamaApi(f"http://{no_ollama}").version()
    assert "ollama serve" in caught.value.remedy


def test_loopback_does_not_go_through_a_proxy(ollama, no_ollama, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{no_ollama}")
    assert OllamaApi(ollama.url).version() == "0.33.0"


def test_an_answer_that_breaks_off_is_an_error_not_a_short_answer(ollama):
    ollama.models["m"] = {}
    ollama.break_off = True
    pieces = OllamaApi(ollama.url).generate({"model": "m", "prompt": "x"})
    assert next(pieces) == "In "
    with pytest.raises((OllamaRefusal, OllamaUnreachable)):
        next(pieces)


def test_every_hidden_default_of_ollama_is_overridden():
    generation = GenerationConfig(max_new_tokens=7, repetition_penalty=1.2)
    assert options(generation, ["###"]) == {
        "num_predict": 7, "temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.2,
        "repeat_last_n": -1, "seed": 42, "stop": ["###"],
    }  # fmt: skip


def test_setup_finds_the_version_or_warns(ollama, no_ollama):
    found = check_reachable(ollama.url)
    assert (found.status, "0.33.0" in found.found) == ("passed", True)
    absent = check_reachable(None)
    assert (absent.status, no_ollama in absent.found) == ("warning", True)
    assert "ollama serve" in absent.remedy


def test_setup_reports_a_senseless_address_instead_of_failing():
    assert check_reachable("host:99999").status == "warning"
