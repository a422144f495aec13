"""What setup asks of the models that augmentations ask: nothing is put to them."""

from __future__ import annotations

import json

from furrow.stages.setup import setup
from furrow.strategies.files import load
from tests.components.model_app.openai_double import serving


def found(strategy_file, tmp_path, url):
    app = {"type": "openai_compatible", "config": {"base_url": url, "model": "garden"}}
    augmentation = [{"type": "paraphrase", "model_app": app}]
    file = strategy_file(dataset={"train_file": str(tmp_path / "qa.jsonl"), "augmentation": augmentation})
    checks = setup(load("tiny", file), provide=False, ask=lambda question: False)
    return {check.name: check for check in checks}


def test_the_server_is_looked_for_and_asked_nothing(strategy_file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as server:
        checks = found(strategy_file, tmp_path, server.url)
        assert {path for _, path, _ in server.requests} == {"/v1/models"}
    assert (checks["server"].status, "garden" in checks["server"].found) == ("passed", True)
    assert "12 rows to learn" in checks["dataset"].found
    assert not (tmp_path / "cache").exists()
    assert found(strategy_file, tmp_path, server.url)["server"].status == "warning"


def test_packages_of_the_app_that_answers_are_looked_for(strategy_file, tmp_path):
    gguf = tmp_path / "m.gguf"
    app = {"type": "llama_cpp", "config": {"gguf": str(gguf)}}
    augmentation = [{"type": "paraphrase", "model_app": app}]
    dataset = {"train_file": str(tmp_path / "qa.jsonl"), "augmentation": augmentation}
    loaded = load("tiny", strategy_file(dataset=json.loads(json.dumps(dataset))))
    checks = {check.name: check for check in setup(loaded, provide=False, ask=lambda question: False)}
    assert checks["GGUF file"].status == "failed"
    assert "llama-cpp-python" in checks["packages"].found
