"""The grid of issue 4: a run that is interrupted and gone on with, in every cell, against one that never was.

`cells()` are the ways to train and to be interrupted, `others()` those that have more to remember than weights;
`run_cell(cell, folder)` says what differs in one of them, in seconds and in this process.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from furrow.components.disk.checkpoint_folder import checkpoints_in
from furrow.components.disk.hashing import sha256_of
from furrow.components.events import Evaluated, EventStream, StepEnded, TrainingEnded
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.interruption import Interrupted, StopRequest
from furrow.components.records import AnyExample, Example, Judged, Pair

LORA_OPTIMIZERS = ("adamw", "adamw_8bit", "adafactor", "lion", "sgd")
OPTIMIZERS = {"lora": LORA_OPTIMIZERS, "full": (*LORA_OPTIMIZERS, "muon")}
STEPS, ROWS = 7, 10
CUTS = {("mid-epoch", 1): 3, ("epoch end", 1): 5, ("mid-epoch", 3): 3, ("epoch end", 3): 4}
"""(place, accumulation) -> the step after which the run is gone on with. Rows come in twos: with accumulation 1 an
epoch of 10 rows has 5 steps, with 3 it has 2, the second one of 4 rows."""


class PowerCut(BaseException):
    """Nothing that anybody expects."""


@dataclass(frozen=True)
class Cell:
    """One way to train, and one way to be interrupted: `cut` dies two steps after a checkpoint was saved, `signalled`
    is asked to end and saves its last step."""

    method: str
    optim: str
    accumulation: int
    dropout: float
    place: str
    workers: int
    end: str
    name: str = ""
    more: tuple[tuple[str, Any], ...] = ()
    """Settings beside those: keys of training_args, or `method`, `objective`, `evaluation`."""

    @property
    def step(self) -> int:
        return CUTS[self.place, self.accumulation]

    def __str__(self) -> str:
        parts = [self.name or self.method, self.optim, f"accumulation {self.accumulation}", f"dropout {self.dropout}"]
        return ", ".join([*parts, self.place, f"{self.workers} workers", self.end])


def cells() -> list[Cell]:
    """{full, lora} x {optimisers} x {accumulation} x {dropout} x {place} x {workers} x {cut, signalled}."""
    rest = ((1, 3), (0.0, 0.2), ("mid-epoch", "epoch end"), (0, 2), ("cut", "signalled"))
    kinds = ((method, optim) for method, optimisers in OPTIMIZERS.items() for optim in optimisers)
    return [Cell(*kind, *others) for kind, others in itertools.product(kinds, itertools.product(*rest))]


def sample() -> list[Cell]:
    """A few cells in which every value of every axis occurs, with each method."""
    chosen = []
    for method, optimisers in OPTIMIZERS.items():
        for number, optim in enumerate(optimisers):
            accumulation, place = ((1, "mid-epoch"), (3, "epoch end"))[number % 2]
            dropout, workers = 0.0 if number % 3 == 2 else 0.2, 2 if number > 2 else 0
            end = "signalled" if number % 4 < 2 else "cut"
            chosen.append(Cell(method, optim, accumulation, dropout, place, workers, end))
    return chosen


def others() -> list[Cell]:
    """What has more to remember, or more chance in it."""
    plain = Cell("lora", "adamw", 3, 0.2, "mid-epoch", 0, "cut")
    methods = {
        "dora": {"type": "dora", "r": 4, "dropout": 0.2},
        "pissa": {"type": "pissa", "r": 4},
        "pissa, approximate": {"type": "pissa", "r": 4, "niter": 2},
        "loraplus": {"type": "loraplus", "r": 4, "dropout": 0.2},
        "adalora": {"type": "adalora"},
        "ia3": {"type": "ia3"},
        "prompt": {"type": "prompt", "num_virtual_tokens": 4},
        "prefix": {"type": "prefix", "num_virtual_tokens": 4},
        "qlora": {"type": "qlora", "r": 4},
        "frozen layers": {"type": "lora", "r": 4, "dropout": 0.2, "layers_to_transform": [1]},
    }
    evaluations = (("eval_strategy", "steps"), ("eval_steps", 1))
    early = (*evaluations, ("early_stopping", {"patience": 2, "threshold": 100.0}))
    found: dict[str, tuple[tuple[str, Any], ...]] = {
        **{name: (("method", method),) for name, method in methods.items()},
        **{kind: (("objective", kind),) for kind in ("dpo", "orpo", "simpo", "kto")},
        "packing": (("packing", True),),
        "a fraction of an epoch": (("max_steps", -1), ("num_train_epochs", 3.4)),
        "the best of all": (*evaluations, ("load_best_model_at_end", True), ("learning_rate", 0.1)),
        "early stopping": early,
        "a curve with restarts": (("lr_scheduler_type", "cosine_with_restarts"), ("num_cycles", 2)),
        "small micro-batches": (("micro_batch_tokens", 16),),
    }
    both = ("cut", "signalled")
    return [replace(plain, name=name, more=more, end=end) for name, more in found.items() for end in both]


@dataclass(frozen=True)
class Ended:
    """What is compared of a run: everything that it leaves, and every figure on the way."""

    folder: Path
    figures: dict[tuple[str, int], Any]

    def files(self) -> dict[str, str]:
        """sha256 of the final weights."""
        return {str(file.relative_to(self.folder)): sha256_of(file) for file in self.folder.glob("final_model/*.safe*")}


def run_cell(cell: Cell, folder: Path) -> list[str]:
    """What differs between the run that was interrupted and the one that was not; [] where nothing does."""
    whole = _train(cell, folder / "whole", save_steps=50)
    interrupted = folder / "interrupted"
    before = _interrupted(cell, interrupted)
    [(resumed_from, newest)] = list(checkpoints_in(interrupted / "checkpoints").items())[-1:]
    after = _train(cell, interrupted, save_steps=50, resume=newest)
    figures = {key: value for key, value in before.figures.items() if key[1] <= resumed_from} | after.figures
    wrong = [
        f"{name} of step {step}: {whole.figures.get((name, step))} and {figures.get((name, step))}"
        for name, step in sorted(whole.figures.keys() | figures.keys())
        if whole.figures.get((name, step)) != figures.get((name, step))
    ]
    if resumed_from < cell.step:
        wrong.append(f"it was gone on with from step {resumed_from}")
    return wrong + [f"{name} differs" for name, sums in whole.files().items() if after.files().get(name) != sums]


def _interrupted(cell: Cell, folder: Path) -> Ended:
    if cell.end == "signalled":
        return _train(cell, folder, save_steps=50, ask_at=cell.step)
    return _train(cell, folder, save_steps=cell.step, cut_at=cell.step + 2)


def _train(
    cell: Cell, folder: Path, *, save_steps: int, resume: Path | None = None, ask_at: int = 0, cut_at: int = 0
) -> Ended:
    stop, figures = StopRequest(), dict[tuple[str, int], Any]()

    def listen(event: Any) -> None:
        match event:
            case StepEnded():
                figures["loss", event.step] = event.loss
                figures["norm", event.step] = event.grad_norm
                figures["rate", event.step] = event.learning_rate
                if event.step == ask_at:
                    stop.ask(signal.SIGTERM)
                if event.step == cut_at:
                    raise PowerCut
            case Evaluated():
                figures["evaluation", event.step] = (event.eval_loss, event.metrics)
            case TrainingEnded():
                figures["mean loss", event.step] = (event.train_loss, event.best_step, event.best_metric)

    config = _config(cell, folder.parent, save_steps)
    rows = _rows(config.objective.type)
    request = TrainingRequest(
        train=rows[:ROWS],
        evaluation=rows[ROWS:] if config.training_args.eval_strategy != "no" else (),
        order_seed=7,
        checkpoints=folder / "checkpoints",
        final_model=folder / "final_model",
        beside={},
        resume=resume,
        stop=stop,
    )
    try:
        PyTorchFineTuner(config).train(request, EventStream(listen))
    except (PowerCut, Interrupted):
        if not (ask_at or cut_at):
            raise
    return Ended(folder, figures)


def _config(cell: Cell, folder: Path, save_steps: int) -> PyTorchConfig:
    more = dict(cell.more)
    adapter = {"type": "lora", "r": 4, "alpha": 8, "dropout": cell.dropout}
    method = more.pop("method", adapter if cell.method == "lora" else {"type": "full"})
    settings = {
        "base_model": {"path": str(_base(folder, cell.dropout if cell.method == "full" else 0.0))},
        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
        "objective": more.pop("objective", "sft"),
        "method": method,
        "training_args": {
            "max_steps": STEPS,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": cell.accumulation,
            "dataloader_num_workers": cell.workers,
            "micro_batch_tokens": 40,
            "optim": cell.optim,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 2,
            "weight_decay": 0.1,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": save_steps,
            **more,
        },
    }
    return PyTorchConfig.model_validate_json(json.dumps(settings))


def _base(folder: Path, dropout: float) -> Path:
    """Two layers: a Llama, or, where the base is to drop out itself, a GPT-2. Made once a folder."""
    base = folder / f"base-{dropout}"
    if base.is_dir():
        return base
    raw = Tokenizer(models.WordLevel({"<|end|>": 0, **{f"w{n}": n for n in range(1, 100)}}, unk_token="w1"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>")
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    if dropout:
        small = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, vocab_size=100, **ends)
        small.resid_pdrop, small.embd_pdrop, small.attn_pdrop = dropout, dropout, 0.0
        model: Any = GPT2LMHeadModel(small)
    else:
        shape = LlamaConfig(vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, **ends)
        shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim = 2, 1, 16
        shape.tie_word_embeddings = True
        model = LlamaForCausalLM(shape)
    torch.random.set_rng_state(state)
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    return base


def _rows(objective: str) -> Sequence[AnyExample]:
    """ROWS to learn and four to measure, of 6 to 20 tokens each."""
    chance = random.Random(0)
    kind = {"dpo": _pairs, "orpo": _pairs, "simpo": _pairs, "kto": _judged}.get(objective)
    plain = [_row(chance, number) for number in range(ROWS + 4)]
    return list(kind(plain, chance)) if kind else plain


def _row(chance: random.Random, number: int) -> Example:
    length = chance.randint(6, 20)
    given = chance.randint(1, length - 3)
    ids = [chance.randrange(1, 100) for _ in range(length)]
    return Example(ids, [False] * given + [True] * (length - given), f"rows.jsonl:{number + 1}")


def _pairs(rows: Sequence[Example], chance: random.Random) -> Iterator[Pair]:
    for row in rows:
        other = [one if not learned else chance.randrange(1, 100) for one, learned in zip(*row[:2], strict=True)]
        yield Pair(row, row._replace(input_ids=other), row.where)


def _judged(rows: Sequence[Example], chance: random.Random) -> Iterator[Judged]:
    for number, pair in enumerate(_pairs(rows, chance)):
        yield Judged(pair.chosen, number % 2 == 0, pair.where, pair.rejected)
