"""Writes a model folder as one GGUF file: keys, vocabulary, tensors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gguf

from furrow.components.exporter.gguf import hyperparameters
from furrow.components.exporter.gguf.families import family_of
from furrow.components.exporter.gguf.rope import write_rope
from furrow.components.exporter.gguf.stream import Progress, Streamed, stream
from furrow.components.exporter.gguf.tensors import plan
from furrow.components.exporter.gguf.vocabulary import Vocabulary, write_vocabulary
from furrow.components.exporter.gguf.weights import Weights


def write_model(
    folder: Path,
    config: Any,
    vocabulary: Vocabulary,
    into: Path,
    *,
    dtype: str,
    name: str,
    chat_template: str,
    progress: Progress = lambda done, total: None,
) -> None:
    """`folder` holds whole weights (safetensors); `config` is its transformers config; `dtype` one of stream.PLAIN.

    One tensor is in memory at a time. Raises FurrowError for what cannot be expressed, before a byte is written.
    """
    family, weights = family_of(config), Weights(folder)
    planned = plan(weights, config, family)
    rows = next(tensor.shape[0] for tensor in planned if tensor.name == "token_embd.weight")
    writer = gguf.GGUFWriter(into, gguf.MODEL_ARCH_NAMES[family.arch])
    try:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(safe_name(name, vocabulary))
        hyperparameters.write_shape(writer, config, hyperparameters.context_length(config, family.windowed))
        family.keys(writer, config)
        extra = write_rope(writer, config, family.rope)
        write_vocabulary(writer, vocabulary.padded(rows))
        writer.add_chat_template(chat_template)
        tensors = [Streamed(tensor.name, tensor.shape, partial(tensor.load, weights)) for tensor in planned]
        tensors += [Streamed(key, tuple(values.shape), values.float) for key, values in extra.items()]
        stream(writer, tensors, dtype, progress)
    finally:
        writer.close()


def safe_name(name: str, vocabulary: Vocabulary) -> str:
    """llama.cpp strips white space as Phi-3 does wherever the name says phi3, and crashes without Phi-3's tokens."""
    says_phi3 = "phi3" in name.lower() or "phi-3" in name.lower()
    if says_phi3 and not vocabulary.strips_right:
        return name.lower().replace("phi-3", "phi 3").replace("phi3", "phi 3")
    if vocabulary.strips_right and not says_phi3:
        return f"{name} (phi-3)"
    return name
