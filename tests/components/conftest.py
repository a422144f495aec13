"""An Ollama to talk to: a real HTTP server on loopback that keeps the contract of Ollama's API strictly."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.faults.campaign.small_disk import refusal as reason_against_small_disks
from tests.faults.campaign.tiny import Shop

CREATE_FIELDS = {"model", "files", "template", "system", "parameters", "messages", "license", "stream"}
PARAMETERS = {
    "num_predict": int, "num_ctx": int, "top_k": int, "seed": int, "repeat_last_n": int, "stop": list,
    "temperature": float, "top_p": float, "min_p": float, "repeat_penalty": float,
}  # fmt: skip
MODEL_NAME = re.compile(r"([a-z0-9_][\w.-]{0,79}/){0,2}[a-z0-9_][\w.-]{0,79}(:[a-z0-9_][\w.-]{0,79})?", re.I | re.A)


class OllamaDouble:
    """What the server holds, and how a test bends it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.generated: list[dict[str, Any]] = []
        self.answer: list[str] = ["In ", "March", "."]
        """The pieces of every answer."""
        self.done_reason = "stop"
        """Why a chat ends."""
        self.stream_error: str | None = None
        """Sent inside the 200 stream, after its first line."""
        self.break_off = False
        """Close the connection after the first line of a stream."""
        self.url = ""

    def create(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"status": "parsing GGUF"}
        if not all(self.blobs[digest].startswith(b"GGUF") for digest in body["files"].values()):
            yield {"error": "supplied file was not in GGUF format", "status": 400}
            return
        yield {"status": "writing manifest"}
        self.models[body["model"]] = body
        yield {"status": "success"}

    def generate(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for piece in self.answer:
            yield {"model": body["model"], "response": piece, "done": False}
        yield {
            "model": body["model"],
            "response": "",
            "done": True,
            "done_reason": "stop",
            "eval_count": len(self.answer),
        }

    def chat(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for piece in self.answer:
            yield {"model": body["model"], "message": {"role": "assistant", "content": piece}, "done": False}
        end = {"role": "assistant", "content": ""}
        yield {"model": body["model"], "message": end, "done": True, "done_reason": self.done_reason}

    def complaint(self, path: str, body: dict[str, Any]) -> tuple[int, str] | None:
        """(status, error) of a request that Ollama refuses before it streams."""
        if path == "/api/create":
            return self._about_create(body)
        if body.get("model") not in self.models:
            return 404, f"model '{body.get('model')}' not found"
        if path == "/api/generate" and body.get("raw") and (body.get("template") or body.get("system")):
            return 400, "raw mode does not support template, system, or context"
        return self._about_parameters(body.get("options", {}))

    def _about_create(self, body: dict[str, Any]) -> tuple[int, str] | None:
        if not MODEL_NAME.fullmatch(body["model"]):
            return 400, "invalid model name"
        if extra := set(body) - CREATE_FIELDS:
            return 400, f"the contract has no {extra}"
        for name, digest in body["files"].items():
            if name.startswith("/") or ".." in name:
                return 400, "file path must be relative"
            if digest not in self.blobs:
                return 400, f"blob {digest} not found"
        return self._about_parameters(body["parameters"])

    def _about_parameters(self, parameters: dict[str, Any]) -> tuple[int, str] | None:
        wrong = [name for name, value in parameters.items() if type(value) is not PARAMETERS.get(name)]
        return (400, f"wrong parameters: {wrong}") if wrong else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: OllamaDouble

    def do_GET(self) -> None:
        self._note()
        self._reply(200, {"version": "0.33.0"}) if self.path == "/api/version" else self._reply(404, {"error": "404"})

    def do_HEAD(self) -> None:
        self._note()
        self._reply(200 if self.path.removeprefix("/api/blobs/") in self.double.blobs else 404, None)

    def do_POST(self) -> None:
        self._note()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/api/blobs/"):
            self._take_blob(self.path.removeprefix("/api/blobs/"), data)
            return
        body = json.loads(data)
        if complaint := self.double.complaint(self.path, body):
            self._reply(complaint[0], {"error": complaint[1]})
        elif self.path == "/api/show":
            self._reply(200, self.double.models[body["model"]])
        elif self.path == "/api/create":
            self._stream(self.double.create(body))
        else:
            self.double.generated.append(body)
            answers = self.double.chat(body) if self.path == "/api/chat" else self.double.generate(body)
            self._stream(answers)

    def _take_blob(self, digest: str, data: bytes) -> None:
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            self._reply(400, {"error": f"digest mismatch, expected {digest}"})
        else:
            status = 200 if digest in self.double.blobs else 201
            self.double.blobs[digest] = data
            self._reply(status, None)

    def _stream(self, answers: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for answer in answers:
            self._chunk(answer)
            if self.double.break_off:
                self.close_connection = True
                return
            if self.double.stream_error:
                self._chunk({"error": self.double.stream_error})
                break
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, answer: dict[str, Any]) -> None:
        line = json.dumps(answer).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _reply(self, status: int, answer: dict[str, Any] | None) -> None:
        data = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _note(self) -> None:
        self.double.requests.append((self.command, self.path))

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaDouble]:
    """A server that OLLAMA_HOST points at."""
    double = OllamaDouble()
    handler = type("Handler", (_Handler,), {"double": double})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        double.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{server.server_port}")
        yield double
        server.shutdown()


@pytest.fixture
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which nothing answers; OLLAMA_HOST points at it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("OLLAMA_HOST", address)
    return address


@pytest.fixture(scope="session")
def small_disks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """For tests that mount a disk of their own: they are skipped where the system does not allow that."""
    if why := reason_against_small_disks(Shop(tmp_path_factory.mktemp("disks"))):
        pytest.skip(why)
