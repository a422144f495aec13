"""Furrow beside other tools on the same work, on this machine: `make bench`, or parts of it:

python -m benchmarks.run --only lora --peers trainer,trl --rounds 2

Every run is a fresh process; the systems take turns, round by round. What is measured is added to a file of
measurements, and the page and its picture are made of all that stand there. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import environments
from benchmarks.cases import CASES, Case
from benchmarks.machine import processor
from benchmarks.page import write_page
from benchmarks.records import Records, Run
from benchmarks.shape import SHAPES, arithmetic
from benchmarks.systems import Job, System
from benchmarks.systems.table import SYSTEMS
from benchmarks.told import published
from benchmarks.watch import Watched, watch
from benchmarks.workload import ROWS, Workload

ROOT = Path(__file__).parents[1]
SECONDS = 30 * 60
"""After this long a run has failed."""
HELP_RUNS = 5
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "WANDB_MODE": "disabled",
    "DO_NOT_TRACK": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
}
"""For every system alike: nothing is fetched, nobody is told, and lines come when they are printed."""


def tell(message: str) -> None:
    print(f"{datetime.now():%H:%M:%S}  {message}", flush=True)


def main(given: Sequence[str] | None = None) -> None:
    asked = _arguments(given)
    folder = (asked.folder or ROOT / ".bench").resolve()
    results = asked.results or (ROOT / "benchmarks/results.jsonl" if _whole(asked) else folder / "trial/results.jsonl")
    page = asked.page or (ROOT / "docs/benchmarks.md" if _whole(asked) else folder / "trial/benchmarks.md")
    records = Records(results)
    workload = _workload(folder, asked.shape, asked.rows)
    tell(f"the work: {workload.rows} rows, {workload.tokens} tokens, {workload.learned} of them learned")
    cases = [case for name, case in CASES.items() if name in asked.only]
    wanted = {name for case in cases for name in _systems(case, asked.peers)}
    if "help" in asked.only:
        wanted |= {name for name, system in SYSTEMS.items() if system.help and _among(name, asked.peers)}
    programs = _environments(wanted, folder, records)
    records.add("machine", _machine(workload))
    ready = _prepared(wanted, programs, workload, records)
    for case in cases:
        if asked.again:
            records.forget(case.name)
        for _ in range(asked.rounds):
            _round(case, [name for name in _systems(case, asked.peers) if name in ready], programs, workload, records)
            write_page(records, page)
    if "help" in asked.only:
        if asked.again:
            records.forget("help")
        _time_help([name for name in SYSTEMS if name in wanted and name in programs], programs, folder, records)
    write_page(records, page)
    tell(f"written: {page}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_names({*CASES, "help"}), default=[*CASES, "help"], help="cases, with commas")
    parser.add_argument("--peers", type=_names(set(SYSTEMS)), help="systems beside Furrow, with commas; default: all")
    parser.add_argument("--rounds", type=int, default=2, help="turns that every system takes in each case")
    parser.add_argument("--again", action="store_true", help="forget what was measured before in these cases")
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m", help="of the model; toy: only a trial")
    parser.add_argument("--rows", type=int, default=ROWS, help="fewer: only a trial")
    parser.add_argument("--folder", type=Path, help="for environments and work; default: .bench")
    parser.add_argument("--results", type=Path, help="the file of measurements; default: benchmarks/results.jsonl")
    parser.add_argument("--page", type=Path, help="the page that is made of them; default: docs/benchmarks.md")
    return parser.parse_args(given)


def _names(known: set[str]):
    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        if unknown := set(names) - known:
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: there is {', '.join(sorted(known))}")
        return names

    return read


def _whole(asked: argparse.Namespace) -> bool:
    """A trial never touches the published page."""
    return asked.shape == "smollm2-135m" and asked.rows == ROWS


def _among(name: str, peers: Sequence[str] | None) -> bool:
    """Furrow is in every round: without it nothing could be compared."""
    return peers is None or name in peers or SYSTEMS[name].environment is None


def _systems(case: Case, peers: Sequence[str] | None) -> list[str]:
    return [name for name in case.systems if _among(name, peers)]


def _workload(folder: Path, shape: str, rows: int) -> Workload:
    place = folder / f"work-{shape}-{rows}"
    tell("writing the work")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.workload", str(place), "--shape", shape, "--rows", str(rows)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return Workload.read(place)


def _environments(wanted: set[str], folder: Path, records: Records) -> dict[str, Path]:
    """The folder of programs of each system whose environment stands."""
    own = Path(sys.executable).parent
    records.add(
        "environment", {"name": "furrow", "installed": True, "said": "", "versions": environments.own_versions()}
    )
    programs = {}
    made: dict[str, environments.Made] = {}
    for name in SYSTEMS:
        environment = SYSTEMS[name].environment
        if name not in wanted:
            continue
        if environment is None:
            programs[name] = own
            continue
        if environment not in made:
            made[environment] = environments.make(environment, folder, tell)
            facts = {**asdict(made[environment]), "note": environments.ENVIRONMENTS[environment].note}
            del facts["programs"]
            records.add("environment", facts)
        if made[environment].installed:
            programs[name] = made[environment].programs
    return programs


def _prepared(wanted: set[str], programs: Mapping[str, Path], workload: Workload, records: Records) -> set[str]:
    """Those whose own form of the model stands."""
    ready = set()
    for name in sorted(wanted & set(programs)):
        prepare = SYSTEMS[name].prepare
        try:
            if prepare is not None:
                prepare(workload, programs[name])
            ready.add(name)
        except (ValueError, subprocess.CalledProcessError) as error:
            tell(f"{name}: left out: {error}")
    return ready


def _machine(workload: Workload) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty=, with changes"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "commit": commit.stdout.strip(),
        "shape": vars(workload.shape),
        "rows": workload.rows,
        "tokens": workload.tokens,
        "learned": workload.learned,
    }


def _round(
    case: Case, names: Sequence[str], programs: Mapping[str, Path], workload: Workload, records: Records
) -> None:
    """Every system once. The machine's rate is measured first, so that a slow hour shows in the floor too."""
    rate = json.loads(
        subprocess.run(
            [sys.executable, "-m", "benchmarks.machine", "--shape", workload.shape_name],
            cwd=ROOT,
            env=_environment(workload.folder),
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    adapted = case.adapted(workload.shape)
    work = arithmetic(
        workload.shape,
        tokens=workload.tokens,
        learned=workload.learned,
        epochs=case.epochs,
        method=case.method,
        adapted=None if adapted is None else len(adapted),
    )
    number = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tell(f"{case.name}: a round at {rate['gflops']:.0f} GFLOP/s of plain matrix products, {rate['threads']} threads")
    for name in names:
        seen = _one(case, name, SYSTEMS[name], programs[name], workload)
        run = Run(
            case=case.name,
            system=name,
            round=number,
            rows=workload.rows * case.epochs,
            tokens=workload.tokens * case.epochs,
            learned=workload.learned * case.epochs,
            operations=work.total,
            gflops=rate["gflops"],
            seconds=seen.seconds,
            train_seconds=seen.train_seconds,
            first_step_seconds=seen.first_step_seconds,
            peak_bytes=seen.peak_bytes,
            losses=seen.losses,
            failed=_failure(seen),
        )
        records.add_run(run)
        tell(f"{case.name}: {name}: {_said(run)}")


def _one(case: Case, name: str, system: System, programs: Path, workload: Workload) -> Watched:
    folder = workload.folder / "runs" / f"{case.name}-{name}"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    command = system.command(Job(case, workload, folder), programs)
    tell(f"{case.name}: {name} …")
    seen = watch(
        command,
        system.marks(),
        folder=folder,
        environment=_environment(folder, programs),
        seconds=SECONDS,
        log=folder / "output.log",
    )
    shutil.rmtree(folder / "output", ignore_errors=True)  # weights that nobody reads
    return seen


def _environment(folder: Path, programs: Path | None = None) -> dict[str, str]:
    """What a child sees. Caches of datasets lie in the run's own folder: no run profits from the one before."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = os.pathsep.join([*([str(programs)] if programs else []), inherited.get("PATH", "")])
    return {**inherited, **QUIET, "HF_HOME": str(folder / "cache"), "PATH": path}


def _failure(seen: Watched) -> str | None:
    if seen.exit_code:
        errors = [line for line in seen.last_lines if re.match(r"\s*[\w.]*(error|Error|Exception)\b", line)]
        return f"ended with {seen.exit_code}: {published((errors or seen.last_lines or ['no output'])[-1])}"
    return None if seen.ended_at else "said nothing of its steps"


def _said(run: Run) -> str:
    if run.failed:
        return f"failed: {run.failed}"
    training = f"{run.train_seconds:.1f} s of training, {run.rows_per_second:.2f} rows/s" if run.train_seconds else "?"
    return f"{training}, {run.peak_bytes / 2**30:.2f} GiB, first step after {run.first_step_seconds:.1f} s"


def _time_help(names: Sequence[str], programs: Mapping[str, Path], folder: Path, records: Records) -> None:
    """The best of HELP_RUNS fresh processes each, in turn; a first one, not counted, fills the disk's cache."""
    best = {}
    for turn in range(HELP_RUNS + 1):
        for name in names:
            if not SYSTEMS[name].help:
                continue
            program, *rest = SYSTEMS[name].help
            started = time.perf_counter()
            ended = subprocess.run(
                [program if Path(program).is_absolute() else str(programs[name] / program), *rest],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(folder, programs[name]),
            )
            spent = time.perf_counter() - started
            if turn and ended.returncode == 0:
                best[name] = min(spent, best.get(name, spent))
    for name, seconds in best.items():
        records.add("help", {"system": name, "seconds": seconds})
        tell(f"{name} --help: {seconds:.2f} s")


if __name__ == "__main__":
    main()
