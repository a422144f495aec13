import json

from benchmarks import environments


def fake_python(tmp_path, monkeypatch, *, fails):
    """Stands where `python -m venv` would: pip's part is played by a shell script."""

    def make(command, **kwargs):
        if command[1:3] == ["-m", "venv"]:
            place = tmp_path / "litgpt" / "bin"
            place.mkdir(parents=True)
            script = 'case "$*" in *list*) echo "[{\\"name\\": \\"litgpt\\", \\"version\\": \\"1.2\\"}]";; '
            script += '*litgpt*) echo "ERROR: no such thing"; exit 1;; esac' if fails else "esac"
            (place / "python").write_text(f"#!/bin/sh\n{script}\n")
            (place / "python").chmod(0o755)
            return None
        return real(command, **kwargs)

    real = environments.subprocess.run
    monkeypatch.setattr(environments.subprocess, "run", make)


def test_a_peer_that_does_not_install_is_told_with_pip_s_last_error(tmp_path, monkeypatch):
    fake_python(tmp_path, monkeypatch, fails=True)
    told = []
    made = environments.make("litgpt", tmp_path, told.append)
    assert not made.installed
    assert made.said == "ERROR: no such thing"
    assert told[-1] == "litgpt: did not install: ERROR: no such thing"


def test_an_environment_that_stands_is_used_again(tmp_path, monkeypatch):
    fake_python(tmp_path, monkeypatch, fails=False)
    first = environments.make("litgpt", tmp_path, lambda message: None)
    assert first.installed
    assert first.versions == {"litgpt": "1.2"}
    told = []
    assert environments.make("litgpt", tmp_path, told.append) == first
    assert told == []


def test_an_environment_for_other_versions_is_made_again(tmp_path, monkeypatch):
    stamp = tmp_path / "litgpt" / "made.json"
    stamp.parent.mkdir()
    stamp.write_text(json.dumps({"wish": ["torch==1.0"], "minutes": 1, "versions": {}}))
    fake_python(tmp_path, monkeypatch, fails=False)
    told = []
    environments.make("litgpt", tmp_path, told.append)
    assert told[0] == "litgpt: making its environment"
