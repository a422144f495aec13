"""What is secret is told by its form, or because the environment holds it under such a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from furrow.components.dataset_reader import BadRow
from furrow.components.disk.publish import publish_text
from furrow.components.errors import FurrowError
from furrow.components.events import EventStream, Sampled, Warned, json_line
from furrow.components.secrets import HIDDEN, environment_without_secrets, holds_secret, is_secret_name, scrubbed
from furrow.stages.data.bad_rows import BadRows

TOKEN = "hf_" + "aB3" * 11


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret that has no form: only the environment tells."""
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "plain words, nothing else")
    return "plain words, nothing else"


@pytest.mark.parametrize(
    "token",
    [TOKEN, "sk-proj-0123456789abcdefghij", "ghp_" + "a1" * 18, "AKIAABCDEFGHIJKLMNOP", "xoxb-12345-abcdef",
     "glpat-abcdefghij0123456789", "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0"],
)  # fmt: skip
def test_tokens_are_told_by_their_form(token: str) -> None:
    assert holds_secret(f"see {token}.") and scrubbed(f"see {token}.") == f"see {HIDDEN}."


def test_who_asks_is_taken_out_of_an_address(known: str) -> None:
    assert scrubbed("GET https://me:hunter2@host/x: 401") == f"GET https://{HIDDEN}@host/x: 401"
    assert scrubbed("https://host:8080/x?a=b@c") == "https://host:8080/x?a=b@c"
    assert scrubbed("write me@host.org, 12:30 @ noon") == "write me@host.org, 12:30 @ noon"


def test_what_such_a_variable_holds_is_known_wherever_it_turns_up(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scrubbed(f"<{known}>") == f"<{HIDDEN}>"
    monkeypatch.delenv("MY_SERVICE_PASSWORD")
    assert scrubbed(f"<{known}>") == f"<{known}>"
    monkeypatch.setenv("PROXY", "http://me:s%40cret-word@host:1")
    assert scrubbed("password s@cret-word") == f"password {HIDDEN}"
    assert scrubbed("Basic bWU6c0BjcmV0LXdvcmQ=") == f"Basic {HIDDEN}"  # as HTTP sends it


def test_what_is_kept_at_home_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("token of the hub, saved\n")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login me password saved-in-netrc-1\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not any(holds_secret(text) for text in ("a token", "netrc"))
    assert holds_secret("it said: token of the hub, saved") and holds_secret("saved-in-netrc-1")


def test_names_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD",
              "OPENAI_APIKEY", "db_password", "SENTRY_DSN", "TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_PAT", "HFTOKEN",
              "PGPASSWORD", "PASSWORD1", "API_KEY2", "GITHUB_TOKENS", "REDISCLI_AUTH",
              "HTTP_AUTHORIZATION")  # fmt: skip
    plain = ("SSH_AUTH_SOCK", "GIT_AUTHOR_NAME", "COMPASS", "TOKENIZERS_PARALLELISM", "HOME", "PWD", "OLDPWD",
             "KEYBOARD", "MONKEY", "OMP_NUM_THREADS", "PATH")  # fmt: skip
    assert all(map(is_secret_name, secret)) and not any(map(is_secret_name, plain))


def test_short_values_and_names_of_files_are_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "word")
    monkeypatch.setenv("GOOGLE_CREDENTIALS", str(tmp_path))
    assert scrubbed(f"a word of {tmp_path}") == f"a word of {tmp_path}"


@pytest.mark.parametrize("word", ["password", "seedling", "train-data", "20241101"])
def test_a_word_is_no_secret_whatever_the_variable_is_called(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", word)
    assert scrubbed(f"the {word} of a base") == f"the {word} of a base"
    monkeypatch.setenv("POSTGRES_PASSWORD", f"{word}-k3y")
    assert scrubbed(f"the {word}-k3y") == f"the {HIDDEN}"


def test_the_name_of_a_file_is_no_token(known: str) -> None:
    assert not holds_secret("/data/sk-wikipedia-20240101-cleaned.jsonl")
    assert holds_secret("/data/sk-proj-a_b-0123456789abcd")


def test_a_token_alone_before_the_address_is_taken_out_and_a_name_is_not(known: str) -> None:
    assert scrubbed("https://0a1b2c3d4e5f@host/x") == f"https://{HIDDEN}@host/x"
    assert scrubbed("ssh://git@host/x") == "ssh://git@host/x"


@pytest.mark.parametrize("secret", ['p"a\\ss-wörd-99', "it's <9> & more €"])
def test_what_is_written_as_json_is_hidden_too(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", secret)
    for ascii_only in (True, False):
        publish_text(tmp_path / "text", json.dumps({"a": f"see {secret}."}, ensure_ascii=ascii_only))
        assert json.loads((tmp_path / "text").read_text()) == {"a": f"see {HIDDEN}."}
    assert scrubbed(f"got {secret!r}") in (f"got '{HIDDEN}'", f'got "{HIDDEN}"')
    bad = BadRows(skip=True)
    bad.add(BadRow("bad", "x:1", None, json.dumps({"a": f"see {secret}."})))
    written = bad.publish(tmp_path)
    assert written is not None and json.loads(json.loads(written.read_text())["text"]) == {"a": f"see {HIDDEN}."}


def test_a_value_that_is_no_utf_8_is_looked_for_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY", "http://me:s3cret\udcff-word@host:1")
    assert scrubbed("s3cret\udcff-word") == HIDDEN


def test_a_program_that_has_no_use_for_them_gets_none(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2000@host")
    monkeypatch.setenv("COPY", known)
    left = environment_without_secrets()
    assert "PATH" in left and not {"MY_SERVICE_PASSWORD", "HTTPS_PROXY", "COPY"} & left.keys()


def test_no_error_event_or_published_text_holds_one(known: str, tmp_path: Path) -> None:
    error = FurrowError(f"401 for {TOKEN}", where=f"https://a:{known}@b", remedy=f"not {known}")
    assert TOKEN not in str(error) + str(error.args) and known not in str(error)
    heard: list[Warned | Sampled] = []
    stream = EventStream(heard.append)  # type: ignore[arg-type]
    stream(Warned(message=f"it says {known}", remedy=TOKEN))
    stream(Sampled(step=1, prompt="a", completion=TOKEN))
    assert heard == [
        Warned(message=f"it says {HIDDEN}", remedy=HIDDEN), Sampled(step=1, prompt="a", completion=HIDDEN),
    ]  # fmt: skip
    assert json.loads(json_line(Warned(message=TOKEN)))["message"] == HIDDEN
    publish_text(tmp_path / "text", f"a {known} b")
    assert (tmp_path / "text").read_text() == f"a {HIDDEN} b"
