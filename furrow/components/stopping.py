"""Ends an answer at a stop text, also where the text straddles the pieces in which it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


class StopCutter:
    """Takes an answer piece by piece and gives back what may be shown: never a stop text, nor the beginning of one.

    The answer ends at the first character that completes a stop text, and is cut where that text begins (where two are
    completed at once: where the longer one begins). So it does not matter how the answer is cut into pieces.
    Empty stop texts match nothing. Knows nothing about tokens.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False
        """A stop text came; what is fed from now on is dropped."""

    def feed(self, piece: str) -> str:
        """The text that is now safe to show, perhaps empty."""
        if self.stopped:
            return ""
        text = self._held + piece
        ends = {(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0}
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)[1]]
        safe = len(text) - self._beginning_of_a_stop(text)
        self._held = text[safe:]
        return text[:safe]

    def flush(self) -> str:
        """What was held back as the possible beginning of a stop text, when the answer ends without one."""
        held, self._held = self._held, ""
        return held

    def _beginning_of_a_stop(self, text: str) -> int:
        """Length of the longest end of `text` that is the beginning of a stop text."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0


def cut_at_stops(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The pieces up to the first stop text, as they become safe to show; no further piece is asked for after it."""
    cutter = StopCutter(stops)
    for piece in pieces:
        if safe := cutter.feed(piece):
            yield safe
        if cutter.stopped:
            return
    if rest := cutter.flush():
        yield rest
