"""Hostile payloads in a watched child, and secrets that must turn up nowhere: both have a runner of their own."""

from __future__ import annotations

import time

from tests.faults import secret_canaries
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.verdict import Tally, Trial
from tests.faults.hostile.run import campaign

HIDDEN, SEEN = "nowhere", "found"


def run(crew: Crew) -> list[Tally]:
    started = time.monotonic()
    payloads = Tally("hostile payloads", "furrow", ("refused", "harmless"))
    for result in campaign(quick=crew.quick):
        payloads.add(Trial(result["ended"], f"{result['topic']}, {result['name']}: {result['said']}"))
    payloads.seconds = time.monotonic() - started
    print(f"{payloads.campaign} · furrow: {payloads.tried}: {dict(payloads.counts)}", flush=True)
    return [payloads, *([] if crew.quick else [_secrets(crew)])]


def _secrets(crew: Crew) -> Tally:
    started = time.monotonic()
    looked = secret_canaries.campaign(crew.shop.room("secrets"))
    tally = Tally("secrets", "furrow", (HIDDEN,))
    seen = {place.rpartition(": ")[2] for place in looked["found"]}
    for place in looked["found"]:
        tally.notes.append(place)
    tally.counts.update({HIDDEN: looked["secrets"] - len(seen), SEEN: len(seen)})
    tally.facts = {key: looked[key] for key in ("commands", "files", "bytes")}
    tally.seconds = time.monotonic() - started
    print(f"{tally.campaign} · furrow: {looked['secrets']}: {dict(tally.counts)}", flush=True)
    return tally
