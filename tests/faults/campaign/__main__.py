"""`python -m tests.faults.campaign`: does a run all the harm there is, counts what came of it, and writes the page.

With --only or --quick it is a part of that: the counts are shown, and go where --results says or nowhere. A part that
goes into the results of a whole campaign replaces its lines there; the page says at which commit each was made.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from tests.faults.campaign.page import PAGE, RESULTS, write_page
from tests.faults.campaign.results import machine, write_results
from tests.faults.campaign.verdict import Tally
from tests.faults.campaign.warm import ready_crew

CAMPAIGNS = (
    "kills", "boundaries", "grid", "signals", "nans", "disks", "refusals", "exports", "flips", "changes", "locks",
    "hostile_input", "peer",
)  # fmt: skip


def main() -> None:
    options = _options()
    started, tallies = time.monotonic(), list[Tally]()
    with ready_crew(options.workers, quick=options.quick) as crew:
        for name in options.only:
            made = importlib.import_module(f"tests.faults.campaign.{name}").run(crew)
            for tally in made:
                _show(tally)
            tallies += made
        seconds = time.monotonic() - started
        if options.results is not None:
            write_results(options.results, machine(crew, seconds), tallies, part=options.only != CAMPAIGNS)
    if options.results == RESULTS:
        write_page(RESULTS, PAGE)
    failed = [tally.campaign for tally in tallies if tally.system == "furrow" and not tally.passed]
    print(f"{len(tallies)} campaigns in {seconds / 60:.1f} min; failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="A,B", help=", ".join(CAMPAIGNS))
    parser.add_argument("--quick", action="store_true", help="a sample of each")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, help=f"default: {RESULTS.name} of a whole campaign, else none")
    options = parser.parse_args()
    if options.only is None and not options.quick:
        options.results = options.results or RESULTS
    if unknown := set(options.only or ()) - set(CAMPAIGNS):
        parser.error(f"no such campaign: {', '.join(sorted(unknown))}; there are {', '.join(CAMPAIGNS)}")
    options.only = options.only or CAMPAIGNS
    return options


def _show(tally: Tally) -> None:
    if tally.skipped is not None:
        print(f"{tally.campaign} · {tally.system}: skipped, {tally.skipped}")
    if tally.system == "furrow":
        for note in tally.notes:
            print(f"    {note}")
    print(f"    {tally.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
