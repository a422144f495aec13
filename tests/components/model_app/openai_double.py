"""A server that speaks OpenAI's HTTP interface, strictly: what the contract does not have is refused with 400."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHARED = {
    "model": str, "max_tokens": int, "temperature": float, "top_p": float, "seed": int, "stream": bool, "stop": list,
}  # fmt: skip
OF_DIALECT = {
    "openai": {},
    "llama_cpp": {"top_k": int, "min_p": float, "repeat_penalty": float, "repeat_last_n": int},
    "vllm": {"top_k": int, "min_p": float, "repetition_penalty": float},
}
ANSWERS = {"/v1/completions": {"prompt": str}, "/v1/chat/completions": {"messages": list}}


class OpenAIDouble:
    """What the server knows, and how a test bends it."""

    def __init__(self) -> None:
        self.models = ["garden"]
        self.key: str | None = None
        self.dialect = "openai"
        self.pieces: list[str] = ["In ", "March", "."]
        self.reply: Callable[[dict[str, Any]], str] | None = None
        """What it answers to a request, where that is not `pieces`."""
        self.finish_reason = "stop"
        self.asked: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, str | None]] = []
        """(method, path, Authorization)"""
        self.failures: list[tuple[int, dict[str, str]]] = []
        """Statuses and headers of the next answers, each once."""
        self.error_text = "out of order"
        self.stream_error: str | None = None
        self.break_off = False
        self.raw: list[bytes] | None = None
        """Sent in place of the stream."""
        self.whole = False
        """Answer in one piece, although a stream is asked for."""
        self.url = ""

    def complaint(self, path: str, body: dict[str, Any]) -> tuple[int, str] | None:
        if path not in ANSWERS:
            return 404, f"no such path: {path}"
        known = {**SHARED, **ANSWERS[path], **OF_DIALECT[self.dialect]}
        if unknown := body.keys() - known.keys():
            return 400, f"unknown: {sorted(unknown)}"
        if wrong := [name for name, value in body.items() if type(value) is not known[name]]:
            return 400, f"wrong type: {wrong}"
        if self.dialect == "openai" and len(body.get("stop", ())) > 4:
            return 400, "stop: at most 4"
        if not 0 <= body["temperature"] <= 2 or not 0 < body["top_p"] <= 1 or body["max_tokens"] < 1:
            return 400, "out of range"
        if body["model"] not in self.models:
            return 404, f"The model `{body['model']}` does not exist."
        return None

    def events(self, path: str, body: dict[str, Any]) -> Iterator[bytes]:
        pieces = self.pieces if self.reply is None else [self.reply(body)]
        for number, piece in enumerate([*pieces, ""]):
            reason = self.finish_reason if number == len(pieces) else None
            if path.endswith("chat/completions"):
                choice: dict[str, Any] = {"index": 0, "delta": {"content": piece} if piece else {}}
            else:
                choice = {"index": 0, "text": piece}
            yield _event({"id": "x", "choices": [{**choice, "finish_reason": reason}]})
            if self.break_off:
                return
            if self.stream_error:
                yield _event({"error": {"message": self.stream_error}})
                return
            yield b": ping\n\n"
        yield _event({"id": "x", "choices": [], "usage": {"total_tokens": 7}})
        yield b"data: [DONE]\n\n"

    def in_one_piece(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        said = "".join(self.pieces if self.reply is None else [self.reply(body)])
        held = {"message": {"role": "assistant", "content": said}} if "chat" in path else {"text": said}
        return {"choices": [{"index": 0, **held, "finish_reason": self.finish_reason}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: OpenAIDouble

    def do_GET(self) -> None:
        if not self._is_let_in():
            return
        if self.path == "/v1/models":
            self._reply(200, {"object": "list", "data": [{"id": name} for name in self.double.models]})
        else:
            self._refuse(404, "no such path")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_let_in():
            return
        if complaint := self.double.complaint(self.path, body):
            self._refuse(*complaint)
            return
        self.double.asked.append(body)
        if self.double.whole:
            self._reply(200, self.double.in_one_piece(self.path, body))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            for event in self.double.raw or self.double.events(self.path, body):
                self.wfile.write(event)

    def _is_let_in(self) -> bool:
        self.double.requests.append((self.command, self.path, self.headers.get("Authorization")))
        if self.double.failures:
            status, headers = self.double.failures.pop(0)
            self._reply(status, {"error": {"message": self.double.error_text}}, headers)
            return False
        if self.double.key is not None and self.headers.get("Authorization") != f"Bearer {self.double.key}":
            self._refuse(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
            return False
        return True

    def _refuse(self, status: int, message: str) -> None:
        self._reply(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def _reply(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _event(answer: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(answer).encode() + b"\n\n"


@contextlib.contextmanager
def serving() -> Iterator[OpenAIDouble]:
    """A running one; its address is `url`, without a path."""
    double = OpenAIDouble()
    handler = type("Handler", (_Handler,), {"double": double})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        double.url = f"http://127.0.0.1:{server.server_port}"
        yield double
        server.shutdown()
