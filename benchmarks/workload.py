"""The work that every system gets: rows of a known number of tokens, a tokenizer that none can disagree on, a model.

`python -m benchmarks.workload FOLDER --shape smollm2-135m` writes it. The same arguments write the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from benchmarks.shape import SHAPES, ModelShape

SEED = 20_261_121
ROWS = 96
MEDIAN, SPREAD = 75, 0.95
"""Of the log-normal lengths, in tokens and in the logarithm: a mean of 112, a tail that `MAX_LENGTH` cuts."""
SHORTEST, MAX_LENGTH = 8, 512
ANSWER_SHARE = (0.40, 0.71)
"""Between these lies the share of a row that is its answer."""
SPECIAL = ("<|pad|>", "<|endoftext|>", "<|im_end|>", "<|unknown|>")
PAD, BOS, EOS, UNKNOWN = range(len(SPECIAL))


@dataclass(frozen=True)
class TokenRow:
    """A question and its answer as token ids; the answer ends with the end token. Only the answer is learned."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def texts(self) -> tuple[str, str]:
        """Prompt and answer as text without the end token, which every system appends itself."""
        return " ".join(map(word, self.prompt)), " ".join(map(word, self.answer[:-1]))


def word(token: int) -> str:
    """One word is one token, whatever stands beside it: so that a text has one tokenisation in every tool."""
    return f"w{token}"


def lengths(count: int, longest: int) -> list[int]:
    """The quantiles of the log-normal distribution: its shape is exact at any count, and no seed makes it lucky."""
    normal = NormalDist(math.log(MEDIAN), SPREAD)
    drawn = [round(math.exp(normal.inv_cdf((index + 0.5) / count))) for index in range(count)]
    return [min(longest, max(SHORTEST, length)) for length in drawn]


def make_rows(count: int = ROWS, vocabulary: int = 49152, longest: int = MAX_LENGTH) -> list[TokenRow]:
    """Rows in the order in which they are learned. Words follow Zipf's law, so that there is something to learn."""
    chance = random.Random(SEED)
    words = range(len(SPECIAL), vocabulary)
    weights = list(_cumulated([1 / (rank + 10) for rank in range(len(words))]))
    sizes = lengths(count, longest)
    chance.shuffle(sizes)
    rows = []
    for size in sizes:
        answer = min(size - 2, max(2, round(size * chance.uniform(*ANSWER_SHARE))))
        drawn = chance.choices(words, cum_weights=weights, k=size - 1)
        rows.append(TokenRow(tuple(drawn[: size - answer]), (*drawn[size - answer :], EOS)))
    return rows


def padded_tokens(sizes: Sequence[int], batch: int) -> int:
    """What rows of these sizes take in this order, each filled up to the longest of its micro-batch."""
    return sum(batch * max(sizes[start : start + batch]) for start in range(0, len(sizes), batch))


def _cumulated(weights: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for weight in weights:
        total += weight
        sums.append(total)
    return sums


@dataclass(frozen=True)
class Workload:
    """A folder with everything, and its counts for one epoch."""

    folder: Path
    shape: ModelShape
    rows: int
    tokens: int
    learned: int

    @property
    def model(self) -> Path:
        """transformers' model folder, tokenizer included."""
        return self.folder / "model"

    @property
    def texts(self) -> Path:
        """JSONL with `input` and `output`."""
        return self.folder / "rows.jsonl"

    @property
    def ids(self) -> Path:
        """JSONL with `input_ids`, `attention_mask` and `labels` (-100 where nothing is learned)."""
        return self.folder / "ids.jsonl"

    @property
    def shape_name(self) -> str:
        return next(name for name, shape in SHAPES.items() if shape == self.shape)

    @classmethod
    def read(cls, folder: Path) -> Workload:
        facts = json.loads((folder / "workload.json").read_text(encoding="utf-8"))
        return cls(folder, ModelShape(**facts["shape"]), facts["rows"], facts["tokens"], facts["learned"])


def write_rows(rows: Sequence[TokenRow], folder: Path) -> None:
    """The same rows as text and as ids."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            prompt, answer = row.texts
            file.write(json.dumps({"input": prompt, "output": answer}) + "\n")
    with (folder / "ids.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            ids = [*row.prompt, *row.answer]
            labels = [-100] * len(row.prompt) + list(row.answer)
            file.write(json.dumps({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}) + "\n")


def write_tokenizer(vocabulary: int, folder: Path, longest: int = MAX_LENGTH) -> None:
    """A word-level tokenizer: it splits at spaces, adds nothing, and knows exactly the model's ids."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*SPECIAL, *(word(token) for token in range(len(SPECIAL), vocabulary))]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": token, "content": text, **special} for token, text in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {text: token for token, text in enumerate(names)},
            "unk_token": SPECIAL[UNKNOWN],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": SPECIAL[PAD],
        "bos_token": SPECIAL[BOS],
        "eos_token": SPECIAL[EOS],
        "unk_token": SPECIAL[UNKNOWN],
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": longest,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")


def write_model(shape: ModelShape, folder: Path) -> None:
    """Random weights, float32, from SEED."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    config = LlamaConfig(**shape.as_config(), bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, dtype="float32")
    LlamaForCausalLM(config).save_pretrained(folder)


def write(folder: Path, shape: ModelShape, count: int = ROWS) -> Workload:
    """Everything, unless the folder holds the same already."""
    rows = make_rows(count, shape.vocabulary, min(MAX_LENGTH, shape.positions))
    facts = {
        "shape": vars(shape),
        "seed": SEED,
        "rows": len(rows),
        "tokens": sum(row.tokens for row in rows),
        "learned": sum(len(row.answer) for row in rows),
    }
    done = folder / "workload.json"
    text = json.dumps(facts, indent=2)
    if not done.is_file() or done.read_text(encoding="utf-8") != text:
        write_rows(rows, folder)
        write_tokenizer(shape.vocabulary, folder / "model")
        write_model(shape, folder / "model")
        done.write_text(text, encoding="utf-8")
    return Workload.read(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=ROWS)
    asked = parser.parse_args()
    made = write(asked.folder, SHAPES[asked.shape], asked.rows)
    print(f"{made.rows} rows, {made.tokens} tokens, {made.learned} of them learned: {made.folder}")


if __name__ == "__main__":
    main()
