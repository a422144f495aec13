"""The command line: every command parses, calls one stage and prints. Heavy imports happen inside the functions."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from furrow import __version__
from furrow.cli_data import data
from furrow.cli_options import (
    EVAL_DATASET,
    JSON,
    OVERWRITE,
    PATH,
    SET,
    STRATEGY,
    STRATEGY_FILE,
    TRAIN_DATASET,
    NamesRowsByOption,
    in_options,
    load_strategy,
    say,
)
from furrow.components.errors import FurrowError, RequestError
from furrow.components.interruption import Interrupted, StopRequest
from furrow.screen import endings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="furrow")
def cli() -> None:
    """Furrow fine-tunes language models from a strategy file.

    \b
    furrow setup FILE --strategy NAME --verify-only   is everything there?
    furrow data inspect --strategy NAME               is the data what you think it is?
    furrow train --strategy NAME                      train, verify, export
    furrow complete "PROMPT" --strategy NAME          ask the trained model
    furrow convert SRC DST --format gguf              another format
    """


@cli.command()
@click.argument("file", type=PATH, required=False)
@STRATEGY
@SET
@click.option("--verify-only", is_flag=True, help="Check and change nothing.")
@click.option("--yes", is_flag=True, help="Download large models without asking.")
@JSON
def setup(
    file: Path | None, name: str, overrides: tuple[str, ...], verify_only: bool, yes: bool, as_json: bool
) -> None:
    """Check that all a strategy needs is there, and provide what is missing."""
    loaded = load_strategy(name, file, overrides, {})
    from furrow.screen.checks import ask, show_checks
    from furrow.stages.setup import setup as run_setup

    checks = run_setup(loaded, provide=not verify_only, ask=ask(yes))
    sys.exit(show_checks(checks, as_json=as_json))


@cli.command(cls=NamesRowsByOption)
@STRATEGY
@STRATEGY_FILE
@TRAIN_DATASET
@EVAL_DATASET
@SET
@click.option("--output-dir", type=PATH, metavar="D", help="Instead of training_args.output_dir.")
@OVERWRITE
@click.option(
    "--resume",
    type=PATH,
    is_flag=False,
    flag_value=Path("newest"),
    metavar="[PATH]",
    help="Go on with an interrupted run: from this checkpoint, or from the newest whole one.",
)
@click.option(
    "--allow-change",
    "allow",
    multiple=True,
    metavar="KEY",
    help="With --resume: let this key (or the keys of this block) be another one from the next step on.",
)
@click.option("--dry-run", is_flag=True, help="Show three rows as the model will see them, and train nothing.")
@JSON
def train(
    name: str,
    file: Path | None,
    train_dataset: Path | None,
    eval_dataset: Path | None,
    overrides: tuple[str, ...],
    output_dir: Path | None,
    overwrite: bool,
    resume: Path | None,
    allow: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a strategy, then make its exports."""
    if overwrite and resume:
        raise click.UsageError("--resume goes on with a run and --overwrite replaces it: one of them is wanted")
    if allow and resume is None:
        raise click.UsageError("--allow-change is about a run that is gone on with: it wants --resume")
    given = {
        "dataset.train_file": train_dataset,
        "dataset.eval_file": eval_dataset,
        "training_args.output_dir": output_dir,
    }
    loaded = load_strategy(name, file, overrides, given)
    from furrow.screen.console import console
    from furrow.screen.quiet import quieten_libraries
    from furrow.screen.signals import stoppable
    from furrow.screen.subscribers import showing

    quieten_libraries()
    stop = StopRequest()
    with stoppable(stop), showing(console(), as_json=as_json, stop=stop) as emit:
        for note in loaded.notes:
            emit(note)
        if dry_run:
            from furrow.screen.preview import show_rows
            from furrow.stages.train import dry_run as look

            show_rows(look(loaded, 3, emit, resume=resume, allow=allow)[1], as_json=as_json)
            return
        from furrow.stages.train import train as run_training

        run = run_training(loaded, overwrite=overwrite, resume=resume, allow=allow, stop=stop, emit=emit)
    if not as_json:
        say(f"done: {run.final_model}  (report: {run.report})")


