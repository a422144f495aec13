"""What a template's work costs: a number of steps, taken off a budget before the work is done.

A step is about one small operation (at most a microsecond), one value of a list, or the copying of 16 characters.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Sequence, ValuesView
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

from furrow.components.prompt_template import Message

STEPS = 1_000_000
"""For a template and a short conversation: 16 M characters, or about a second. Llama 3.1's takes about 1,500."""
STEPS_PER_MESSAGE = 20_000
"""For each message beyond that: a template of 40 kB that looks at each message ten times takes half of it."""
STEPS_PER_CHARACTER = 2
MAX_BITS = 4096
"""Of an integer: two of 4 Mbit take seconds to divide."""

_VIEWS = (KeysView, ValuesView, ItemsView)
_LISTS = (list, tuple, set, frozenset, *_VIEWS)


class Budget:
    """Steps that are left. `spend` raises SecurityError when there are none."""

    left = 0

    def refill(self, messages: Sequence[Message] = ()) -> None:
        """A full budget for a rendering of these messages."""
        characters = sum([len(message["content"] or "") for message in messages])
        self.left = STEPS + STEPS_PER_MESSAGE * len(messages) + STEPS_PER_CHARACTER * characters

    def spend(self, steps: int) -> bool:
        """Always true, so that it can stand in a condition."""
        self.left -= steps
        if self.left < 0:
            raise SecurityError("it does more work, or makes longer texts, than a conversation can need")
        return True

    def charged(self, value: Any) -> Any:
        """The value, after taking off what it weighs: each time it is shared it is counted anew, as `str` would."""
        if type(value) is str:
            self.left -= 1 + (len(value) >> 4)
        elif (
            value is None or value is True or value is False or (type(value) is int and -1_000_000 < value < 1_000_000)
        ):
            return value
        else:
            self._weigh(value)
        if self.left < 0:
            self.spend(0)
        return value

    def sized(self, value: Any) -> Any:
        """The same for what is only gone through once: a text by its length, a list by the number of its items."""
        if isinstance(value, str):
            self.spend(1 + (len(value) >> 4))
        elif hasattr(value, "__len__"):
            self.spend(1 + len(value))
        return value

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, a step each."""
        for item in items:
            self.spend(1)
            yield item

    def _weigh(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            value = waiting.pop()
            self.left -= 1
            if isinstance(value, str | bytes):
                self.left -= len(value) >> 4
            elif isinstance(value, dict):
                waiting += value
                waiting += value.values()
            elif isinstance(value, _LISTS):
                self.left -= len(value)
                if self.left >= 0:
                    waiting += value
            elif isinstance(value, range):
                self.left -= len(value)
            elif isinstance(value, Namespace):
                waiting.append(object.__getattribute__(value, "_Namespace__attrs"))
            elif isinstance(value, int) and value.bit_length() > MAX_BITS:
                raise SecurityError(f"it makes a number of {value.bit_length()} bits")
            if self.left < 0:
                self.spend(0)
