"""llama.cpp's own converter, for architectures that are not in the table: a checkout that the operator points at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from furrow.components.disk.storage import blame_full_disk
from furrow.components.errors import FurrowError, RequestError
from furrow.components.secrets import environment_without_secrets

VARIABLE = "LLAMA_CPP_DIR"


def converter() -> Path | None:
    """The script in the checkout that LLAMA_CPP_DIR names, None where unset; RequestError if it is not there."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    script = Path(folder).expanduser() / "convert_hf_to_gguf.py"
    if not script.is_file():
        raise RequestError(
            f"{script} does not exist", where=VARIABLE, remedy="point it at a checkout of llama.cpp, or unset it"
        )
    return script


def convert(script: Path, folder: Path, tokenizer: Any, work: Path, into: Path, *, dtype: str, name: str) -> None:
    """Run the script on `folder` with this tokenizer (and its chat template) in the place of the folder's own. Its
    environment holds no secrets.

    Raises FurrowError with the script's last lines if it fails. That it ended well proves nothing: compare the result.
    """
    dressed = work / name
    dressed.mkdir()
    for file in folder.iterdir():
        if file.suffix == ".safetensors" or file.name in ("config.json", "model.safetensors.index.json"):
            (dressed / file.name).symlink_to(file.resolve())
    tokenizer.save_pretrained(dressed)
    command = [sys.executable, str(script), str(dressed), "--outfile", str(into), "--outtype", dtype]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=environment_without_secrets()
    )
    if done.returncode or not into.is_file():
        blame_full_disk(into)
        last = "; ".join(done.stderr.strip().splitlines()[-3:]) or f"exit code {done.returncode}"
        raise FurrowError(f"llama.cpp's converter failed: {last}", where=str(script))
