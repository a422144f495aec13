"""Text from data and models, made safe for a terminal: see `components/plain_text.py`, which reports use too."""

from furrow.components.plain_text import message, one_line, printable

__all__ = ["message", "one_line", "printable"]
