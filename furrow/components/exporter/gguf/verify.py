"""Does llama.cpp answer as transformers does? The same tokens, and the same logits at every position of the probes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf.llama import LlamaCpp
from furrow.components.exporter.merged.agreement import Agreement, Gate, Logits, agreement

GATES = {
    "f32": Gate(mean_kl=1e-6, max_abs=1e-2),
    "f16": Gate(mean_kl=1e-4),
    "bf16": Gate(mean_kl=1e-3),
    "q8_0": Gate(mean_kl=1e-2),
}
"""Measured on a trained model of 4 M parameters: f16 2e-8, bf16 1.5e-6, q8_0 1.2e-5. f32 differs by 1e-12
(gemma 1e-7: a table for GELU); the mistakes it must catch cost 4 to 7 in a logit. The others leave a factor of
about a thousand."""

_GATE_BY_BITS = {"6": 0.1, "5": 0.2, "4": 0.5, "3": 1.0, "2": 2.0, "1": 2.0}
"""Mean KL in nats. Measured there: q6_k 8e-5, q5_k_m 2e-4, q4_k_m 6e-4, q3_k_m 2e-3, q2_k 9e-3; large models lose up
to a hundred times that. A bound for what is broken, no promise of quality: the figure itself is in the manifest."""


def gate(quantization: str) -> Gate:
    """The most that a file of this quantisation may differ."""
    if quantization in GATES:
        return GATES[quantization]
    bits = next(character for character in quantization if character.isdigit())
    return Gate(mean_kl=_GATE_BY_BITS[bits])


def check_tokens(llama: LlamaCpp, tokenizer: Any, texts: Sequence[str], normalization: str | None) -> None:
    """Raises FurrowError, naming the text, if llama.cpp cuts one of them differently.

    `normalization`: the Unicode form that transformers brings text into and llama.cpp does not.
    """
    for text in texts:
        given = unicodedata.normalize(normalization, text) if normalization else text  # type: ignore[arg-type]
        expected, got = list(tokenizer(given).input_ids), llama.tokenize(given)
        if expected != got:
            at = next(
                (i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got))
            )
            raise FurrowError(
                f"llama.cpp cuts {text!r} into other tokens than transformers, from token {at} on: "
                f"{got[at : at + 5]} instead of {expected[at : at + 5]}",
                remedy="nothing was published; this tokenizer has no equal in llama.cpp",
            )


def compare(
    path: Path, texts: Sequence[Sequence[int]], reference: Sequence[Logits], adapter: Path | None = None
) -> Agreement:
    """The agreement of a GGUF file with `reference`, the model's logits on the same token ids."""
    with LlamaCpp(path, context=max(map(len, texts)), adapter=adapter) as llama:
        return agreement(reference, (llama.logits(ids) for ids in texts))


def require(measured: Agreement, limit: Gate, what: str) -> None:
    """Raises FurrowError if the agreement does not pass."""
    if not limit.passes(measured):
        raise FurrowError(
            f"{what} disagrees with the model it was made from: mean KL {measured.mean_kl:.1e} "
            f"(at most {limit.mean_kl:.0e}), largest difference of a logit {measured.max_abs:.1e}, "
            f"the same likeliest token at {measured.top1:.0%} of {measured.positions} positions",
            remedy="nothing was published",
        )
