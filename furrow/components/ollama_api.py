"""The part of Ollama's HTTP API that Furrow speaks, over urllib: blobs, create, show, generate, chat.

Source: Ollama's server/routes.go and api/types.go (v0.33). Answers that stream are NDJSON, one object a line; an error
can come inside a stream that began with status 200.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from furrow.components.checks import Check, Status
from furrow.components.errors import FurrowError, RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.ollama_address import base_url, is_loopback

QUICK = 1.0
"""Seconds to wait for a server that ought to be there."""
PATIENT = 600.0
"""Seconds of silence to bear while the server works: loading a large model from a slow disk takes minutes."""


class OllamaUnreachable(FurrowError):
    """No Ollama answers at the address."""


class OllamaRefusal(FurrowError):
    """Ollama answered with an error. `status` is HTTP's, or 200 where the error came inside a stream."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"Ollama says: {what}")
        self.status = status


def options(generation: GenerationConfig, stop: Sequence[str]) -> dict[str, Any]:
    """The settings of sampling in Ollama's words; every hidden default that would change an answer is named.

    `repeat_last_n` -1 is the whole context; Ollama's default of 64 tokens would forget what transformers remembers.
    """
    return {
        "num_predict": generation.max_new_tokens,
        "temperature": generation.temperature,
        "top_k": generation.top_k,
        "top_p": generation.top_p,
        "min_p": 0.0,
        "repeat_penalty": generation.repetition_penalty,
        "repeat_last_n": -1,
        "seed": generation.seed,
        "stop": list(stop),
    }


def check_reachable(given: str | None, absent: Status = "warning") -> Check:
    """For `setup`: does an Ollama answer within a second? `absent` is the status when none does."""
    try:
        url = base_url(given)
        return Check("Ollama", "passed", f"version {OllamaApi(url).version()} at {url}")
    except FurrowError as error:
        return Check("Ollama", absent, error.what, error.remedy or "")


class OllamaApi:
    """One server. Every method raises OllamaUnreachable or OllamaRefusal."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Go's clients never send loopback through HTTP_PROXY; urllib would.
        proxies = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
        self._opener = urllib.request.build_opener(*proxies)

    def version(self) -> str:
        """The server's version; asks with a second's patience."""
        with self._open("GET", "/api/version", timeout=QUICK) as response:
            answer = self._read(response)
        if not isinstance(answer.get("version"), str):
            raise OllamaUnreachable(f"what answers at {self.url} is not Ollama", remedy="set OLLAMA_HOST")
        return answer["version"]

    def has_model(self, name: str) -> bool:
        """Does the server know a model of that name?"""
        return self._is_there("POST", "/api/show", {"model": name})

    def has_blob(self, digest: str) -> bool:
        """Does the server hold the file with that digest (`sha256:<hex>`)?"""
        return self._is_there("HEAD", f"/api/blobs/{digest}")

    def push_blob(self, digest: str, path: Path, progress: Callable[[int, int], None]) -> None:
        """Upload a file, never all of it in memory; `progress` gets (bytes sent, bytes in all) about 100 times."""
        with path.open("rb") as file:
            body = _Counted(file, path.stat().st_size, progress)
            self._open("POST", f"/api/blobs/{digest}", body, timeout=PATIENT).close()

    def create(self, body: dict[str, Any]) -> Iterator[str]:
        """Make a model, as `POST /api/create` takes it; gives each status as it comes and ends after `success`."""
        for answer in self._stream("/api/create", body):
            status = str(answer.get("status", ""))
            yield status
            if status == "success":
                return
        raise OllamaRefusal("nothing more, before the model was made", 200)

    def generate(self, body: dict[str, Any]) -> Iterator[str]:
        """Answer, as `POST /api/generate` takes it, in pieces as they come."""
        for answer in self._stream("/api/generate", body):
            if piece := answer.get("response"):
                yield str(piece)
            if answer.get("done"):
                return
        raise OllamaRefusal("nothing more, before the answer was done", 200)

    def chat(self, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Answer, as `POST /api/chat` takes it: pieces as they come, with the last one the reason for its end."""
        for answer in self._stream("/api/chat", body):
            message = answer.get("message")
            piece = str(message.get("content") or "") if isinstance(message, dict) else ""
            reason = str(answer.get("done_reason") or "stop") if answer.get("done") else ""
            if piece or reason:
                yield piece, reason
            if reason:
                return
        raise OllamaRefusal("nothing more, before the answer was done", 200)

    def _is_there(self, method: str, path: str, body: dict[str, Any] | None = None) -> bool:
        try:
            self._open(method, path, _json(body) if body else None, timeout=PATIENT).close()
        except OllamaRefusal as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def _stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self._open("POST", path, _json(body), timeout=PATIENT) as response:
            while answer := self._read(response):
                if "error" in answer:
                    raise OllamaRefusal(str(answer["error"]), 200)
                yield answer

    def _read(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        """The next line's object; empty at the end."""
        try:
            line = response.readline()
        except (OSError, http.client.HTTPException) as error:
            raise OllamaUnreachable(f"the connection to Ollama at {self.url} broke: {error}") from error
        try:
            answer = json.loads(line or b"{}")
        except ValueError as error:
            raise OllamaUnreachable(f"what answers at {self.url} does not speak like Ollama: {line[:80]!r}") from error
        return answer if isinstance(answer, dict) else {}

    def _open(self, method: str, path: str, body: bytes | _Counted | None = None, *, timeout: float) -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            request.data = body  # type: ignore[assignment]  # anything with read() is sent in blocks
            request.add_header("Content-Length", str(len(body)))
            kind = "application/json" if isinstance(body, bytes) else "application/octet-stream"
            request.add_header("Content-Type", kind)
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise OllamaRefusal(_message(error), error.code) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise OllamaUnreachable(
                f"Ollama does not answer at {self.url}: {reason}",
                remedy="start it with `ollama serve`, or set OLLAMA_HOST to where it runs",
            ) from error


class _Counted:
    """A file that tells how much of it was read, about 100 times."""

    def __init__(self, file: BinaryIO, total: int, progress: Callable[[int, int], None]) -> None:
        self._file, self._total, self._progress = file, total, progress
        self._done = self._told = 0

    def __len__(self) -> int:
        return self._total

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        if self._done > self._told and (self._done == self._total or self._done - self._told >= self._total / 100):
            self._told = self._done
            self._progress(self._done, self._total)
        return data


def _json(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"a text for Ollama is not valid Unicode: {error}") from error


def _message(error: urllib.error.HTTPError) -> str:
    text = error.read(10_000).decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason} {text[:200]}".strip()
