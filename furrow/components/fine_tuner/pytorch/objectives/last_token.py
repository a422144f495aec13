"""What a model with a classification head says of each text: its head on the hidden state of the text's last token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from furrow.components.fine_tuner.pytorch.engine.dropout import RowSeeds
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.models.scoring import set_padding
from furrow.components.records import Example


def head_logits(forward: Forward, groups: Sequence[Sequence[Example]]) -> torch.Tensor:
    """[sequences, classes] in float32, whatever the decoder computes in: the logits of transformers'
    `…ForSequenceClassification` on the same texts."""
    pad_id = forward.base.config.get_text_config().pad_token_id
    states = forward([[_trimmed(sequence, pad_id, forward.seeds) for sequence in group] for group in groups])
    with torch.autocast(states.hidden.device.type, enabled=False):
        logits: torch.Tensor = head_of(forward.base)(states.last_hidden().float())
    return logits


def head_of(model: Any) -> Any:
    """The linear layer from a hidden state to the classes; `score` in transformers' decoders."""
    return model.score


def make_ready(model: Any, tokenizer: Any) -> None:
    """The head learns in float32, whatever the decoder's type, and the model knows what padding is."""
    head_of(model).float()
    set_padding(model, tokenizer)


def _trimmed(sequence: Example, pad_id: int | None, seeds: RowSeeds) -> Example:
    """Without padding tokens at the end: transformers reads a text at its last token that is not padding. Where the
    end token serves as padding, as in many models, that is the token before the end."""
    end = len(sequence.input_ids)
    while end > 1 and sequence.input_ids[end - 1] == pad_id:
        end -= 1
    if end == len(sequence.input_ids):
        return sequence
    shorter = sequence._replace(input_ids=sequence.input_ids[:end], learned=sequence.learned[:end])
    seeds.stands_for(shorter, sequence)
    return shorter
