"""An adapter and its base become one folder of whole weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel

from furrow.components.model_folder import ModelFolder


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


def load(source: ModelFolder, dtype: torch.dtype | str = torch.float32) -> Any:
    """The model as it answers: base with its adapter (a PeftModel), or whole weights; on the CPU, for inference.

    Attention is computed eagerly: the fused kernels leave out the soft caps of Gemma 2.
    """
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        _weights_of(source), dtype=dtype, trust_remote_code=False, attn_implementation="eager", low_cpu_mem_usage=True
    )
    if source.kind == "adapter":
        model = PeftModel.from_pretrained(model, str(source.path))
    return model.eval()


def load_config(source: ModelFolder) -> Any:
    """The transformers config of the model, of its base for an adapter."""
    return transformers.AutoConfig.from_pretrained(_weights_of(source), trust_remote_code=False)


def load_tokenizer(source: ModelFolder) -> Any:
    """The tokenizer that belongs to the model."""
    return transformers.AutoTokenizer.from_pretrained(source.tokenizer, trust_remote_code=False)


@torch.inference_mode()
def logits(model: Any, texts: list[list[int]]) -> list[Any]:
    """For each text (token ids) float32 [positions, vocabulary]."""
    return [model(torch.tensor([ids])).logits[0].float().numpy() for ids in texts]


def _weights_of(source: ModelFolder) -> str:
    return str(source.base if source.kind == "adapter" else source.path)
