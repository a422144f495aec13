"""docs/reliability.md, made of the results alone; `python -m tests.faults.campaign.page` writes it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.faults.campaign.results import Line, read_results

ROOT = Path(__file__).parents[3]
RESULTS, PAGE = ROOT / "tests/faults/results.jsonl", ROOT / "docs/reliability.md"
NOTHING = "–"
HARMS = {
    "kills in a save": (
        "SIGKILL at a random moment inside the save of a checkpoint; then `--resume`",
        "ends bit for bit as the run that was left alone",
    ),
    "kills anywhere": (
        "SIGKILL at a random moment from the first to the last instruction of the command; then `--resume`",
        "the same",
    ),
    "system calls of a save": (
        "SIGKILL before every single system call of a save that changes the disk; then `--resume`",
        "whatever has a checkpoint's name is whole; ends as the run that was left alone",
    ),
    "system calls of publishing the final model": (
        "the same, after the last save to the end of the process",
        "the same",
    ),
    "system calls of replacing a run": (
        "the same, in a whole run with `--overwrite` over a finished one",
        "at every moment the earlier model or the new one is there; the command said again ends well",
    ),
    "system calls of an export": (
        "the same, in a `convert --overwrite` to GGUF and to merged weights",
        "the earlier export or the new one, whole; the command said again makes it",
    ),
    "resume grid": (
        "killed or stopped after a save, then `--resume`: method, accumulation, dropout, optimiser, place in the epoch",
        "the same weights and the same loss at every step",
    ),
    "resume grid of the engine": (
        "every ninth cell of {full, LoRA} x optimisers x accumulation x dropout x place x workers x {cut, signalled}, "
        "and further methods and objectives",
        "the same weights, losses, norms, learning rates and evaluations",
    ),
    "signals": (
        "SIGINT or SIGTERM at a random moment; then the command that it printed",
        "exit code 130 or 143, at most one step lost, ends as the run that was left alone",
    ),
    "second signal": (
        "two different ones within 30 ms; then the command that it printed",
        "the same, steps lost allowed",
    ),
    "planted NaN": (
        "NaN put into a random weight before a random step, or into a random gradient within it",
        "the run ends at that very step, names it, and saves nothing of it",
    ),
    "full disks": (
        "disks of many sizes: too small from the beginning, filled after the first step, filled and freed again, files "
        "limited in size, read-only",
        "a message with place and free space, nothing half-written, the state before it goes on on a larger disk",
    ),
    "refused system calls": (
        "one write, fsync, rename or mkdir of a save answers EIO, EDQUOT, ENOSPC or EROFS",
        "got over, or a message and a state that goes on",
    ),
    "full disks at export": ("an export onto disks of many sizes", "a message, and nothing half-written"),
    "flipped bits": (
        "one bit of one file of the newest checkpoint flipped; then `--resume`",
        "found before the first step, named, put into quarantine, the checkpoint before it taken",
    ),
    "truncations": ("one file of the newest checkpoint cut short; then `--resume`", "the same"),
    "changed learning rate": (
        "another learning rate on resume",
        "refused with both values, or with `--allow-change` really applied",
    ),
    "races for a folder": (
        "two or five processes begin to train into one folder at once; the winner lives or is killed",
        "exactly one trains, the others name it; its death frees the folder",
    ),
    "hostile payloads": (
        "data, strategies, templates, models and checkpoints made to execute, hang or fill the memory",
        "refused or harmless; none is executed",
    ),
    "secrets": (
        "secrets in the environment and in files, with commands that fail",
        "in no file, output or process list",
    ),
}
"""Campaign -> what is done, and what is promised."""


def write_page(results: Path, page: Path) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(page_text(results), encoding="utf-8")


def page_text(results: Path) -> str:
    facts, tallies = read_results(results)
    ours = {tally["campaign"]: tally for tally in tallies if tally["system"] == "furrow"}
    theirs = {tally["campaign"]: tally for tally in tallies if tally["system"] == "trainer"}
    rows = []
    for name, (harm, promise) in HARMS.items():
        if name in ours:
            rows.append((f"**{name}**: {harm}", promise, _cell(ours[name]), _cell(theirs.get(name))))
    head = ("what is done", "what is promised", "Furrow", "transformers' Trainer")
    parts = ["# Reliability", _introduction(facts, tallies), "## Figures", _table(head, rows), _breakdown(ours, theirs)]
    parts += [_method(theirs), _not_covered()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(facts: Line, tallies: Sequence[Line]) -> str:
    again: dict[str, list[str]] = {}
    for tally in tallies:
        if (commit := tally.get("commit", facts["commit"])) != facts["commit"]:
            again.setdefault(commit, []).append(tally["campaign"])
    since = "".join(f" Made again at commit {commit}: {', '.join(names)}." for commit, names in again.items())
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        "What happens to a run that is killed, stopped, starved of disk, lied to or changed on the way. Made by "
        "`make faults`, which does all of this harm for real and writes this page; no figure is written by hand. Last "
        f"run {facts['date']} at commit {facts['commit']}, in {facts['minutes']:.0f} minutes on {facts['processor']}, "
        f"{facts['cores']} cores, {facts['memory_gib']} GiB of memory, {facts['system']}, {facts['file_system']}; "
        f"{versions}.{since}\n\n"
        "A figure is how often a harm ended as is promised, of how many tries. Anything else fails `make faults`."
    )


def _cell(tally: Line | None) -> str:
    if tally is None:
        return NOTHING
    if tally["skipped"] is not None:
        return f"not done: {tally['skipped']}"
    kept = sum(tally["counts"].get(outcome, 0) for outcome in tally["good"])
    figure = f"{kept:,} of {tally['tried']:,}"
    return figure if kept == tally["tried"] or tally["system"] == "trainer" else f"**{figure}**"


def _breakdown(ours: dict[str, Line], theirs: dict[str, Line]) -> str:
    rows = []
    for name in HARMS:
        for tally in (ours.get(name), theirs.get(name)):
            if tally is not None and (len(tally["counts"]) > 1 or set(tally["counts"]) - set(tally["good"])):
                counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally["counts"].items()))
                rows.append((name, "Furrow" if tally["system"] == "furrow" else "Trainer", counts))
    return "Where there is more than one ending:\n\n" + _table(("harm", "", "endings"), rows) if rows else ""


def _method(theirs: dict[str, Line]) -> str:
    compared = "" if not theirs else _compared()
    return f"""## How it is done