@cli.command()
@click.argument("prompt")
@STRATEGY
@STRATEGY_FILE
@click.option("--answer", metavar="TEXT", help="The answer to PROMPT that a reward model is to score.")
@click.option("--compare", type=click.Choice(["base"]), help="Show the base model's answer beside it.")
@click.option("--temperature", type=float, help="0 is greedy.")
@click.option("--top-p", type=float)
@click.option("--repetition-penalty", type=float)
@click.option("--max-new-tokens", type=int)
@click.option("--seed", type=int)
@SET
@JSON
def complete(
    prompt: str,
    name: str,
    file: Path | None,
    answer: str | None,
    compare: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    **generation: float | None,
) -> None:
    """Answer PROMPT with the strategy's model; a classifier says its class, a reward model the score of an --answer."""
    loaded = load_strategy(name, file, overrides, {f"generation.{key}": value for key, value in generation.items()})
    from furrow.screen.answers import show_answer, show_scores
    from furrow.screen.quiet import quieten_libraries
    from furrow.stages.complete import Answerer
    from furrow.stages.judge import assessor_of

    quieten_libraries()
    assessor = assessor_of(loaded.strategy)
    if assessor is not None:
        _refuse({"compare": compare, **generation}, "this model scores texts and writes none")
        show_scores(assessor.assess(prompt, answer), as_json=as_json)
        return
    _refuse({"answer": answer}, "this model writes its answers; a reward model scores them")
    tuned = Answerer(loaded.strategy)
    if compare == "base":
        show_answer("base", Answerer(loaded.strategy, base=True), prompt, as_json=as_json, labelled=True)
    show_answer("tuned", tuned, prompt, as_json=as_json, labelled=compare is not None)


