"""The whole line on the embedded model: setup, split, base answers, train, compare, convert, llama.cpp answers, report.

On a terminal it stops before each step until Enter is pressed; with DEMO_MODE=automated, or without a terminal, it goes
through. Every number it prints or writes is measured in this run.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from almanac.evaluation import is_right

from furrow.screen.quiet import quieten_libraries
from furrow.stages.complete import Answerer
from furrow.stages.reporting.page import Section, Table
from furrow.stages.reporting.report import write_report
from furrow.stages.run.folder import RunFolder
from furrow.strategies.files import load

ROOT = Path(__file__).resolve().parent.parent
STRATEGY = ["--strategy", "demo_almanac", "--strategy-file", "demos/strategies.yaml"]
DATA = Path("demos/datasets/almanac/almanac_qa.jsonl")
HELD_OUT = Path("demos/datasets/almanac/almanac_heldout.jsonl")
OUTPUT = Path("demo_output")
RUN = OUTPUT / "almanac"
QUANTIZATIONS = ("f32", "q8_0", "q4_k_m")
SHORT = 32
"""Tokens an answer of the almanac may have; the longest right one has about 20."""


class Question(NamedTuple):
    """A held-out question and the one right answer."""

    prompt: str
    completion: str


class Score(NamedTuple):
    """One model's answers to the held-out questions, in their order."""

    name: str
    answers: list[str]
    right: list[bool]

    @property
    def share(self) -> float:
        return sum(self.right) / len(self.right)


