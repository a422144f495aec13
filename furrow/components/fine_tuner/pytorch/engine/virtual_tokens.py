"""Prefix and prompt tuning: trained positions before every row, which PEFT makes and the decoder must be handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel, PeftType

from furrow.components.fine_tuner.pytorch.engine.layout import Layout


@dataclass(frozen=True)
class VirtualTokens:
    """Of a model whose method puts `count` trained positions before every row."""

    model: PeftModel
    count: int
    as_cache: bool
    """Prefix tuning trains keys and values of every layer; prompt tuning trains embeddings."""

    @classmethod
    def of(cls, model: Any) -> VirtualTokens | None:
        if not isinstance(model, PeftModel) or not model.active_peft_config.is_prompt_learning:
            return None
        settings = model.active_peft_config
        return cls(model, settings.num_virtual_tokens, settings.peft_type == PeftType.PREFIX_TUNING)

    def hidden(self, decoder: Any, layout: Layout) -> torch.Tensor:
        """The decoder's hidden states of the real tokens: [rows, longest, width]."""
        rows = layout.input_ids.shape[0]
        assert layout.attention_mask is not None
        mask = torch.cat([layout.attention_mask.new_ones(rows, self.count), layout.attention_mask], dim=1)
        prompt = self.model.get_prompt(rows)
        if self.as_cache:
            out = decoder(layout.input_ids, attention_mask=mask, past_key_values=prompt, use_cache=False)
            return out.last_hidden_state
        embedded = decoder.get_input_embeddings()(layout.input_ids)
        inputs = torch.cat([prompt.to(embedded.dtype), embedded], dim=1)
        return decoder(inputs_embeds=inputs, attention_mask=mask, use_cache=False).last_hidden_state[:, self.count :]
