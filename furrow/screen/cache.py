"""What `furrow data cache` shows: prepared data that is kept for the next run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from furrow.components.disk.sizes import readable
from furrow.screen.text import one_line
from furrow.stages.data.cache import Entry


def show_cache(folder: Path, entries: Sequence[Entry], *, as_json: bool) -> None:
    """All entries, the one used last first, and what they take together."""
    for entry in entries:
        if as_json:
            click.echo(json.dumps(_as_record(entry)))
            continue
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        click.echo(one_line(f"{readable(entry.bytes):>10}  {used}  {entry.level:<8}  {entry.key[:12]}  {entry.of}"))
    if not as_json:
        total = readable(sum(entry.bytes for entry in entries))
        click.echo(one_line(f"{total} in {len(entries)} entries of {folder}" if entries else f"nothing in {folder}"))


def show_cleared(gone: Sequence[Entry], stays: Sequence[Entry], *, as_json: bool) -> None:
    """What was removed, and what was not, because a run uses it."""
    if as_json:
        for removed, entries in ((True, gone), (False, stays)):
            for entry in entries:
                click.echo(json.dumps({**_as_record(entry), "removed": removed}))
        return
    kept = f"; {len(stays)} stay, which a run uses" if stays else ""
    click.echo(f"{len(gone)} entries removed, {readable(sum(entry.bytes for entry in gone))}{kept}")


def _as_record(entry: Entry) -> dict[str, object]:
    used = datetime.fromtimestamp(entry.used).astimezone().isoformat(timespec="seconds")
    return {"level": entry.level, "key": entry.key, "bytes": entry.bytes, "used": used, "of": entry.of}