@cli.command()
@click.argument("source", type=PATH)
@click.argument("destination", type=PATH)
@click.option(
    "--format", "kind", required=True, metavar="FORMAT", help="gguf, gguf-adapter, ollama or merged; safetensors."
)
@click.option("--quantization", metavar="TYPE", help="f32, f16, bf16, q8_0, q4_k_m … (gguf and ollama; default f16)")
@click.option("--model-name", metavar="NAME", help="What the server or the metadata calls it.")
@click.option("--allow-pickle", is_flag=True, help="Read weights in .bin files; with --format safetensors only.")
@OVERWRITE
@JSON
def convert(
    source: Path,
    destination: Path,
    kind: str,
    quantization: str | None,
    model_name: str | None,
    allow_pickle: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the model in SOURCE as another format to DESTINATION, and compare the two."""
    from furrow.screen.console import console
    from furrow.screen.quiet import quieten_libraries
    from furrow.screen.subscribers import showing

    quieten_libraries()
    with showing(console(), as_json=as_json) as emit:
        if kind == "safetensors":
            from furrow.stages.unpickle import unpickle

            _refuse({"quantization": quantization, "model_name": model_name}, "the numbers stay as they are")
            made = unpickle(source, destination, allowed=allow_pickle, emit=emit)
        else:
            from furrow.stages.convert import convert as run_conversion

            _refuse({"allow-pickle": allow_pickle or None}, "only --format safetensors reads pickles")
            made = run_conversion(
                source,
                destination,
                format=kind,
                quantization=quantization,
                model_name=model_name,
                overwrite=overwrite,
                emit=emit,
            )
    if not as_json:
        say(f"done: {made}")


@cli.command()
@click.option("--input", "source", required=True, type=PATH, metavar="FILE", help="Rows, in any format.")
@click.option("--eval-percent", type=float, help="Share of the rows to evaluate on.  [default: 10]")
@click.option("--ratio", metavar="90/10|auto", help="The same as a ratio; auto: what suits the number of rows.")
@click.option("--splitter", metavar="TYPE", help="As dataset.splitter; `components list` has them.  [default: random]")
@click.option("--by", metavar="COLUMN", help="The column that the splitter goes by.")
@click.option("--folds", type=int, help="Write a pair of files for each of so many folds.")
@click.option("--output-dir", type=PATH, metavar="D", help="Default: beside the input.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="[default: 42]")
@SET
@OVERWRITE
@JSON
def split(
    source: Path,
    eval_percent: float | None,
    ratio: str | None,
    splitter: str | None,
    by: str | None,
    folds: int | None,
    output_dir: Path | None,
    seed: int | None,
    overrides: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Split a dataset into <stem>_train.jsonl and <stem>_eval.jsonl."""
    if sum(each is not None for each in (eval_percent, ratio, folds)) > 1:
        raise click.UsageError("--eval-percent, --ratio and --folds each say how much is evaluated on: one is wanted")
    splitter = splitter or ("k_fold" if folds is not None else None)
    given = {"type": splitter, "by": by, "folds": folds, "seed": seed}
    loaded = load_strategy(None, None, overrides, {f"dataset.splitter.{key}": value for key, value in given.items()})
    from furrow.screen.tables import show_split
    from furrow.stages.split import split as run_split
    from furrow.stages.split import split_folds

    with in_options([f"dataset.splitter.{key}" for key in given] + ["dataset.splitter"]):
        if folds is not None:
            made = split_folds(source, loaded.strategy.dataset, output_dir, overwrite)
        else:
            made = [run_split(source, loaded.strategy.dataset, ratio or eval_percent, output_dir, overwrite)]
    show_split(made, as_json=as_json)


@cli.command()
@click.argument("runs", type=PATH, nargs=-1, required=True)
@JSON
def folds(runs: tuple[Path, ...], as_json: bool) -> None:
    """Compare the trainings of a k_fold splitter, RUNS being their folders: mean and spread of what they measured."""
    from furrow.screen.tables import show_folds
    from furrow.stages.folds import compare_folds

    show_folds(compare_folds(runs), as_json=as_json)


@cli.group()
def strategies() -> None:
    """List, show and validate strategies."""


@strategies.command("list")
@STRATEGY_FILE
@JSON
def strategies_list(file: Path | None, as_json: bool) -> None:
    """Names and descriptions of the strategies that ship, or of those in FILE."""
    from furrow.screen.tables import show_strategies
    from furrow.strategies import files

    show_strategies(files.summaries(file), as_json=as_json)


@strategies.command("show")
@click.argument("name")
@STRATEGY_FILE
@SET
def strategies_show(name: str, file: Path | None, overrides: tuple[str, ...]) -> None:
    """The strategy with every default written out."""
    loaded = load_strategy(name, file, overrides, {})
    from furrow.strategies.files import filled_yaml

    _say_notes(loaded.notes)
    click.echo(filled_yaml(loaded.strategy), nl=False)


@strategies.command("validate")
@click.argument("file", type=PATH)
def strategies_validate(file: Path) -> None:
    """Verify every strategy of FILE; all problems at once, exit code 2."""
    from furrow.strategies.files import load_all

    for loaded in load_all(file):
        _say_notes(loaded.notes)
        say(f"{loaded.strategy.key}: valid")


@strategies.command("schema")
def strategies_schema() -> None:
    """JSON Schema of a strategy file, for editors."""
    from furrow.strategies.json_schema import file_schema

    click.echo(json.dumps(file_schema(), indent=2))


cli.add_command(data)


@cli.group()
def components() -> None:
    """What a strategy can wire."""


@components.command("list")
@JSON
def components_list(as_json: bool) -> None:
    """Every component by slot and type, plugins included."""
    from furrow.screen.tables import show_components

    show_components(as_json=as_json)


def _refuse(given: dict[str, Any], why: str) -> None:
    """Raises RequestError for an option that this model has no use for."""
    for name in (name for name, value in given.items() if value is not None):
        raise RequestError(why, where=f"--{name.replace('_', '-')}", remedy="leave it out")


def _say_notes(notes: Sequence[Any]) -> None:
    from furrow.screen.sentences import describe

    for note in notes:
        click.echo(describe(note), err=True)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process: 0 done, 1 it failed, 2 a wrong request, 130/143 stopped by a signal."""
    signal.signal(signal.SIGTERM, _stop)
    sys.excepthook = endings.show_traceback
    ours = arguments is None
    try:
        cli.main(args=arguments, prog_name="furrow", standalone_mode=False)
    except Interrupted as error:
        endings.show_interruption(error, _how_to_go_on(arguments, as_asked=error.as_asked))
        endings.leave(error.exit_code, ours, at_once=True)
    except FurrowError as error:
        if error.resumable:
            error.remedy = "\n  ".join(filter(None, (error.remedy, _how_to_go_on(arguments))))
        endings.show_error(error)
        endings.leave(error.exit_code, ours)
    except click.ClickException as error:
        endings.show_usage(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo("stopped", err=True)
        endings.leave(128 + getattr(error.__cause__ or error, "number", signal.SIGINT), ours)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        endings.show_error(endings.of_the_system(error))
        endings.leave(1, ours)
    sys.exit(0)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM unwinds the stack, so that nothing half-written stays behind."""
    sys.exit(128 + number)


def _how_to_go_on(arguments: Sequence[str] | None, *, as_asked: bool = False) -> str:
    from furrow.screen.again import resume_command

    return f"go on with: {resume_command(train, arguments, as_asked=as_asked)}"
