"""A tiny model on disk made without torch, and a hub on loopback that serves it."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tokenizers import Tokenizer, models, pre_tokenizers

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% if m['role'] == 'assistant' %}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
)


def safetensors(tensors: dict[str, tuple[int, ...]]) -> bytes:
    """The format written by hand: 8 bytes of length, the header, zeros as float32."""
    header, end = {}, 0
    for name, shape in tensors.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """46 parameters in one file; every word of a text is one token, and so is `</s>`."""
    folder = tmp_path / "model"
    folder.mkdir()
    vocabulary = {word: number for number, word in enumerate(["<unk>", "</s>", "user", "assistant", "Why", "So"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "model_max_length": 64}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2}))
    (folder / "model.safetensors").write_bytes(safetensors({"embed": (5, 8), "norm": (6,)}))
    return folder


class HubDouble:
    """One repository, `garden/tiny`, and how a test bends it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.commit = COMMIT
        self.before: dict[str, dict[str, bytes]] = {}
        """Earlier commits, which are still to be had."""
        self.gated = False
        self.requests: list[str] = []
        self.claimed_sizes: dict[str, int] = {}
        """Sizes that the listing gives instead of the true ones."""

    def push(self, **files: bytes) -> None:
        """Another commit on the main branch, with these files (`config` for config.json) changed."""
        self.before[self.commit] = dict(self.files)
        self.commit = hashlib.sha1(self.commit.encode()).hexdigest()
        self.files |= {f"{name}.json": data for name, data in files.items()}

    def model(self) -> dict[str, Any]:
        files = [{"rfilename": name, "size": self._size(name)} for name in self.files]
        return {"id": "garden/tiny", "sha": self.commit, "gated": "auto" if self.gated else False, "siblings": files}

    def tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in self.files.items()
        ]

    def _size(self, name: str) -> int:
        return self.claimed_sizes.get(name, len(self.files[name]))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: HubDouble

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.double.requests.append(f"{self.command} {path}")
        api, file = "/api/models/garden/tiny", f"/garden/tiny/resolve/{self.double.commit}/"
        earlier = next((commit for commit in self.double.before if f"/{commit}" in path), None)
        if earlier is not None:
            self._earlier(path, earlier)
        elif path.startswith((f"{api}/auth-check", file)) and self.double.gated:
            self._reply(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif path == f"{api}/auth-check":
            self._reply(200, b"{}")
        elif path in (api, f"{api}/revision/main", f"{api}/revision/{self.double.commit}"):
            self._reply(200, json.dumps(self.double.model()).encode())
        elif path == f"{api}/tree/{self.double.commit}":
            self._reply(200, json.dumps(self.double.tree()).encode())
        elif path.startswith(file) and path.removeprefix(file) in self.double.files:
            data = self.double.files[path.removeprefix(file)]
            self._reply(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": self.double.commit})
        else:
            self._reply(404, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

    def _earlier(self, path: str, commit: str) -> None:
        then = HubDouble(self.double.before[commit])
        then.commit = commit
        if path.startswith("/garden/tiny/resolve/"):
            data = then.files[path.partition(f"{commit}/")[2]]
            self._reply(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit})
        else:
            self._reply(200, json.dumps(then.tree() if "/tree/" in path else then.model()).encode())

    def _reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT would do in a new process."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, no token, and an address at which no hub answers; gives the cache's folder."""
    _point_at("http://127.0.0.1:9", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def hub(no_hub: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """The hub, serving the tiny model and files that nobody needs; the cache is empty."""
    double = HubDouble({file.name: file.read_bytes() for file in sorted(model_folder.iterdir())})
    double.files |= {"README.md": b"# tiny", "consolidated.safetensors": b"the same again", "onnx/model.json": b"{}"}
    handler = type("Handler", (_Handler,), {"double": double})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        _point_at(f"http://127.0.0.1:{server.server_port}", monkeypatch)
        yield double
        server.shutdown()


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., str]:
    """`rows({"prompt": …}, …, name="eval")` writes them as JSON lines and gives the path."""

    def write(*columns: dict[str, Any], name: str = "train") -> str:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in columns))
        return str(path)

    return write
