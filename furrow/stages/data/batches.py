"""Rows in batches: while the tokenizer works on one, the next is rendered and the one before becomes examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

ROWS = 1000
"""Of a batch: 40 ms of tokenising short rows on two cores, next to which the hand-over is nothing."""
CHARACTERS = 300_000
"""Of a batch whose rows are long; its tokens take some 60 bytes of memory for each."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_batches(items: Iterable[Given], size: Callable[[Given], int]) -> Iterator[list[Given]]:
    """ROWS of them at a time, or fewer that are CHARACTERS long together."""
    batch: list[Given] = []
    held = 0
    for item in items:
        batch.append(item)
        held += size(item)
        if len(batch) >= ROWS or held >= CHARACTERS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def worked(batches: Iterable[Given], work: Callable[[Given], Made]) -> Iterator[tuple[Given, Made]]:
    """Each batch with what the work makes of it, in order; the work on one is done while the next is put together.

    What goes wrong with a batch while it is put together is raised after those before it were given.
    """
    with ThreadPoolExecutor(1, "tokenising") as worker:
        waiting: tuple[Given, Future[Made]] | None = None
        source = iter(batches)
        while True:
            failed: BaseException | None = None
            batch: Given | None = None
            try:
                batch = next(source, None)
            except Exception as error:
                failed = error
            ahead = None if batch is None else (batch, worker.submit(work, batch))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            if failed is not None:
                raise failed
            if ahead is None:
                return
            waiting = ahead
