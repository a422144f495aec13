"""Rows through the model: hidden states, and from them what objectives ask for. Knows no loss and no optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from peft import PeftModel

from furrow.components.fine_tuner.pytorch.engine import attention, head
from furrow.components.fine_tuner.pytorch.engine.dropout import RowSeeds
from furrow.components.fine_tuner.pytorch.engine.layout import Groups, Layout, flat, padded
from furrow.components.fine_tuner.pytorch.engine.memory import TokenBudget, beginning
from furrow.components.fine_tuner.pytorch.engine.virtual_tokens import VirtualTokens


@dataclass(frozen=True)
class States:
    """Hidden states of a micro-batch: `hidden` is [tokens, width], indexed as `layout` says."""

    hidden: torch.Tensor
    layout: Layout
    of_head: Callable[[], head.Head]
    """Asked only by who wants it: a classifier has no output embedding."""

    def summed_nll(self) -> torch.Tensor:
        """Sum of -log p over all learned tokens, each times its weight, in nats: a scalar in float32."""
        layout = self.layout
        return head.summed_nll(self.hidden[layout.sources], self.of_head(), layout.targets, layout.weights)

    def token_logps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(log p of every learned token [n], the number of its sequence [n]), in the order of the sequences."""
        logps = head.token_logps(self.hidden[self.layout.sources], self.of_head(), self.layout.targets)
        return logps, self.layout.owners

    def sequence_logps(self) -> torch.Tensor:
        """Sum of log p over the learned tokens of each sequence: [sequences]."""
        logps, owners = self.token_logps()
        return logps.new_zeros(self.layout.sequences).index_add(0, owners, logps)

    def last_hidden(self) -> torch.Tensor:
        """The hidden state of each sequence's last token: [sequences, width]."""
        return self.hidden[self.layout.last]


class Trunk(Protocol):
    """Layers below the first trained one, whose results need not be computed twice."""

    def hidden(self, layout: Layout) -> torch.Tensor:
        """As `Forward.decode`: [tokens, width]."""
        ...


class Forward:
    """`forward(groups)` runs the decoder on these sequences, flat where the model can, else padded.

    `groups`: sequences; those of one group share the computation of what they begin with in common, where that is
    exact. `why_padded` says why a model cannot have its rows one after the other; `budget`, how many tokens whoever
    calls should hand over at once.
    """

    def __init__(
        self, model: Any, *, pad_id: int, longest: int, seeds: RowSeeds | None = None, budget: TokenBudget | None = None
    ) -> None:
        self.model = model
        self.base = model.get_base_model() if isinstance(model, PeftModel) else model
        self.decoder = getattr(self.base, self.base.base_model_prefix)
        self.trunk: Trunk | None = None
        self.budget = budget or beginning(self.device)
        self._pad_id = pad_id
        self.seeds = seeds or RowSeeds()
        self._virtual = VirtualTokens.of(model)
        self.why_padded = (
            "the method puts virtual tokens before every row"
            if self._virtual
            else attention.supports_flat(self.base, longest)
        )
        if self.why_padded is None:
            attention.use(self.base)

    @property
    def device(self) -> torch.device:
        return next(self.base.parameters()).device

    @cached_property
    def head(self) -> head.Head:
        return head.Head.of(self.base)

    def tokens_of(self, sequences: Sequence[int]) -> int:
        """Tokens that sequences of these lengths take up, padding included: what a micro-batch's budget is of."""
        return sum(sequences) if self.why_padded is None else len(sequences) * max(sequences)

    def lay(self, groups: Groups) -> Layout:
        """The sequences as this model takes them."""
        return flat(groups, self.device) if self.why_padded is None else padded(groups, self._pad_id, self.device)

    def __call__(self, groups: Groups) -> States:
        layout = self.lay(groups)
        self.seeds.lay(layout)
        hidden = self.trunk.hidden(layout) if self.trunk else self.decode(layout)
        return States(hidden, layout, lambda: self.head)

    def decode(self, layout: Layout) -> torch.Tensor:
        """The decoder's last hidden states of every token of the layout: [tokens, width]."""
        if self._virtual:
            hidden = self._virtual.hidden(self.decoder, layout)
        elif layout.spans:
            hidden = self.decoder(
                input_ids=layout.input_ids,
                position_ids=layout.position_ids,
                attention_mask=None,
                use_cache=False,
                furrow_spans=layout.spans,
            ).last_hidden_state
        else:
            hidden = self.decoder(
                input_ids=layout.input_ids, attention_mask=layout.attention_mask, use_cache=False
            ).last_hidden_state
        return hidden.flatten(0, 1)
