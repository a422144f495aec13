"""The console: where it is a terminal, rich draws on it; elsewhere plain lines are printed."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """Notes that nobody reads it any more, where rich would end the process."""

    broken = False

    def on_broken_pipe(self) -> None:
        self.quiet = self.broken = True


def console() -> Console:
    """On standard output, highlighting nothing of its own accord."""
    return Screen(highlight=False)
