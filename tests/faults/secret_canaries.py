"""Secrets that nobody knows but this machine, and every file and line of output that they must not turn up in.

`campaign()` gives each variable a value of its own, has the command line do what a user does with it (and what goes
wrong), and looks for the values in all that was written, printed, or could be seen in the list of processes.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.hostile._tiny import base, change, strategy

ROOT = Path(__file__).parents[2]
NAMES = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "COMET_API_KEY", "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "DATABASE_PASSWORD", "MY_SERVICE_SECRET", "REDIS_DSN",
)  # fmt: skip
_PLANTED = ("pasted.yaml", "known.yaml", "home/.netrc", "home/hub/token")
"""Files of the test itself that hold one."""

_CHILD = """
import json, os, sys
from furrow.cli import main
for number, arguments in enumerate(json.loads(sys.argv[1])):
    environment = dict(os.environ)
    try:
        main(arguments)
    except SystemExit as ended:
        print("ended", number, ended.code, flush=True)
"""
_CRASH = """
import os, sys, threading
import furrow.strategies.files as files
def broken(file):
    token = os.environ["HF_TOKEN"]
    raise KeyError(f"401 of https://me:{os.environ['MY_SERVICE_SECRET']}@host/?token={token}")
files.summaries = broken
from furrow.cli import main
main(["strategies", "list"])
"""
_CONVERTER = """
import os, pathlib, sys
pathlib.Path(sys.argv[0]).with_name("seen.txt").write_text(repr(dict(os.environ)) + repr(sys.argv))
sys.exit("no such architecture " + os.environ.get("HF_TOKEN", "(no token)"))
"""


class _Hub(http.server.BaseHTTPRequestHandler):
    """Quotes back whatever it was told, as badly made servers do."""

    def _answer(self) -> None:
        told = json.dumps({"error": f"401: {self.headers} is not allowed to {self.path}"}).encode()
        self.send_response(401, "no")
        for name, value in (
            ("X-Error-Message", str(self.headers.get("Authorization"))),
            ("Content-Length", str(len(told))),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    do_GET = do_HEAD = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def campaign(folder: Path, *, trackers: tuple[str, ...] = ()) -> dict[str, Any]:
    """`{"secrets", "commands", "files", "bytes", "found"}`: what was planted and run, where was looked, and in `found`
    every place with the variable whose value stands in it."""
    canaries = {name: f"{uuid.uuid4().hex}{uuid.uuid4().hex}"[:40] for name in NAMES}
    for name in ("MY_SERVICE_SECRET", "DATABASE_PASSWORD"):  # what JSON, YAML and Python write otherwise
        canaries[name] = f'{canaries[name][:12]}"\\ö{canaries[name][12:]}'
    canaries["HF_TOKEN"] = "hf_" + canaries["HF_TOKEN"][:34]
    extra = {name: uuid.uuid4().hex for name in ("netrc", "token file", "proxy", "ollama", "hub address", "pasted")}
    extra["pasted"] = "sk-" + extra["pasted"]
    with _serving() as port:
        environment = _environment(folder, canaries, extra, port)
        commands = _commands(folder, canaries, extra, trackers)
        printed = _run([sys.executable, "-c", _CHILD, json.dumps(commands)], folder, environment, canaries | extra)
        printed["crash"] = _run([sys.executable, "-c", _CRASH], folder, environment, canaries | extra)["output"]
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    seen = {name: file.read_bytes() for name, file in files.items() if name not in _PLANTED}
    for name, file in files.items():
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                seen |= {f"{name}: {each}": archive.read(each) for each in archive.namelist()}
    seen |= {name: text.encode() for name, text in printed.items()}
    found = [
        f"{place}: {name}"
        for place, content in seen.items()
        for name, secret in (canaries | extra).items()
        if any(form.encode() in content for form in _forms(secret))
        or base64.b64encode(f"me:{secret}".encode()) in content
    ]
    ended = [line for line in printed["output"].splitlines() if line.startswith("ended ")]
    return {
        "secrets": len(canaries | extra), "commands": len(commands) + 1, "ended": ended, "files": len(seen),
        "bytes": sum(map(len, seen.values())), "found": found, "crash": printed["crash"], "output": printed["output"],
    }  # fmt: skip


def _forms(secret: str) -> set[str]:
    """As it is, and as programs quote it."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}


