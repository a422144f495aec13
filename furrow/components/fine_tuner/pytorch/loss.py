"""The loss: a sum over learned tokens, to be divided once by all the learned tokens of the effective batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from furrow.components.fine_tuner.pytorch.batches import IGNORED, Batch


def loss_sum(model: Any, batch: Batch) -> torch.Tensor:
    """Summed cross-entropy in nats (fp32, a scalar) of predicting every learned token from those before it.

    Dividing by the learned tokens of this micro-batch alone would weigh short answers more whenever the cut changes:
    the error that transformers mended in 2024 ("gradient accumulation fix").
    """
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    targets = batch.labels[:, 1:]
    learned = targets != IGNORED
    return F.cross_entropy(logits[:, :-1][learned].float(), targets[learned], reduction="sum")
