"""The library datasets as a reader: folders that it saved, and a hub that answers on this machine."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import pytest

from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.hub_datasets.component import DatasetsConfig
from furrow.components.dataset_reader.hub_datasets.reader import HubDatasets
from furrow.components.errors import RequestError

CARD = """---
configs:
- config_name: main
  data_files:
  - {split: train, path: train.jsonl}
  - {split: test, path: test.jsonl}
---
"""
COMMIT, EARLIER = "a" * 40, "b" * 40
TINY = {
    "README.md": CARD.encode(),
    "train.jsonl": b'{"prompt": "q1", "completion": "a1"}\n{"prompt": "q2", "completion": "a2"}\n',
    "test.jsonl": b'{"prompt": "q3", "completion": "a3"}\n',
}
REPOSITORIES = {
    ("tiny", COMMIT): TINY,
    ("tiny", EARLIER): {**TINY, "train.jsonl": b'{"prompt": "old", "completion": "a"}\n'},
    ("script", COMMIT): {"script.py": b"raise SystemExit('it was run')", "README.md": b"# a program\n"},
    ("archive", COMMIT): {"train.tar": b"\0" * 10240},
}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's HTTP interface as reading a data set asks for."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
        name, commit = self.path.split("/")[4], self.path.split("/")[6]
        self.reply(200, [each for each in self.files(name, commit) if each["path"] in asked])

    def do_GET(self) -> None:
        kind, *parts = self.path.partition("?")[0].strip("/").split("/")
        match (kind, *parts):
            case ("api", "datasets", "garden", name, *rest) if (name, COMMIT) in REPOSITORIES:
                commit = COMMIT if not rest or rest[1] == "main" else rest[1]
                if (name, commit) not in REPOSITORIES:
                    self.reply(404, {}, {"X-Error-Code": "RevisionNotFound"})
                elif rest[:1] == ["tree"]:
                    self.reply(200, self.files(name, commit))
                else:
                    siblings = [{"rfilename": each} for each in REPOSITORIES[name, commit]]
                    self.reply(200, {"id": f"garden/{name}", "sha": commit, "siblings": siblings})
            case ("datasets", "garden", name, "resolve", commit, *path) if (name, commit) in REPOSITORIES:
                self.file(REPOSITORIES[name, commit].get("/".join(path)), commit)
            case _:
                self.reply(404, {}, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

    def files(self, name, commit):
        return [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in REPOSITORIES[name, commit].items()
        ]

    def file(self, data, commit):
        if data is None:
            self.reply(404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            part = data[int(first) : int(last or len(data)) + 1]
            place = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            self.reply(206, part, {**headers, "Content-Range": place})
        else:
            self.reply(200, data, headers)

    def reply(self, status, data, headers=None):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format, *args):
        """Quiet."""


ASKING = """
import json, sys
from pathlib import Path
from furrow.components.dataset_reader.hub_datasets.component import DatasetsConfig
from furrow.components.dataset_reader.hub_datasets.reader import HubDatasets
from furrow.components.errors import FurrowError
found = {}
for case, (name, settings) in json.loads(sys.argv[1]).items():
    reader = HubDatasets(DatasetsConfig(**settings))
    try:
        found[case] = [reader.identity(Path(name)), [[dict(row.columns), row.where] for row in reader.read(Path(name))]]
    except FurrowError as error:
        found[case] = str(error)
print(json.dumps(found))
"""
CASES = {
    "main": ("garden/tiny", {}),
    "test": ("garden/tiny", {"split": "test", "name": "main"}),
    "downloaded": ("garden/tiny", {"streaming": False}),
    "earlier": ("garden/tiny", {"revision": EARLIER}),
    "no split": ("garden/tiny", {"split": "tset"}),
    "no configuration": ("garden/tiny", {"name": "mian"}),
    "no revision": ("garden/tiny", {"revision": "next"}),
    "no data set": ("garden/none", {}),
    "program": ("garden/script", {}),
    "archive": ("garden/archive", {}),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each of CASES gives in a process for which that hub is the hub."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        own = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path_factory.mktemp("hub")),
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        ended = subprocess.run(
            [sys.executable, "-c", ASKING, json.dumps(CASES)],
            capture_output=True, text=True, timeout=120, env={**environment, **own},
        )  # fmt: skip
        server.shutdown()
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


ROWS = [
    [{"prompt": "q1", "completion": "a1"}, "garden/tiny:1"],
    [{"prompt": "q2", "completion": "a2"}, "garden/tiny:2"],
]


def test_a_data_set_of_the_hub_is_read_at_one_commit_streamed_or_downloaded(answers):
    assert answers["main"] == answers["downloaded"] == [{"commit": COMMIT}, ROWS]
    assert answers["test"] == [{"commit": COMMIT}, [[{"prompt": "q3", "completion": "a3"}, "garden/tiny:1"]]]
    assert answers["earlier"] == [{"commit": EARLIER}, [[{"prompt": "old", "completion": "a"}, "garden/tiny:1"]]]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no split", "garden/tiny: there is no split 'tset'\n  did you mean 'test'? allowed: train, test"),
        ("no configuration", "garden/tiny: the data set cannot be read: BuilderConfig 'mian' not found"),
        ("no revision", "garden/tiny: the data set cannot be read: 404 Client Error. Revision Not Found"),
        ("no data set", "garden/none: the data set cannot be read: 404 Client Error. Repository Not Found"),
        ("program", "garden/script: the data set is a program that would have to be run, and it is not\n"),
        ("archive", "garden/archive: the data set is read by the builder 'webdataset': its rows are no table"),
    ],
)
def test_what_is_not_there_or_not_to_be_read_is_said(answers, case, said):
    assert answers[case].startswith(said)


def read(path, **settings):
    return list(HubDatasets(DatasetsConfig(**settings)).read(path))


@pytest.fixture
def saved(tmp_path):
    rows = [{"prompt": f"q{n}", "when": datetime.date(2024, 1, n + 1), "score": float("nan")} for n in range(3)]
    datasets.disable_progress_bars()
    datasets.DatasetDict(
        train=datasets.Dataset.from_list(rows), test=datasets.Dataset.from_list(rows[2:])
    ).save_to_disk(tmp_path / "set")
    return tmp_path / "set"


def test_a_folder_of_save_to_disk_is_read_by_its_split(saved):
    rows = read(saved, columns=("prompt", "when"))
    assert [dict(row.columns) for row in rows] == [{"prompt": f"q{n}", "when": f"2024-01-0{n + 1}"} for n in range(3)]
    assert rows[2].where == f"{saved}:3" and len(read(saved, split="test")) == 1
    assert len(read(saved / "train")) == 3  # a single one, which has no splits
    with pytest.raises(RequestError, match="there is no split 'dev'\n  allowed: train, test"):
        read(saved, split="dev")


def test_a_value_that_json_does_not_have_is_a_bad_row_here_too(saved):
    [bad, *_] = read(saved)
    assert isinstance(bad, BadRow) and bad.what == "column 'score' is NaN" and "type: datasets" in bad.remedy


def test_rows_that_were_chosen_and_not_copied_are_read_in_their_order(tmp_path):
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict({"a": list(range(2500))}).select([2499, 3, 1200]).save_to_disk(tmp_path / "set")
    assert [row.columns["a"] for row in read(tmp_path / "set")] == [2499, 3, 1200]


def test_another_folder_and_a_name_that_is_none_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"not written by save_to_disk\n.*leave dataset.reader out"):
        read(tmp_path)
    with pytest.raises(RequestError, match="no folder here, and no name of a data set"):
        read(Path("rows/of/mine.jsonl"))
