"""Where a child is: functions of the product that say when they begin and when they are over, and change nothing."""

from __future__ import annotations

from tests.faults.campaign.children import Marks


def mark(owner: object, name: str, marks: Marks, *, halt: str | None = None) -> None:
    """The n-th call of the function reaches the marks `begun n` and `over n`; at the mark `halt` it waits."""
    inner, calls = getattr(owner, name), [0]

    def wrapped(*arguments: object, **named: object) -> object:
        calls[0] += 1
        number = calls[0]
        marks.reach(f"begun {number}", halt=halt == f"begun {number}")
        found = inner(*arguments, **named)
        marks.reach(f"over {number}", halt=halt == f"over {number}")
        return found

    setattr(owner, name, wrapped)


def mark_saves(marks: Marks, *, halt: str | None = None) -> None:
    """Every save of a checkpoint, rotation included."""
    from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Checkpoints

    mark(Checkpoints, "save", marks, halt=halt)


def halt_at_once(marks: Marks) -> None:
    """Before anything of the product runs."""
    marks.reach("ready", halt=True)