- The model is a Llama of two layers, 32 wide, with a tokenizer of 280 tokens; twelve rows, six steps of four, a
  checkpoint after every second step, `save_total_limit: 1`, so that the save of a checkpoint removes the one before it.
  Full fine-tuning and LoRA take turns. It is small so that a trial takes a second; the code that saves, resumes and
  stops is that of any run. Every trial runs the command line in a process of its own, forked from one that has
  imported torch, and every harm is real: real signals, a real file system that is full, bits flipped in real files.
- *Bit for bit* means: the sha256 of the final weights and the loss of every step are those of a run of the same
  strategy that nobody harmed, and every step is recorded once. After the last command nothing temporary lies about.
- Going on means `--resume` and nothing else. Where it says that nothing had been saved by then, the plain command is
  said again, as the message asks.
- For the random kills the length of a save is measured first, and the moment drawn evenly from it; a kill that came
  too late is not counted, and another run is killed in its stead. For the system calls, `strace` first lists the calls
  of one save; then, for each, a run is killed in front of it. Between two calls that change the disk the disk does not
  change, so these are all the moments that there are. Calls that only read are left out.
- Small disks are `tmpfs` in a mount namespace of the trial's own. Single refused calls are `strace`'s again.
{compared}\
- The campaign is itself tried: `make test-all` breaks the product in six ways (checkpoints written in place, hashes not
  read, the optimiser's state forgotten, NaN let through, no lock, the last step not saved), and the campaign must fail
  for each of them. `make test` runs two of these and a sample of the campaign."""


def _compared() -> str:
    return """- transformers' Trainer trains the same model on the same rows with the same settings, is resumed with
  `resume_from_checkpoint=True`, and is counted in the same way; it is killed only in saves that have a whole checkpoint
  before them, Furrow in its first one too. It keeps older checkpoints (`save_total_limit: None`) where bits are flipped
  or files cut. A changed file counts as found when resuming ends with an error, whichever. The number of tries is
  smaller, and stands in the table.
"""


def _not_covered() -> str:
    return """## What is not covered

- Power that fails. What was fsynced is trusted to be on the disk; a process that is killed leaves the kernel's cache
  behind, a machine that loses its power does not. The order of fsync and rename is that of the usual protocol, and
  nothing here pulls a plug.
- File systems other than the one named above and tmpfs: network file systems in particular, and what they make of
  locks and renames.
- GPUs and several processes: every trial runs on a CPU, in one process. Kernels that add in another order from run to
  run cannot be resumed bit for bit.
- Models of real size. Their saves last longer; the calls they are made of are the same, and more writes among them.
- Memory that flips bits while a checkpoint is being written: the hash is then that of the wrong bits.
- The fine-tuner `trl`, which has no checkpoints to go on from."""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    write_page(RESULTS, PAGE)
