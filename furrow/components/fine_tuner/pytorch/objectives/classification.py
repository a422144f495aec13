"""One class for each text: the cross-entropy of the classes, and how often which one is taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from furrow.components.confusion import accuracy, macro_f1
from furrow.components.events import Emit
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objectives import Share
from furrow.components.fine_tuner.pytorch.objectives.last_token import head_logits
from furrow.components.records import AnyExample, Classified


def confusion_counts(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[classes, classes] of counts: row i, column j holds the texts of class i whose highest logit is that of j."""
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


class Classification:
    """Mean cross-entropy in nats over the rows of the whole effective batch: transformers' own loss."""

    has_perplexity = False

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Nothing."""

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> int:
        """How many rows the effective batch has."""
        return len(batch)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: int) -> Share:
        rows = [row for row in micro if isinstance(row, Classified)]
        logits = head_logits(forward, [(row.example,) for row in rows])
        labels = torch.tensor([row.label for row in rows], device=logits.device)
        loss = F.cross_entropy(logits, labels, reduction="sum") / context
        return Share(loss, {"confusion": confusion_counts(logits.detach(), labels)})

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """`accuracy`, and `f1`: the mean over the classes that occur."""
        confusion = sums["confusion"].tolist()
        return {"accuracy": accuracy(confusion), "f1": macro_f1(confusion)}
