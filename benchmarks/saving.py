"""What a checkpoint costs: `python -m benchmarks.saving`.

The same model, optimiser state and tokenizer are saved in four ways, in turn, each round into an empty folder and after
the disk has come to rest: plainly (save_pretrained and safetensors, or torch.save as transformers' Trainer does),
plainly with every file flushed to the disk, and as Furrow does (staged, hashed while written, flushed, renamed). Then a
real run of the same model says which share of its time the saves take at the default interval.

Seconds are medians over the rounds, with the least of them, and the processor's own seconds: hashing runs beside the
writing on other cores, and where there are none free the clock shows all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from furrow.components.base_models import BUILT_IN
from furrow.components.disk.staging import flush, remove, scratch
from furrow.components.disk.storage import bytes_of
from furrow.components.events import CheckpointSaved, Event, StepEnded
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Checkpoints, Tensors
from furrow.components.fine_tuner.pytorch.optimizing.optimizer_state import state_of
from furrow.components.records import Example

PLAIN, FLUSHED = "plain, safetensors", "plain, flushed to the disk"
SAVE_STEPS = 500
"""The default of training_args.save_steps."""
ROWS, TOKENS, STEPS = 8, 128, 4
"""Of the run: rows of a step (the default), tokens of a row, steps that are measured."""


def model_and_state(layers: int) -> tuple[Any, torch.optim.Optimizer]:
    """12 layers: 49 million weights, and with AdamW's two numbers for each a checkpoint of 589 MB."""
    torch.manual_seed(0)
    shape = {"hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8, "num_key_value_heads": 8}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=8000, num_hidden_layers=layers, **shape))
    optimizer = torch.optim.AdamW(model.parameters())
    for weight in model.parameters():
        optimizer.state[weight] = {
            "step": torch.tensor(1.0),
            "exp_avg": torch.randn_like(weight),
            "exp_avg_sq": torch.rand_like(weight),
        }
    return model, optimizer


def ways(model: Any, optimizer: torch.optim.Optimizer, tokenizer: Any) -> dict[str, Callable[[Path], object]]:
    """Name -> what saves into a folder that is not there yet."""

    def state() -> tuple[dict[str, Any], dict[str, Tensors]]:
        tensors, numbers = state_of(model, optimizer)
        return {"step": 1, "optimizer": numbers}, {"optimizer": tensors}

    def model_alone(folder: Path) -> None:
        model.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")

    def plain(folder: Path) -> None:
        model_alone(folder)
        numbers, tensors = state()
        save_file(tensors["optimizer"], folder / "optimizer.safetensors")
        (folder / "state.json").write_text(json.dumps(numbers))

    def as_trainer(folder: Path) -> None:
        model_alone(folder)
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        (folder / "state.json").write_text(json.dumps({"step": 1}))

    def flushed(folder: Path) -> None:
        plain(folder)
        flush(folder)

    return {
        PLAIN: plain,
        "plain, torch.save": as_trainer,
        FLUSHED: flushed,
        "furrow": lambda folder: Checkpoints(folder, None).save(1, model, tokenizer, *state()),
    }


@dataclass
class Measured:
    """Of one way: a figure a round."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def compared(saves: dict[str, Callable[[Path], object]], folder: Path, rounds: int) -> tuple[dict[str, Measured], int]:
    """(what each way took, bytes of a checkpoint). The first round warms up and does not count."""
    measured = {name: Measured() for name in saves}
    size = 0
    for number in range(rounds + 1):
        for name, save in saves.items():
            os.sync()
            began, busy = time.perf_counter(), time.process_time()
            save(folder / "saved")
            if number:
                measured[name].seconds.append(time.perf_counter() - began)
                measured[name].processor.append(time.process_time() - busy)
            size = bytes_of(folder / "saved")
            remove(folder / "saved")
    return measured, size


class Clock:
    """Seconds of the steps of a run, and of its saves: from the end of a step to the word that it is saved."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.saves: list[float] = []
        self._ended = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepEnded):
            self.steps.append(event.seconds)
            self._ended = time.perf_counter()
        if isinstance(event, CheckpointSaved):
            self.saves.append(time.perf_counter() - self._ended)


def run_of(model: Path, folder: Path) -> Clock:
    """Trains all weights of the model for a few steps, and saves after each."""
    settings = {
        "base_model": {"path": str(model)},
        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
        "method": {"type": "full"},
        "training_args": {"max_steps": STEPS, "save_steps": 1, "save_total_limit": 1, "torch_compile": False},
    }
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 7000, (ROWS * STEPS, TOKENS), generator=chance).tolist()
    clock = Clock()
    PyTorchFineTuner(PyTorchConfig.model_validate_json(json.dumps(settings))).train(
        TrainingRequest(
            train=[Example(row, [True] * TOKENS, "") for row in ids],
            order_seed=0,
            checkpoints=folder / "checkpoints",
            final_model=folder / "final_model",
            beside={},
        ),
        clock,
    )
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk that is to be measured")
    given = parser.parse_args()
    model, optimizer = model_and_state(given.layers)
    tokenizer = AutoTokenizer.from_pretrained(BUILT_IN["seedling"])
    logging.disable_progress_bar()
    with scratch(given.folder, "saving") as folder:
        measured, size = compared(ways(model, optimizer, tokenizer), folder, given.rounds)
        print(f"a checkpoint of {size / 1e6:,.0f} MB; {given.rounds} rounds; {os.cpu_count()} cores", end="; ")
        print(f"{os.getloadavg()[0]:.1f} programs wanted one in the last minute")
        for name, found in measured.items():
            ratios = [median(found.seconds) / median(measured[other].seconds) for other in (PLAIN, FLUSHED)]
            clock = f"{median(found.seconds):6.2f} s (least {min(found.seconds):5.2f}"
            print(f"{clock}, processor {median(found.processor):5.2f})", end="  ")
            print(f"{ratios[0]:4.2f}x plain, {ratios[1]:4.2f}x flushed  {name}")
        model.save_pretrained(folder / "base")
        tokenizer.save_pretrained(folder / "base")
        del model, optimizer
        clock = run_of(folder / "base", folder)
        step, save = median(clock.steps), median(clock.saves)
        share = save / (SAVE_STEPS * step + save)
        print(f"in a run: {step:.2f} s a step of {ROWS * TOKENS} tokens, {save:.2f} s a save:", end=" ")
        print(f"{share:.2%} of the time at save_steps {SAVE_STEPS}")


if __name__ == "__main__":
    main()
