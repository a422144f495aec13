"""The part of OpenAI's HTTP interface that Furrow speaks, over urllib: models, completions and chat completions.

Source: OpenAI's API reference (completions, chat/completions, streaming as server-sent events), vLLM's and
llama-server's documentation of theirs. The key goes to one host and in one header, and no redirect is followed.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from furrow.components.checks import Check, Status
from furrow.components.errors import FurrowError, RequestError
from furrow.components.model_app.openai_compatible.key import key_for
from furrow.components.ollama_address import is_loopback
from furrow.components.secrets import HIDDEN

QUICK = 2.0
"""Seconds to wait for the answer to a check."""
LONGEST_WAIT = 60.0
"""Seconds between two tries, whatever the server asks for."""
MOST_OF_A_LINE, MOST_OF_AN_ANSWER = 1 << 20, 1 << 26
"""Bytes: 1 MiB of one event, 64 MiB in all. A piece of text comes with about 300 bytes around it."""
MOST_OF_AN_ERROR = 10_000
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


class ServerUnreachable(FurrowError):
    """Nothing answers there, or not in this language."""


class ServerRefusal(FurrowError):
    """The server answered with an error; `status` is HTTP's, or 200 where it came inside a stream."""

    def __init__(self, what: str, status: int, *, remedy: str | None = None) -> None:
        super().__init__(what, remedy=remedy)
        self.status = status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib would send the header with the key wherever it is redirected to."""

    def redirect_request(self, *_: Any) -> None:
        return None


class OpenAIApi:
    """One server. Every method raises ServerUnreachable or ServerRefusal, without the key in what they say."""

    def __init__(self, base_url: str, key: str | None, *, timeout: float = 600.0, retries: int = 0) -> None:
        self.url = base_url
        self._key, self._timeout, self._retries = key, timeout, retries
        proxies = [urllib.request.ProxyHandler({})] if is_loopback(base_url) else []
        self._opener = urllib.request.build_opener(_NoRedirects(), *proxies)

    def models(self) -> list[str]:
        """What the server calls its models."""
        with self._open("/models", None) as response:
            answer = self._whole(response)
        return [str(model.get("id")) for model in answer.get("data") or () if isinstance(model, dict)]

    def choices(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """`choices[0]` of every event as it comes, the last one with its `finish_reason`. Asks again, as often as it
        may, as long as nothing has come."""
        with self._tried(path, _json(body)) as response:
            kind = response.headers.get("Content-Type", "")
            answers = iter([self._whole(response)]) if "json" in kind else self._events(response)
            ended = False
            for answer in answers:
                if "error" in answer:
                    raise ServerRefusal(self._said(_message_in(answer)), 200)
                choices = answer.get("choices")
                if isinstance(choices, list) and choices and isinstance(choices[0], dict):
                    yield choices[0]
                    ended = ended or choices[0].get("finish_reason") is not None
            if not ended:
                raise ServerUnreachable(f"the answer of {self.url} broke off")

    def _tried(self, path: str, body: bytes) -> http.client.HTTPResponse:
        for attempt in range(self._retries + 1):
            try:
                return self._open(path, body)
            except ServerRefusal as refusal:
                wait = getattr(refusal, "wait", None)
                if refusal.status not in _BUSY or attempt == self._retries:
                    raise
                if wait is not None and wait > LONGEST_WAIT:
                    raise ServerRefusal(
                        f"{refusal.what} (it wants to be asked again in {wait:.0f} s)",
                        refusal.status,
                        remedy="run it again later: what was answered is kept",
                    ) from refusal
                time.sleep(min(LONGEST_WAIT, 2.0**attempt) if wait is None else wait)
        raise AssertionError("the last attempt returns or raises")

    def _open(self, path: str, body: bytes | None) -> http.client.HTTPResponse:
        request = urllib.request.Request(self.url + path, data=body, method="POST" if body else "GET")
        request.add_header("Accept", "text/event-stream, application/json" if body else "application/json")
        if body:
            request.add_header("Content-Type", "application/json")
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=self._timeout)
            return response
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None  # the error holds the request, and that the key
        except (OSError, http.client.HTTPException) as error:
            reason = self._said(str(getattr(error, "reason", None) or error or type(error).__name__))
            raise ServerUnreachable(
                f"no server answers at {self.url}: {reason}",
                remedy="start it, or set base_url to where it runs",
            ) from None

    def _refusal(self, error: urllib.error.HTTPError) -> ServerRefusal:
        if 300 <= error.code < 400:
            elsewhere = self._said(error.headers.get("Location", ""))[:200]
            return ServerRefusal(
                f"{self.url} sends to another place: {elsewhere}", error.code, remedy="set base_url to where it answers"
            )
        try:
            text = error.read(MOST_OF_AN_ERROR).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            text = ""
        refusal = ServerRefusal(
            f"the server at {self.url} says: {self._said(_message_of(text)) or f'{error.code} {error.reason}'}",
            error.code,
            remedy=_REMEDIES.get(error.code),
        )
        refusal.wait = _seconds(error.headers.get("Retry-After"))  # type: ignore[attr-defined]
        return refusal

    def _events(self, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        """The objects of a stream of server-sent events; ends behind `[DONE]`."""
        size, data = 0, b""
        while line := self._line(response):
            size += len(line)
            if size > MOST_OF_AN_ANSWER:
                raise ServerRefusal(f"the answer of {self.url} has no end", 200)
            line = line.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                data += (b"\n" if data else b"") + line[5:].removeprefix(b" ")
                if len(data) > MOST_OF_A_LINE:
                    raise ServerRefusal(f"a piece of the answer of {self.url} has no end", 200)
            elif not line and data:
                if data.strip() == b"[DONE]":
                    return
                yield self._object(data)
                data = b""
        if data.strip() not in (b"", b"[DONE]"):  # a server may leave out the last empty line
            yield self._object(data)

    def _line(self, response: http.client.HTTPResponse) -> bytes:
        try:
            line = response.readline(MOST_OF_A_LINE)
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(f"the connection to {self.url} broke: {self._said(str(error))}") from None
        if len(line) == MOST_OF_A_LINE:
            raise ServerRefusal(f"a line of the answer of {self.url} has no end", 200)
        return line

    def _whole(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        try:
            data = response.read(MOST_OF_AN_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(f"the connection to {self.url} broke: {self._said(str(error))}") from None
        return self._object(data)

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            shown = self._said(data[:80].decode(errors="replace"))
            raise ServerUnreachable(
                f"what answers at {self.url} does not speak OpenAI's language: {shown!r}"
            ) from error
        return answer if isinstance(answer, dict) else {}

    def _said(self, text: str) -> str:
        """What a server says, without the key, which some quote back."""
        return text.replace(self._key, HIDDEN) if self._key else text


_REMEDIES = {
    401: "the key is missing or wrong: see model_app.config.api_key_env",
    403: "the key may not use this model: see model_app.config.api_key_env",
    404: "look at model_app.config.base_url and model: `furrow setup` lists the models that it knows",
    429: "it is busy: run it again later",
}


def check_server(base_url: str, key_name: str | None, model: str | None) -> Iterator[Check]:
    """For `setup`: is the variable with the key set, does the server answer, does it know the model?"""
    try:
        key = key_for(base_url, key_name)
    except FurrowError as error:
        yield Check("API key", "failed", str(error.what), error.remedy or "")
        return
    if key_name is not None:
        yield Check("API key", "passed", f"{key_name} is set")
        if base_url.startswith("http:") and not is_loopback(base_url):
            yield Check("API key", "warning", f"it is sent to {base_url} in the clear", "use https")
    try:
        known = OpenAIApi(base_url, key, timeout=QUICK).models()
    except ServerRefusal as error:
        status: Status = "failed" if error.status in (401, 403) else "warning"
        yield Check("server", status, error.what, error.remedy or "")
        return
    except FurrowError as error:
        yield Check("server", "warning", error.what, error.remedy or "")
        return
    if model is None or model in known:
        yield Check("server", "passed", f"{base_url} answers" + (f" and knows {model}" if model else ""))
    else:
        listed = ", ".join(known[:10]) or "none"
        yield Check(
            "server", "warning", f"{base_url} lists no model {model!r}, but: {listed}", "set model to one of them"
        )


def _json(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"a text for the server is not valid Unicode: {error}") from error


def _message_of(text: str) -> str:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return text[:200].strip()
    return _message_in(answer) if isinstance(answer, dict) else text[:200]


def _message_in(answer: dict[str, Any]) -> str:
    """`{"error": {"message": …}}` of OpenAI and llama.cpp, `{"error": text}`, `{"message": …}`, `{"detail": …}`."""
    found = answer.get("error", answer)
    while isinstance(found, dict):
        found = next((found[key] for key in ("message", "detail", "error") if key in found), str(found))
    return str(found)[:1000]


def _seconds(header: str | None) -> float | None:
    """What Retry-After asks for: seconds, or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header)) if header.strip().replace(".", "", 1).isdecimal() else _until(header)
    except (ValueError, TypeError, OverflowError):
        return None


def _until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
