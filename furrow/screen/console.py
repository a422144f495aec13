"""The console: where it is a terminal, rich draws on it; elsewhere plain lines are printed."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
    """On standard output, highlighting nothing of its own accord."""
    return Console(highlight=False)