def _environment(folder: Path, canaries: dict[str, str], extra: dict[str, str], port: int) -> dict[str, str]:
    home = folder / "home"
    (home / "hub").mkdir(parents=True)
    (home / ".netrc").write_text(f"machine api.wandb.ai login me password {extra['netrc']}\n")
    (home / ".netrc").chmod(0o600)
    (home / "hub" / "token").write_text(extra["token file"])
    llama = folder / "llama.cpp"
    llama.mkdir()
    (llama / "convert_hf_to_gguf.py").write_text(_CONVERTER)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | canaries | {
        "HOME": str(home), "HF_HOME": str(home / "hub"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": f"http://me:{extra['hub address']}@127.0.0.1:{port}", "LLAMA_CPP_DIR": str(llama),
        "OLLAMA_HOST": f"http://me:{extra['ollama']}@127.0.0.1:{port}", "NO_PROXY": "127.0.0.1",
        "HTTPS_PROXY": f"http://me:{extra['proxy']}@127.0.0.1:{port}", "WANDB_SILENT": "true",
    }  # fmt: skip


def _commands(
    folder: Path, canaries: dict[str, str], extra: dict[str, str], trackers: tuple[str, ...]
) -> list[list[str]]:
    model = change(base(folder), "tokenizer_config.json", chat_template="{{ messages[0]['content'] }}")
    monitoring = {"log_tensorboard": "tensorboard" in trackers,
                  "trackers": [{"type": name, **({"offline": True} if name in ("wandb", "comet") else {})}
                               for name in trackers if name != "tensorboard"]}  # fmt: skip
    file = str(strategy(folder, model, monitoring=monitoring))
    (folder / "pasted.yaml").write_text(Path(file).read_text().replace("{input}", f"{extra['pasted']} {{input}}"))
    (folder / "known.yaml").write_text(
        Path(file).read_text().replace("{input}", f"{json.dumps(canaries['MY_SERVICE_SECRET'])[1:-1]} {{input}}")
    )
    other = _another(folder / "other", model)
    of = ["--strategy", "tiny", "--strategy-file", file]
    (folder / "hub.yaml").write_text(
        Path(file).read_text().replace(f'"path": "{model}"', '"huggingface_id": "a/model"')
    )
    hub = str(folder / "hub.yaml")
    return [
        ["train", *of],
        ["train", *of, "--overwrite", "--json"],
        ["complete", "What is a?", *of, "--max-new-tokens", "2"],
        ["convert", str(folder / "run"), str(folder / "merged"), "--format", "merged"],
        ["convert", str(other), str(folder / "other.gguf"), "--format", "gguf"],
        ["convert", str(folder / "run"), str(folder / "server"), "--format", "ollama", "--model-name", "tiny"],
        ["setup", file, "--strategy", "tiny", "--verify-only"],
        ["setup", hub, "--strategy", "tiny", "--verify-only"],
        ["setup", hub, "--strategy", "tiny", "--yes", "--json"],
        ["train", "--strategy", "tiny", "--strategy-file", hub, "--output-dir", str(folder / "never")],
        ["complete", "What is a?", "--strategy", "tiny", "--strategy-file", hub, "--compare", "base"],
        ["complete", "What is a?", *of, "--set", "components.model_app.type=ollama"],
        ["train", *of, "--set", f"training_args.hub_token={canaries['HF_TOKEN']}"],
        ["train", *of, "--set", f"prompt_template.system={canaries['AWS_SECRET_ACCESS_KEY']}"],
        ["train", *of, "--set", f"{canaries['GITHUB_TOKEN']}=1"],
        ["train", "--strategy", canaries["OPENAI_API_KEY"], "--strategy-file", file],
        ["strategies", "show", "tiny", "--strategy-file", str(folder / "pasted.yaml")],
        ["strategies", "show", "tiny", "--strategy-file", str(folder / "known.yaml")],
        ["strategies", "validate", str(folder / "pasted.yaml")],
        ["strategies", "show", "tiny", "--strategy-file", file, "--set", "dataset.train_file=${oc.env:HF_TOKEN}"],
        ["strategies", "list", f"--{canaries['HF_TOKEN']}"],
        ["convert", f"/{canaries['HF_TOKEN']}", "there", "--format", "gguf"],
    ]


def _another(place: Path, like: Path) -> Path:
    """A model that only the converter of a checkout of llama.cpp may know."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    sizes = {"vocab_size": 320, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, num_attention_heads=2)).save_pretrained(place)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / name).write_bytes((like / name).read_bytes())
    return place


def _run(command: list[str], folder: Path, environment: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
    """Output, and in `processes` the command lines of its children in which a secret stood; the ones that this test
    gave on a command line are its own affair."""
    own = "\0".join(command)
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        lines: set[str] = set()
        watching = threading.Thread(target=_watch, args=(child, lines))
        watching.start()
        output = child.communicate(timeout=500)[0].decode(errors="replace")
        watching.join()
    shown = [line for line in lines if line.strip("\0") != own and any(value in line for value in secrets.values())]
    return {"output": output, "processes": "\n".join(shown)}


def _watch(child: subprocess.Popen[bytes], lines: set[str]) -> None:
    while child.poll() is None:
        parents: dict[int, tuple[int, str]] = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                parents[int(process.name)] = parent, (process / "cmdline").read_text(errors="replace")
        for number, (_, line) in parents.items():
            above = number
            while above in parents and above != child.pid:
                above = parents[above][0]
            if above == child.pid:
                lines.add(line)
        time.sleep(0.1)


@contextlib.contextmanager
def _serving() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