def main() -> None:
    os.chdir(ROOT)
    quieten_libraries()
    started = time.monotonic()
    if OUTPUT.exists():
        shutil.rmtree(OUTPUT)
    step("Is everything there?")
    furrow("setup", "demos/strategies.yaml", "--strategy", "demo_almanac", "--verify-only")
    step("Split the questions: nine tenths to learn, one tenth to watch the training with")
    run(
        "demos/create_data_split.py", "--input", str(DATA), "--eval-percent", "10", "--output-dir", str(OUTPUT / "data")
    )
    questions = [Question(**json.loads(line)) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    step(f"What does the base model answer to {len(questions)} questions whose facts were never asked in training?")
    strategy = load("demo_almanac", Path("demos/strategies.yaml"), [f"training_args.output_dir={RUN}"]).strategy
    base = ask("base", Answerer(strategy, base=True), questions)
    step("Train")
    furrow(
        "train", *STRATEGY, "--train-dataset", str(OUTPUT / "data/almanac_qa_train.jsonl"),
        "--eval-dataset", str(OUTPUT / "data/almanac_qa_eval.jsonl"), "--output-dir", str(RUN),
    )  # fmt: skip
    step("Ask the trained model the same questions")
    furrow("complete", questions[0].prompt, *STRATEGY, "--set", f"training_args.output_dir={RUN}", "--compare", "base")
    tuned = ask("tuned", Answerer(strategy), questions)
    step("Convert to GGUF, each file compared with the model by its logits, and ask llama.cpp")
    files = {kind: OUTPUT / f"gguf/almanac-{kind}.gguf" for kind in QUANTIZATIONS}
    scores = [base, tuned]
    for kind, file in files.items():
        furrow("convert", str(RUN / "final_model"), str(file), "--format", "gguf", "--quantization", kind)
        scores.append(ask(f"llama.cpp {kind}", llama_cpp(file), questions))
    step("Results")
    sections = [before_and_after(questions, base, tuned), held_out_table(scores), parity_table(files)]
    report = write_report(RunFolder(RUN), strategy, sections)
    for score in scores:
        print(f"{score.name:18} {score.share:6.1%} of {len(questions)} held-out questions right")
    print(f"\nreport: {report}   ({time.monotonic() - started:.0f} s)")


def step(title: str) -> None:
    """Says what comes next, and waits for Enter where somebody watches."""
    print(f"\n\033[1m== {title}\033[0m" if sys.stdout.isatty() else f"\n== {title}", flush=True)
    if os.environ.get("DEMO_MODE") != "automated" and sys.stdin.isatty() and sys.stdout.isatty():
        input("   [Enter] ")


def furrow(*arguments: str) -> None:
    """Runs a command of Furrow."""
    run("cli.py", *arguments)


def run(*arguments: str) -> None:
    """Runs a script as a person would type it; ends the demo if it fails."""
    print("$ python " + shlex.join(arguments), flush=True)
    result = subprocess.run([sys.executable, *arguments])
    if result.returncode != 0:
        sys.exit(f"the demo stops here: that command ended with {result.returncode}")


def llama_cpp(file: Path) -> Answerer:
    """The trained model as llama.cpp serves it from this file."""
    overrides = [
        f"training_args.output_dir={RUN}",
        "components.model_app.type=llama_cpp",
        f"components.model_app.config.gguf={file}",
    ]
    return Answerer(load("demo_almanac", Path("demos/strategies.yaml"), overrides).strategy)


def ask(name: str, answerer: Answerer, questions: Sequence[Question]) -> Score:
    """Every question, answered greedily; the progress on one line."""
    answers = []
    for number, question in enumerate(questions, 1):
        answers.append(answerer.ask(question.prompt, max_new_tokens=SHORT))
        if sys.stdout.isatty():
            print(f"\r   {name}: {number} of {len(questions)}", end="", flush=True)
    right = [is_right(answer, question.completion) for answer, question in zip(answers, questions, strict=True)]
    if sys.stdout.isatty():
        print("\r", end="")
    print(f"   {name}: {sum(right)} of {len(questions)} right   ", flush=True)
    return Score(name, answers, right)


def before_and_after(questions: Sequence[Question], base: Score, tuned: Score, shown: int = 12) -> Section:
    """A spread of the held-out questions with both answers."""
    every = max(1, len(questions) // shown)
    rows = [
        (each.prompt, each.completion, base.answers[number][:60], tuned.answers[number])
        for number, each in enumerate(questions)
        if number % every == 0
    ]
    return Section("Before and after", [Table(("question", "almanac", "base", "tuned"), rows[:shown])])


def held_out_table(scores: Sequence[Score]) -> Section:
    """Exact match of every form of the model, and how much of what the f32 GGUF answers right it keeps."""
    reference = next(score for score in scores if score.name == "llama.cpp f32")
    tuned = next(score for score in scores if score.name == "tuned")
    rows = []
    for score in scores:
        kept = sum(mine and theirs for mine, theirs in zip(score.right, reference.right, strict=True))
        same = sum(mine == theirs for mine, theirs in zip(score.answers, tuned.answers, strict=True))
        rows.append(
            (
                score.name,
                f"{sum(score.right)} of {len(score.right)} ({score.share:.1%})",
                f"{kept / max(1, sum(reference.right)):.1%}",
                f"{same / len(score.answers):.1%}",
            )
        )
    head = ("model", "exact match", "kept of what f32 answers right", "same text as tuned")
    return Section("Questions whose facts were never asked in training", [Table(head, rows)])


def parity_table(files: dict[str, Path]) -> Section:
    """What each conversion measured of itself, from the manifest beside the file."""
    rows = []
    for kind, file in files.items():
        manifest = json.loads(file.with_name(file.name + ".json").read_text(encoding="utf-8"))
        figures = manifest["agreement"][kind]
        rows.append(
            (
                kind,
                f"{file.stat().st_size / 2**20:.2f}",
                f"{figures['top1']:.1%}",
                f"{figures['mean_kl']:.2g}",
                f"{figures['max_kl']:.2g}",
            )
        )
    head = ("GGUF", "MiB", "same top token as the model", "mean KL (nats)", "max KL")
    return Section("llama.cpp against the merged model", [Table(head, rows)])


if __name__ == "__main__":
    main()
