"""How much memory a large file takes: `python -m benchmarks.data.streaming [--megabytes 2000]`.

A file is made on the spot, and a tiny model is trained on it for a few steps by the stage that `train` runs: reading,
splitting, tokenising, the first steps, an evaluation, the model that is kept. The same is done with a file of a hundred
rows, each in a process of its own; what the peak of the first is above that of the second is what the size of the file
costs. `whole` is all memory that counts as the process's own (mapped files too), `anonymous` what cannot be taken from
it. Then the large one is run again, which finds its data prepared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data.made_rows import rows, write
from benchmarks.data.section import KEPT, now
from benchmarks.records import Records

WORDS = (60, 110)
"""Of a question and of an answer: some 1,100 bytes of text a row."""
STEPS, EVALUATED = 5, 100
"""Of a run; and about how many rows it is measured on."""
LOOKS = 0.02
"""Seconds between two looks at the memory."""


def make_model(folder: Path) -> None:
    """Two layers of width 32, and a byte-level tokenizer of 4,000 words that knows the rows."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        (row["completion"] for row, _ in zip(rows(words=WORDS), range(500), strict=False)),
        trainers.BpeTrainer(vocab_size=4000, special_tokens=["<|end|>"], initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", model_max_length=1024)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=4000, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(settings).save_pretrained(folder)


def strategy_for(file: Path, count: int, folder: Path) -> Path:
    """A file with the strategy `benchmark`: `file` learned with the model in `folder`, everything kept there."""
    config = {
        "base_model": {"path": str(folder / "model")},
        "hardware": {"device": "cpu"},
        "method": {"type": "lora"},
        "training_args": {
            "output_dir": str(folder / "runs" / file.stem),
            "max_steps": STEPS,
            "save_strategy": "no",
            "eval_strategy": "steps",
            "eval_steps": STEPS,
        },
    }
    blocks = {
        "components": {"fine_tuner": {"type": "pytorch", "config": config}},
        "dataset": {
            "train_file": str(file),
            "eval_split": min(0.5, EVALUATED / count),
            "cache_dir": str(folder / "cache"),
            "cache_gb": 100,
        },
        "prompt_template": {"format": "### Question:\n{input}\n### Answer:\n{output}"},
        "monitoring": {"samples": {"prompts": 0}},
    }
    strategies = folder / f"{file.stem}.yaml"
    strategies.write_text(json.dumps({"benchmark": blocks}), encoding="utf-8")
    return strategies


def run(strategies: Path) -> dict[str, float]:
    """Trains, and says what it took: bytes at the peak, and seconds until the data was prepared and training began."""
    from furrow.components.events import DataPrepared, Event, TrainingStarted
    from furrow.stages.train import train
    from furrow.strategies.files import load

    marks: dict[str, float] = {}
    started = time.perf_counter()

    def listen(event: Event) -> None:
        if isinstance(event, DataPrepared | TrainingStarted):
            marks[type(event).__name__] = time.perf_counter() - started

    anonymous, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(LOOKS):
            anonymous[0] = max(anonymous[0], own_memory("RssAnon"))

    looking = threading.Thread(target=look)
    looking.start()
    train(load("benchmark", strategies), overwrite=True, emit=listen)
    ended.set()
    looking.join()
    return {
        "whole_bytes": own_memory("VmHWM"),
        "anonymous_bytes": anonymous[0],
        "prepared_seconds": marks["DataPrepared"],
        "started_seconds": marks["TrainingStarted"],
        "seconds": time.perf_counter() - started,
    }


def own_memory(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measure(folder: Path, megabytes: int) -> dict[str, Any]:
    make_model(folder / "model")
    small, large = folder / "small.jsonl", folder / "large.jsonl"
    few = write(small, count=EVALUATED, words=WORDS)
    many = write(large, size=megabytes * 10**6, words=WORDS)
    told = list(_runs([(small, few), (large, many), (large, many)], folder))
    return {**now(), "rows": many, "bytes": large.stat().st_size, "small": told[0], "large": told[1], "again": told[2]}


def _runs(files: list[tuple[Path, int]], folder: Path) -> Iterator[dict[str, float]]:
    for file, count in files:
        strategies = strategy_for(file, count, folder)
        command = [sys.executable, "-m", "benchmarks.data.streaming", "--run", str(strategies)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="on the disk that holds some four times as much; default: /tmp")
    parser.add_argument("--keep", action="store_true", help="add the figures to benchmarks/results.jsonl")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run is not None:
        print(json.dumps(run(asked.run)))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        found = measure(Path(folder), asked.megabytes)
    small, large, again = (found[name] for name in ("small", "large", "again"))
    print(
        f"{found['bytes'] / 1e6:,.0f} MB, {found['rows']:,} rows: peak memory "
        f"{(large['whole_bytes'] - small['whole_bytes']) / 1e6:,.0f} MB above that of {EVALUATED} rows "
        f"({(large['anonymous_bytes'] - small['anonymous_bytes']) / 1e6:,.0f} MB anonymous); prepared in "
        f"{large['prepared_seconds']:,.0f} s; the second time training began after {again['started_seconds']:,.1f} s, "
        f"with {EVALUATED} rows after {small['started_seconds']:,.1f} s"
    )
    if asked.keep:
        Records(KEPT).add("streaming", found)


if __name__ == "__main__":
    main()
