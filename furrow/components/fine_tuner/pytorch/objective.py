"""What the model is trained to do with the text."""

from __future__ import annotations

from typing import Literal

from furrow.components.config import Config


class ObjectiveConfig(Config):
    """Next-token prediction; `type` says on which tokens."""

    type: Literal["sft", "pretrain"] = "sft"
    """sft learns the answers only, as the prompt template marks them; pretrain learns every token of the column `text`,
    with its end token, and a text longer than max_length becomes several examples."""
