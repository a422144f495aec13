"""A trained reward model as a reward: its score of prompt and answer, read as in its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from furrow.components.fine_tuner.trl.prompts import Prompt
from furrow.components.fine_tuner.trl.rewards import reward_folder
from furrow.components.models.pretrained import load_tokenizer
from furrow.components.models.scoring import batch_logits, load_scorer
from furrow.components.tokens import beginning_of_sequence, prompt_ids

ROWS = 8
"""Rows of one forward pass, in order of length: enough to fill a device, little padding."""


class RewardModel:
    """In evaluation mode, in float32 on a CPU and as saved elsewhere."""

    def __init__(self, named: str, policy_tokenizer: Any, device: torch.device) -> None:
        folder, self._device = reward_folder(named), device
        dtype = torch.float32 if device.type == "cpu" else "auto"
        self._model = load_scorer(folder, dtype=dtype, device=device).requires_grad_(False)
        self._tokenizer = load_tokenizer(folder.tokenizer)
        self._policy_ends = set(policy_tokenizer.all_special_ids)
        self._same_ids = self._tokenizer.get_vocab() == policy_tokenizer.get_vocab() and (
            beginning_of_sequence(self._tokenizer) == beginning_of_sequence(policy_tokenizer)
        )

    @torch.no_grad()
    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[str], completion_ids: Sequence[Sequence[int]]
    ) -> list[float]:
        rows = [self._ids(*answer) for answer in zip(prompts, completions, completion_ids, strict=True)]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        scores = [0.0] * len(rows)
        for start in range(0, len(rows), ROWS):
            chosen = order[start : start + ROWS]
            for row, score in zip(chosen, self._scores([rows[row] for row in chosen]), strict=True):
                scores[row] = score
        return scores

    def _ids(self, prompt: Prompt, completion: str, completion_ids: Sequence[int]) -> list[int]:
        """As the model saw rows in its training: BOS, prompt, answer, end token. Another tokenizer reads the text."""
        if self._same_ids:
            return [*prompt.ids, *completion_ids]
        ended = bool(completion_ids) and completion_ids[-1] in self._policy_ends
        end = [self._tokenizer.eos_token_id] if ended and self._tokenizer.eos_token_id is not None else []
        return [*prompt_ids(self._tokenizer, prompt.text + completion), *end]

    def _scores(self, rows: Sequence[list[int]]) -> list[float]:
        """transformers reads the score at the last token that is not padding, in training too."""
        pad = self._model.config.get_text_config().pad_token_id
        longest, device = max(map(len, rows)), self._device
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        scores: list[float] = batch_logits(self._model, input_ids=ids, attention_mask=mask)[:, 0].tolist()
        return scores
