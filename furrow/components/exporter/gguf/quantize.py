"""Quantisation by llama.cpp's own quantiser: a plain GGUF file in, a smaller one out."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path

import llama_cpp
import torch
from gguf import GGUFReader, LlamaFileType

from furrow.components.disk.storage import blame_full_disk
from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf.llama import complaint, listen
from furrow.components.models.gguf_header import read_gguf_header


def quantize(source: Path, into: Path, quantization: str) -> None:
    """`source` holds f32, f16 or bf16; `quantization` is a name such as `q4_k_m`.

    Rows that a type's blocks do not divide (256 for k-quants) get a larger type: see `tensor_types` for what came out.
    Raises FurrowError if llama.cpp refuses.
    """
    read_gguf_header(source)
    listen()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = int(LlamaFileType[f"MOSTLY_{quantization.upper()}"])
    params.nthread = torch.get_num_threads()
    if llama_cpp.llama_model_quantize(str(source).encode(), str(into).encode(), ctypes.byref(params)):
        blame_full_disk(into)
        raise FurrowError(f"llama.cpp cannot quantise to {quantization}: {complaint()}")


def tensor_types(path: Path) -> dict[str, int]:
    """How many tensors of the file have which type, most frequent first: `{"Q4_K": 24, "F32": 9, "Q6_K": 5}`."""
    read_gguf_header(path)
    return dict(Counter(tensor.tensor_type.name for tensor in GGUFReader(path).tensors).most_common())
