"""The space on a disk that a run will need, and whether it is there: asked before the work, not found out after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from furrow.components.disk.sizes import readable
from furrow.components.disk.storage import free_bytes
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Warned


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a run writes, in bytes."""

    checkpoint: int
    """Of one checkpoint."""
    saves: int
    """Checkpoints that are still to be written."""
    limit: int | None
    """How many of them are kept; None: all."""
    best: bool = False
    """Whether the best one is kept besides."""
    there: int = 0
    """How many lie there already, and will go when others come."""
    final: int = 0
    exports: int = 0
    """Everything that is exported, and what that needs meanwhile. This is an estimate; the others are known."""

    @property
    def checkpoints(self) -> int:
        """Most that come to lie there besides those that do: all that are kept, and the one being written."""
        if self.limit is None:
            return self.saves
        return min(self.saves, max(self.limit + self.best + 1 - self.there, 1))

    @property
    def remedy(self) -> str:
        """What makes it fit, of what can still be done."""
        says = ["free some"]
        if self.saves > 1 and self.limit != 1:
            says.append("set save_total_limit" if self.limit is None else "lower save_total_limit")
        if self.exports:
            says.append("ask for fewer exports")
        return f"{', '.join(says)} or choose another output_dir"

    @property
    def needed(self) -> int:
        """Most that will have to be free."""
        return self._needed(self.checkpoints, self.exports)

    def _needed(self, checkpoints: int, exports: int) -> int:
        """While the last checkpoint is written, or when the exports are, whichever is more."""
        kept = checkpoints if self.limit is None else min(checkpoints, self.limit + self.best)
        return max(checkpoints * self.checkpoint, kept * self.checkpoint + self.final + exports)

    def require(self, folder: Path, emit: Emit) -> None:
        """Raises RequestError where the disk of `folder` cannot take it; warns where it may not.

        Refused is only what is sure to fail. Of exports, which are estimated, half counts; of checkpoints that are all
        kept, one: the run can save it, and somebody may make room before the next (save_retry_seconds).
        """
        free = free_bytes(folder)
        sure = self._needed(self.checkpoints if self.limit is not None else min(self.saves, 1), self.exports // 2)
        if free < sure:
            raise RequestError(
                f"too small a disk: {self._told(sure)}; free: {readable(free)}", where=str(folder), remedy=self.remedy
            )
        if free < self.needed:
            message = f"the disk of {folder} may become full: {self._told(self.needed)}; free: {readable(free)}"
            emit(Warned(message=message, remedy=self.remedy))

    def _told(self, needed: int) -> str:
        parts = [
            (self.checkpoints, f"{self.checkpoints} checkpoints of {readable(self.checkpoint)}"),
            (self.final, f"the final model of {readable(self.final)}"),
            (self.exports, f"exports of about {readable(self.exports)}"),
        ]
        return f"needed: {readable(needed)} ({', '.join(text for size, text in parts if size)})"
