"""A GGUF model in llama.cpp's hands: text to tokens, tokens to logits, tokens to bytes.

Over llama.cpp's C functions rather than `llama_cpp.Llama`, which doubles BOS on rendered text, loses tokens of more
than 32 bytes and samples by defaults of its own. Knows nothing about sampling.
"""

from __future__ import annotations

import contextlib
import ctypes
import unicodedata
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from furrow.components.errors import FurrowError
from furrow.components.models.gguf_header import read_gguf_header

Logits = np.ndarray[Any, np.dtype[np.float32]]
"""float32 [vocabulary]"""

_BATCH = 512
"""Tokens computed at once."""
_NFC_PRE_TOKENIZERS = frozenset({"qwen2"})
"""Pre-tokenisers whose tokenizer.json normalises to NFC first, which llama.cpp leaves to its caller."""

_ERROR = 4
"""GGML_LOG_LEVEL_ERROR of ggml.h."""

_complaints: deque[str] = deque(maxlen=4)


def _listen(level: int, text: bytes, _: Any) -> None:
    if level == _ERROR and (line := text.decode(errors="replace").strip(" .\n")):
        _complaints.append(line)


_LISTENER = llama_cpp.llama_log_callback(_listen)
"""At module level, because llama.cpp keeps the pointer for good."""


def _complaint() -> str:
    """What llama.cpp said last, on one line; forgotten then."""
    said = "; ".join(_complaints) or "it gives no reason"
    _complaints.clear()
    return said


class LlamaModel:
    """The weights and the vocabulary; contexts come and go with the answers. Implements `TokenizerFacts`."""

    def __init__(self, path: Path, *, gpu: bool) -> None:
        """Raises FurrowError for a file that is not whole, or with llama.cpp's reason if it refuses it. `gpu`: on one,
        if the build can."""
        read_gguf_header(path)
        llama_cpp.llama_log_set(_LISTENER, ctypes.c_void_p(0))
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = -1 if gpu else 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise FurrowError(f"llama.cpp refuses {path}: {_complaint()}")
        weakref.finalize(self, llama_cpp.llama_model_free, self._model)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))
        self.trained_context = int(llama_cpp.llama_model_n_ctx_train(self._model))
        self.chat_template = self._metadata("tokenizer.chat_template") or None
        self.bos_token = self._token_text("bos_token_id")
        self.eos_token = self._token_text("eos_token_id")
        self._nfc = self._metadata("tokenizer.ggml.pre") in _NFC_PRE_TOKENIZERS

    def tokenize(self, text: str) -> list[int]:
        """Token ids; special tokens in the text are recognised, BOS stands first just once if the file asks for it.

        EOS is never added: the answer goes on where the prompt ends.
        """
        ids = self._ids(text)
        bos = llama_cpp.llama_vocab_bos(self._vocabulary)
        if llama_cpp.llama_vocab_get_add_bos(self._vocabulary) and ids[:1] != [bos]:
            ids.insert(0, bos)
        return ids

    def control_token(self, text: str) -> int | None:
        """The token that the text names, if it is one that shows up in no answer; else None."""
        ids = self._ids(text)
        return ids[0] if len(ids) == 1 and not self.piece(ids[0]) else None

    def piece(self, token: int) -> bytes:
        """The bytes of a token, perhaps a part of a character; none for a control token."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, False)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    def ends_answer(self, token: int) -> bool:
        """Is it one of the file's end-of-generation tokens (eos, eot and their like)?"""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))

    @contextlib.contextmanager
    def context(self, tokens: int, threads: int) -> Iterator[LlamaContext]:
        """A fresh context with room for so many tokens.

        The key-value cache is float32 and flash attention is off, as transformers computes on a CPU. On a tiny random
        model 98 of 100 greedy answers of 100 tokens were those of transformers, with its defaults (float16, flash
        attention) 69. It costs twice the memory, for as many tokens as the answer needs.
        """
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = tokens
        params.n_batch = params.n_ubatch = _BATCH
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise FurrowError(
                f"llama.cpp cannot make a context of {tokens} tokens: {_complaint()}",
                remedy="set model_app.config.context lower",
            )
        try:
            yield LlamaContext(context, self.vocabulary_size)
        finally:
            llama_cpp.llama_free(context)

    def _ids(self, text: str) -> list[int]:
        encoded = (unicodedata.normalize("NFC", text) if self._nfc else text).encode()
        room = len(encoded) + 2  # never more tokens than bytes, but for a space that SentencePiece puts first
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocabulary, encoded, len(encoded), tokens, room, False, True)
        if count < 0:
            raise RuntimeError(f"{-count} tokens for {len(encoded)} bytes")
        return list(tokens[:count])

    def _metadata(self, key: str) -> str:
        """'' where there is none."""
        size = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), None, 0)
        if size < 0:
            return ""
        buffer = ctypes.create_string_buffer(size + 1)
        llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode(errors="replace")

    def _token_text(self, key: str) -> str | None:
        """How the token is written that the metadata name by its number."""
        number = self._metadata(f"tokenizer.ggml.{key}")
        if not number.isdecimal() or int(number) >= self.vocabulary_size:
            return None
        text = llama_cpp.llama_vocab_get_text(self._vocabulary, int(number))
        return text.decode(errors="replace") if text else None


class LlamaContext:
    """The tokens so far, as llama.cpp remembers them."""

    def __init__(self, context: Any, vocabulary_size: int) -> None:
        self._context, self._size = context, vocabulary_size

    def logits_after(self, tokens: Sequence[int]) -> Logits:
        """Append the tokens to those so far; what follows the last of them. Raises FurrowError where there are none."""
        if not tokens:
            raise FurrowError("the prompt has no tokens", remedy="write something; or the vocabulary is broken")
        for start in range(0, len(tokens), _BATCH):
            part = tokens[start : start + _BATCH]
            ids = (llama_cpp.llama_token * len(part))(*part)  # named, because the batch only points at it
            status = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(ids, len(part)))
            if status:
                raise FurrowError(f"llama.cpp cannot compute the next token (status {status}): {_complaint()}")
        values = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(values, shape=(self._size,)).copy()
