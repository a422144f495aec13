"""Tensors into a GGUF file one at a time: first the table of names, shapes and types, then the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, LlamaFileType

from furrow.components.errors import FurrowError

PLAIN = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
}
"""Number types written here; everything smaller is made by llama.cpp's own quantiser."""

Progress = Callable[[int, int], None]
"""(tensors done, tensors in all)"""


@dataclass(frozen=True)
class Streamed:
    """A tensor to be: its numbers are loaded when their turn comes."""

    name: str
    shape: tuple[int, ...]
    load: Callable[[], torch.Tensor]

    def kind(self, wanted: GGMLQuantizationType) -> GGMLQuantizationType:
        """Vectors stay float32, as llama.cpp's operations on norms and biases want them."""
        return wanted if len(self.shape) > 1 else GGMLQuantizationType.F32


def stream(
    writer: gguf.GGUFWriter,
    tensors: Sequence[Streamed],
    dtype: str,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write header, keys and tensors; the keys must have been added to `writer` before.

    Raises FurrowError where float16 cannot hold a number.
    """
    wanted, file_type = PLAIN[dtype]
    writer.add_file_type(file_type)
    for tensor in tensors:
        kind = tensor.kind(wanted)
        size = int(np.prod(tensor.shape)) * (4 if kind is GGMLQuantizationType.F32 else 2)
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for done, tensor in enumerate(tensors, 1):
        writer.write_tensor_data(_numbers(tensor.load(), tensor.kind(wanted), tensor.name))
        progress(done, len(tensors))


def _numbers(tensor: torch.Tensor, kind: GGMLQuantizationType, name: str) -> np.ndarray[Any, Any]:
    if kind is GGMLQuantizationType.F32:
        return np.asarray(tensor.float().contiguous().numpy())
    if kind is GGMLQuantizationType.BF16:  # numpy has no bfloat16: the same bits as integers
        return np.asarray(tensor.to(torch.bfloat16).contiguous().view(torch.int16).numpy())
    narrow = tensor.to(torch.float16)
    if bool(torch.isinf(narrow).any()) and not bool(torch.isinf(tensor).any()):
        raise FurrowError(
            f"{name} holds numbers beyond float16 (65504)", remedy="export with quantization: bf16, f32 or q8_0"
        )
    return np.asarray(narrow.contiguous().numpy())
