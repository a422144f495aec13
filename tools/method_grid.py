"""Which method can do what, found out by doing it: `python tools/method_grid.py > docs/methods.md`.

Every method is trained for a few steps on a model, interrupted and resumed, merged, made a GGUF and a GGUF adapter,
and asked. What is refused must be refused with a message of its own; anything else that fails ends the program.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from furrow.components.errors import FurrowError
from furrow.components.events import CheckpointSaved, Event
from furrow.components.fine_tuner.pytorch.method import LEARNING_RATES, METHODS
from furrow.stages.complete import Answerer
from furrow.stages.convert import convert
from furrow.stages.run.resume import NEWEST
from furrow.stages.train import train
from furrow.strategies.files import Loaded, load

ACTIONS = ("train", "resume", "merge", "gguf", "gguf-adapter", "complete")
SMALL: dict[str, dict[str, Any]] = {
    "adalora": {"init_r": 4, "target_r": 2, "tinit": 0, "tfinal": 1},
    "prefix": {"num_virtual_tokens": 4},
    "prompt": {"num_virtual_tokens": 4},
    "loraplus": {"r": 4, "lr_ratio": 2.0},
    "ia3": {},
    "full": {},
}
"""What makes a method small (and an answer more than an end token); the others have rank 4."""
QUESTION = "What is a?"

_HEAD = """# Methods

Made by `python tools/method_grid.py`, which finds out what the second table says by doing it; do not edit. The settings
of each method are in [keys.md](keys.md), what it computes is in [engine.md](engine.md).

A learning rate is the default where `training_args.learning_rate` is silent; its sources stand beside the table
`LEARNING_RATES` in `furrow/components/fine_tuner/pytorch/method.py`.
"""
_GRID = """
## What can be done with each

*train* saves checkpoints and a final model; *resume* means that a run which is cut off at a checkpoint and gone on with
ends in the very same weights, byte for byte; *merge*, *gguf* and *gguf-adapter* mean that the export was made, loaded
again and compared with the model; *complete* that `complete` answers as transformers does with the merged weights, or
where there are none with PEFT's adapter.
"""


def tiny_model(folder: Path) -> Path:
    """A Llama of two layers with random weights and a byte-level tokenizer that llama.cpp knows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        [QUESTION],
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False),
    )
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        max_position_embeddings=256,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


class Interrupted(Exception):
    """What a kill is to the run."""


def examine(name: str, base: Path, work: Path) -> dict[str, bool]:
    """Action -> whether it can be done with this method; False only where Furrow refuses it with a message."""
    whole = train(_strategy(name, base, work / "whole"), overwrite=False, emit=_ignore)
    made = {"train": whole.final_model.is_dir(), "resume": _resumed(name, base, work, whole.final_model)}
    made["merge"] = _exported(whole.final_model, work / "merged", "merged")
    made["gguf"] = _exported(whole.final_model, work / "model.gguf", "gguf")
    made["gguf-adapter"] = _exported(whole.final_model, work / "adapter.gguf", "gguf-adapter")
    answer = Answerer(_strategy(name, base, work / "whole").strategy).ask(QUESTION)
    return {**made, "complete": bool(answer) and answer == expected_answer(whole.final_model, work / "merged")}


def _strategy(name: str, base: Path, output: Path) -> Loaded:
    output.parent.mkdir(parents=True, exist_ok=True)
    data = output.parent / "rows.jsonl"
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word * 2}."} for word in "abcdefgh"]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    block = {
        "base_model": {"path": str(base)},
        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
        "method": {"type": name, **SMALL.get(name, {"r": 4})},
        "training_args": {
            "output_dir": str(output),
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "save_steps": 2,
            "learning_rate": 10 * LEARNING_RATES[name],  # so that a few steps move the weights
        },
        "dataset": {"train_file": str(data)},
        "prompt_template": {"format": "### Q: {prompt}\n### A: {completion}"},
        "generation": {"max_new_tokens": 6, "temperature": 0.0},
    }
    file = output.parent / f"{output.name}.yaml"
    file.write_text(json.dumps({"grid": block}), encoding="utf-8")  # JSON is YAML
    return load("grid", file)


def _resumed(name: str, base: Path, work: Path, whole: Path) -> bool:
    """Whether a run that is cut off after its first checkpoint ends, gone on with, in the same weights."""
    strategy = _strategy(name, base, work / "cut")

    def cut_off(event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            raise Interrupted

    try:
        train(strategy, overwrite=False, emit=cut_off)
    except Interrupted:
        run = train(strategy, overwrite=False, resume=NEWEST, emit=_ignore)
        return all(
            (run.final_model / file.name).read_bytes() == file.read_bytes() for file in whole.glob("*.safetensors")
        )
    return False


def _exported(source: Path, destination: Path, kind: str) -> bool:
    settings: dict[str, Any] = {"model_name": "grid", "overwrite": False, "emit": _ignore}
    try:
        convert(source, destination, format=kind, quantization=None if kind == "merged" else "f32", **settings)
    except FurrowError as error:
        assert error.remedy, f"refused without a remedy: {error}"
        return False
    return True


def expected_answer(final_model: Path, merged: Path) -> str:
    """What transformers writes by itself: with the merged weights where there are some, else with PEFT's adapter."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(final_model)
    ids = tokenizer(f"### Q: {QUESTION}\n### A:", return_tensors="pt")
    merged_is_there = merged.is_dir()
    kind = AutoModelForCausalLM if merged_is_there else AutoPeftModelForCausalLM
    model = kind.from_pretrained(merged if merged_is_there else final_model)
    out = model.eval().generate(**ids, max_new_tokens=6, do_sample=False)[0]
    return str(tokenizer.decode(out[ids.input_ids.shape[1] :], skip_special_tokens=True)).strip()


def _ignore(event: Event) -> None:
    pass


def page(found: dict[str, dict[str, bool]]) -> str:
    """docs/methods.md."""
    lines = [_HEAD, "| `method.type` | what it is | learning rate |", "|---|---|---|"]
    for name, method in METHODS.items():
        what = " ".join((method.__doc__ or "").split())
        lines.append(f"| `{name}` | {what} | {LEARNING_RATES[name]:g} |")
    lines += [_GRID, f"| method | {' | '.join(ACTIONS)} |", "|---" * (len(ACTIONS) + 1) + "|"]
    for name, row in found.items():
        lines.append(f"| `{name}` | {' | '.join('yes' if row[action] else 'no' for action in ACTIONS)} |")
    reasons: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        for why in dict.fromkeys(method().not_exported().values()):
            reasons.setdefault(why, []).append(f"`{name}`")
    lines += ["", "Why not:", "", *(f"- {', '.join(names)}: {why}." for why, names in reasons.items()), ""]
    return "\n".join(lines)


def main() -> None:
    from furrow.screen.quiet import quieten_libraries

    quieten_libraries()
    with tempfile.TemporaryDirectory(prefix="furrow-grid-") as name:
        work = Path(name)
        base = tiny_model(work / "base")
        found = {}
        for method in METHODS:
            print(f"{method} …", file=sys.stderr)
            found[method] = examine(method, base, work / method)
    sys.stdout.write(page(found))


if __name__ == "__main__":
    main()
