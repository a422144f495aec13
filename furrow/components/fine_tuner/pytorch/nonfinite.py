"""What to do where the numbers of a step go wrong. A light module: settings, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from furrow.components.config import Config

Action = Literal["stop", "skip", "rollback"]


class OnNonfiniteConfig(Config):
    """What happens at a step whose loss or gradient norm is nan or inf, or after which a weight is. Whatever it is,
    nothing of that step reaches the weights, the optimiser, the curves, a checkpoint or the final model.

    The scaler of fp16 looks for its largest factor by trying: steps whose gradients overflow under it are its own
    business, and none of this one's.
    """

    action: Action = "stop"
    """stop ends the run with the step, its learning rate and its rows; skip leaves the batch out and goes on (the
    learning rate's curve counts the step); rollback goes back to the newest checkpoint and leaves the batch out from
    there on, at a lower learning rate. Guide: stop, and look at the rows; rollback for long runs unattended."""
    learning_rate_scale: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of rollback: what the learning rates of all later steps are multiplied by, anew at each rollback. Guide: 0.5."""
    limit: Annotated[int, Field(ge=1)] = 5
    """Skipped steps in a row, or rollbacks of the whole run, that are borne; one more stops it. A model that has
    diverged is not mended by leaving out batches. Guide: 5."""

    @model_validator(mode="after")
    def _the_action_has_these_settings(self) -> Self:
        fields = type(self).model_fields
        if self.action != "rollback" and self.learning_rate_scale != fields["learning_rate_scale"].default:
            raise ValueError(f"learning_rate_scale is given, and belongs to rollback; the action is {self.action}")
        if self.action == "stop" and self.limit != fields["limit"].default:
            raise ValueError("limit is given, and belongs to skip and rollback; the action is stop")
        return self


def action_alone(given: Any) -> Any:
    """`on_nonfinite: skip` means that action with its defaults."""
    if not isinstance(given, str | Mapping | OnNonfiniteConfig):
        raise ValueError(
            "stop, skip, rollback, or a mapping such as {action: rollback, limit: 5} is wanted, got "
            + json.dumps(given)
        )
    return {"action": given} if isinstance(given, str) else given
