"""OLLAMA_HOST is understood as Ollama understands it."""

import pytest

from furrow.components.errors import RequestError
from furrow.components.ollama_address import base_url, is_loopback


@pytest.mark.parametrize(
    ("written", "meant"),
    [  # as Ollama's envconfig/config.go reads them, listening addresses made connectable
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1234", "http://example.com:1234"),
        ("example.com:", "http://example.com:11434"),
        ("[0001:002:003:0004::1]", "http://[0001:002:003:0004::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("::1", "http://[::1]:11434"),
        (" 1.2.3.4 ", "http://1.2.3.4:11434"),
        ('"1.2.3.4"', "http://1.2.3.4:11434"),
        ("' 1.2.3.4 '", "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://1.2.3.4:1234/", "https://1.2.3.4:1234"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("ollama.com", "https://ollama.com:443"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:11435", "http://127.0.0.1:11435"),
        ("[::]:11435", "http://[::1]:11435"),
    ],
)
def test_every_spelling_of_ollama_becomes_its_url(written, meant, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", written)
    assert base_url() == meant == base_url(written)


def test_without_the_variable_the_default_is_this_machine(monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert base_url() == "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    "written", ["host:66000", "host:-1", "host:abc", "file:///etc/passwd", "a b", "ftp://host", "h?x=1"]
)
def test_what_is_no_address_is_refused_and_names_the_variable(written, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", written)
    with pytest.raises(RequestError) as caught:
        base_url()
    assert caught.value.where == "OLLAMA_HOST"


def test_a_password_in_the_address_is_not_repeated():
    with pytest.raises(RequestError) as caught:
        base_url("http://me:hunter2@host:1")
    assert "hunter2" not in str(caught.value)


def test_loopback_is_told_from_elsewhere():
    assert [is_loopback(f"http://{host}:1") for host in ("127.0.0.1", "[::1]", "localhost", "10.0.0.1", "x.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip
