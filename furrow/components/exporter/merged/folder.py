"""An adapter and its base become one folder of whole weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig

from furrow.components.errors import RequestError
from furrow.components.models import pretrained
from furrow.components.models.folder import ModelFolder
from furrow.components.models.loading import load_model
from furrow.components.models.scoring import set_padding


@contextlib.contextmanager
def merged_folder(source: ModelFolder, work: Path) -> Iterator[Path]:
    """A folder of whole weights in float32: `source` itself where it is one already, else merged into `work`.

    What is written in `work` lives as long as the block; `source` is never changed.
    """
    if source.kind == "weights":
        yield source.path
        return
    folder = work / "merged"
    load(source).merge_and_unload().save_pretrained(folder)
    yield folder


def refuse_unmergeable(source: ModelFolder) -> None:
    """Raises RequestError for an adapter that is not in the weights but before the text."""
    if source.kind == "adapter" and PeftConfig.from_pretrained(str(source.path)).is_prompt_learning:
        raise RequestError(
            f"{source.path} holds virtual tokens (prefix or prompt tuning), which cannot be merged into weights",
            remedy="train a method that changes weights (lora), or answer with the model app `transformers`",
        )


def load(source: ModelFolder, dtype: torch.dtype | str = torch.float32) -> Any:
    """The model as it answers: base with its adapter (a PeftModel), or whole weights; on the CPU, for inference.

    A base that was quantised in training is written out in full, with the numbers it had there. Attention is computed
    eagerly: the fused kernels leave out the soft caps of Gemma 2.
    """
    model = load_model(source, dtype=dtype, in_full=True, attn_implementation="eager")
    if source.labels is not None:
        set_padding(model, load_tokenizer(source))
    return model


def load_config(source: ModelFolder) -> Any:
    """The transformers config of the model, of its base for an adapter."""
    return pretrained.load_config(_weights_of(source))


def load_tokenizer(source: ModelFolder) -> Any:
    """The tokenizer that belongs to the model."""
    return pretrained.load_tokenizer(source.tokenizer)


@torch.inference_mode()
def logits(model: Any, texts: list[list[int]]) -> list[Any]:
    """For each text (token ids) float32 [positions, vocabulary]; of a classifier [1, classes]."""
    return [model(torch.tensor([ids])).logits.flatten(0, -2).float().numpy() for ids in texts]


def _weights_of(source: ModelFolder) -> str:
    return str(source.base if source.kind == "adapter" else source.path)
