"""A model that scores texts instead of writing them, a classifier or a reward model: how it is loaded and asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from furrow.components.models.folder import ModelFolder
from furrow.components.models.loading import load_model
from furrow.components.models.pretrained import load_tokenizer


def load_scorer(folder: ModelFolder, *, dtype: torch.dtype | str, device: torch.device | None = None) -> Any:
    """The model of a folder with `labels`, ready to be asked."""
    model = load_model(folder, dtype=dtype, device=device)
    set_padding(model, load_tokenizer(folder.tokenizer))
    return model


def set_padding(model: Any, tokenizer: Any) -> None:
    """Tells the model the tokenizer's padding token (its end token where it has none): transformers reads a text at
    its last token that is not padding, and takes no batches where it does not know it."""
    config = model.config.get_text_config()
    known = (tokenizer.pad_token_id, config.pad_token_id, tokenizer.eos_token_id)
    config.pad_token_id = next((token for token in known if token is not None), None)


@torch.inference_mode()
def logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """What the head says of one text: [classes] in float32 on the CPU."""
    device = next(model.parameters()).device
    return batch_logits(model, input_ids=torch.tensor([list(ids)], device=device))[0].cpu()


def batch_logits(model: Any, **inputs: torch.Tensor) -> torch.Tensor:
    """What the head says of each text of a batch: [texts, classes] in float32."""
    narrow = model.dtype in (torch.bfloat16, torch.float16)  # the head of an adapter stays in float32
    device = next(model.parameters()).device
    with torch.autocast(device.type, dtype=model.dtype if narrow else None, enabled=narrow):
        found: torch.Tensor = model(**inputs).logits
    return found.float()
