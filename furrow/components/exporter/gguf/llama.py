"""llama.cpp as a reference: opens a GGUF file, cuts text into tokens, and gives the logits of every position."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import llama_cpp
import numpy as np
import torch

from furrow.components.errors import FurrowError
from furrow.components.exporter.merged.agreement import Logits
from furrow.components.models.gguf_header import read_gguf_header

_WARNING = 3
_said: deque[str] = deque(maxlen=8)
"""The last complaints of llama.cpp, for the error that follows them."""


def _listen(level: int, text: bytes, _: Any) -> None:
    if level >= _WARNING and (line := text.decode(errors="replace").strip(" .\n")):
        _said.append(line)


_CALLBACK = llama_cpp.llama_log_callback(_listen)
"""llama.cpp keeps the pointer for good: a callback that is collected crashes the process."""


def listen() -> None:
    """Send llama.cpp's log here instead of the screen, and forget what it said before."""
    _said.clear()
    llama_cpp.llama_log_set(_CALLBACK, ctypes.c_void_p(0))


def complaint() -> str:
    """What llama.cpp said last, on one line."""
    return "; ".join(_said) or "it gave no reason"


class LlamaCpp:
    """One model with a context of `context` tokens, exact: float32 key-value cache, no flash attention, on the CPU.

    A float16 cache alone would cost 1.7e-3 in the logits. Knows nothing about sampling.
    """

    def __init__(self, path: Path, *, context: int = 512, adapter: Path | None = None) -> None:
        """Raises FurrowError if llama.cpp refuses the file or the adapter, with its reason."""
        for file in filter(None, (path, adapter)):
            read_gguf_header(file)
        listen()
        self._context = self._adapter = None
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), _model_params())
        if not self._model:
            raise FurrowError(f"llama.cpp refuses {path.name}: {complaint()}")
        try:
            self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
            self._context = llama_cpp.llama_init_from_model(self._model, _context_params(context))
            if not self._context:
                raise FurrowError(f"llama.cpp gives no context for {path.name}: {complaint()}")
            if adapter is not None:
                self._apply(adapter)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Tokens in the vocabulary."""
        return int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))

    def tokenize(self, text: str) -> list[int]:
        """Token ids, special tokens in the text recognised, BOS and EOS added where the file says so."""
        encoded = text.encode()
        room = len(encoded) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocabulary, encoded, len(encoded), tokens, room, True, True)
        if count < 0:
            raise RuntimeError(f"llama.cpp needs room for {-count} tokens")
        return list(tokens[:count])

    def logits(self, ids: Sequence[int]) -> Logits:
        """float32 [len(ids), vocabulary]: what follows each prefix of `ids`. Every call starts afresh."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        try:
            batch.n_tokens = len(ids)
            for position, token in enumerate(ids):
                batch.token[position] = token
                batch.pos[position] = position
                batch.n_seq_id[position] = 1
                batch.seq_id[position][0] = 0
                batch.logits[position] = True
            if status := llama_cpp.llama_decode(self._context, batch):
                raise FurrowError(f"llama.cpp cannot compute {len(ids)} tokens (status {status}): {complaint()}")
        finally:
            llama_cpp.llama_batch_free(batch)
        values = llama_cpp.llama_get_logits(self._context)
        return np.ctypeslib.as_array(values, shape=(len(ids) * self.size,)).reshape(len(ids), self.size).copy()

    def close(self) -> None:
        """Free what llama.cpp holds; harmless when called again."""
        if self._context:
            llama_cpp.llama_free(self._context)
        if self._model:  # frees its adapters, too
            llama_cpp.llama_model_free(self._model)
        self._context = self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _apply(self, adapter: Path) -> None:
        self._adapter = llama_cpp.llama_adapter_lora_init(self._model, str(adapter).encode())
        if not self._adapter:
            raise FurrowError(f"llama.cpp refuses the adapter {adapter.name}: {complaint()}")
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(
            ctypes.cast(self._adapter, llama_cpp.llama_adapter_lora_p_ctypes)
        )
        if llama_cpp.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(1.0)):
            raise FurrowError(f"llama.cpp cannot apply the adapter {adapter.name}: {complaint()}")


def _model_params() -> Any:
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = 0
    params.use_extra_bufts = False  # repacked weights are computed in another order
    return params


def _context_params(context: int) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = max(context, 32)
    params.n_threads = params.n_threads_batch = torch.get_num_threads()
    params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.offload_kqv = params.op_offload = False
    params.no_perf = True
    return params
