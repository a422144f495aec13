"""Rendered rows to examples, against the library `tokenizers` alone: `python -m benchmarks.data.tokenising`.

Rows of a question and an answer, some 40 tokens, made on the spot, and a byte-level tokenizer of 8,000 words trained on
them. By turns, on the same rows: `Tokenizer.encode_batch` on the texts, and `ExampleMaker.prepare` on the rows, from
the template's pieces to labelled examples. For a chat template with special tokens, and for a plain format, in which
the borders of an answer are no tokens. Ratios are medians over the rounds; the peak of memory is that of the
process.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from benchmarks.data.section import KEPT, now
from benchmarks.records import Records
from furrow.components.prompt_template import PromptTemplate
from furrow.components.records import AnyExample, Row
from furrow.components.registry import factory, find
from furrow.stages.data.examples import ExampleMaker
from furrow.strategies.schema import PreprocessingConfig

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = 20_000
BATCH = 5_000
"""Rows that one side does before the other has its turn: a fraction of a second, so that what else the machine does
strikes both alike."""
TEMPLATES: dict[str, tuple[str, dict[str, Any]]] = {
    "chatml": ("chatml", {}),
    "plain format": ("format", {"format": "Question: {input}\nAnswer: {output}"}),
}


class Gone:
    """Takes examples and forgets them: a file would measure the disk."""

    def __init__(self) -> None:
        self.rows = 0

    def append(self, example: AnyExample, source: int = 0) -> None:
        self.rows += 1


def rows_of(count: int, seed: int) -> Iterator[Row]:
    """Words as frequent as in a language (Zipf), 6 to 16 of them in a question and 5 to 20 in an answer."""
    chance = random.Random(seed)
    syllables = [first + second for first in "bdfgklmnprst" for second in ("a", "e", "i", "o", "un", "er")]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(WORDS)]
    weights = [1 / place for place in range(1, WORDS + 1)]
    for number in range(count):
        asked, said = (chance.choices(words, weights, k=chance.randint(*most)) for most in ((6, 16), (5, 20)))
        columns = {"prompt": " ".join(asked).capitalize() + "?", "completion": " ".join(said).capitalize() + "."}
        yield Row(columns, f"rows.jsonl:{number + 1}")


def trained(rows: Iterator[Row]) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator((" ".join(row.columns.values()) for row in rows), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", model_max_length=2048)


class Rendered:
    """A template whose work is done before the clock runs: what is measured is tokenising."""

    def __init__(self, template: PromptTemplate, rows: Sequence[Row]) -> None:
        self._template = template
        self._segments = {row.where: template.train_segments(row) for row in rows}
        self.texts = ["".join(SPECIAL[2] if one.end else one.text for one in self._segments[row.where]) for row in rows]

    def train_segments(self, row: Row) -> Any:
        return self._segments[row.where]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._template, name)


def compared(name: str, count: int, tokenizer: Any) -> dict[str, float]:
    """Rows a second of the library alone, of tokenising, and of rendering and tokenising."""
    kind, settings = TEMPLATES[name]
    component = find("prompt_template", kind)
    template: PromptTemplate = factory(component)(component.config.model_validate(settings), tokenizer)
    limits = PreprocessingConfig()
    seconds: dict[str, list[float]] = {"library": [], "tokenising": [], "with rendering": []}
    processor: dict[str, float] = dict.fromkeys(seconds, 0.0)
    for first in range(0, count, BATCH):
        rows = list(rows_of(min(BATCH, count - first), seed=first + 1))
        rendered: Any = Rendered(template, rows)
        began, worked = time.perf_counter(), time.process_time()
        for start in range(0, len(rows), 1000):
            encodings = tokenizer.backend_tokenizer.encode_batch(
                rendered.texts[start : start + 1000], add_special_tokens=False
            )
            tokens = sum(len(encoding.ids) for encoding in encodings)
        seconds["library"].append((time.perf_counter() - began) / len(rows))
        processor["library"] += time.process_time() - worked
        for way, used in (("tokenising", rendered), ("with rendering", template)):
            gone = Gone()
            began, worked = time.perf_counter(), time.process_time()
            prepared = ExampleMaker(used, tokenizer, limits).prepare(rows, gone)
            seconds[way].append((time.perf_counter() - began) / len(rows))
            processor[way] += time.process_time() - worked
            assert gone.rows == len(rows) and not prepared.truncated and tokens
    ratio = median(alone / ours for alone, ours in zip(seconds["library"], seconds["tokenising"], strict=True))
    found = {f"{way}, rows/s": 1 / median(each) for way, each in seconds.items()}
    return {**found, "ratio": ratio, "processor ratio": processor["library"] / processor["tokenising"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="of each template; 1,000,000 take about five minutes")
    parser.add_argument("--keep", action="store_true", help="add the figures to benchmarks/results.jsonl")
    given = parser.parse_args()
    circumstances = now()
    tokenizer = trained(rows_of(20_000, seed=0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {name: compared(name, given.rows, tokenizer) for name in TEMPLATES}
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    for name, figures in found.items():
        rates = ", ".join(f"{way} {value:,.0f}" for way, value in figures.items() if "ratio" not in way)
        print(f"{name}: {rates}; tokenising at {figures['ratio']:.0%} of the library alone", end="")
        print(f" ({figures['processor ratio']:.0%} by the processor's own seconds)")
    print(f"peak memory grew by {growth / 1e6:,.0f} MB, the rows of both sides among it")
    if given.keep:
        record = {"rows": given.rows, "templates": found, "peak_growth_bytes": growth, **circumstances}
        Records(KEPT).add("tokenising", record)


if __name__ == "__main__":
    main()
