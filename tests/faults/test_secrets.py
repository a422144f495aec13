"""Secrets in the environment, at home and in strategies turn up in nothing that Furrow writes, prints or starts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.faults.secret_canaries import campaign

TRACKERS = {"tensorboard": "tensorboard", "wandb": "wandb", "comet": "comet_ml", "mlflow": "mlflow"}


def test_none_of_twenty_secrets_turns_up_anywhere(tmp_path: Path) -> None:
    installed = tuple(name for name, package in TRACKERS.items() if importlib.util.find_spec(package))
    result = campaign(tmp_path, trackers=installed)
    assert not result["found"], result["found"]
    ended = [line.split()[2] for line in result["ended"]]
    assert len(ended) == result["commands"] - 1 and ended[:4] == ["0"] * 4, result["output"][-3000:]
    assert "Traceback" in result["crash"] and result["crash"].count("(hidden: it looks like a secret)") == 2
    assert (tmp_path / "llama.cpp" / "seen.txt").is_file() and result["files"] > 20
