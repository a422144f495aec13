"""The figures of agreement, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from furrow.components.exporter.merged.agreement import Gate, agreement


def _logits(*rows: list[float]) -> np.ndarray:
    return np.log(np.array(rows, dtype=np.float32))


def test_kl_is_that_of_the_reference_against_the_other_in_nats() -> None:
    measured = agreement([_logits([0.5, 0.5], [0.9, 0.1])], [_logits([0.25, 0.75], [0.9, 0.1])])
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert measured.max_kl == pytest.approx(expected, rel=1e-6)
    assert measured.mean_kl == pytest.approx(expected / 2, rel=1e-6)
    assert measured.max_abs == pytest.approx(math.log(2), rel=1e-6)
    assert (measured.top1, measured.positions) == (0.5, 2)


def test_a_constant_added_to_the_logits_changes_no_probability() -> None:
    logits = np.random.default_rng(0).normal(size=(7, 50)).astype(np.float32)
    measured = agreement([logits], [logits + np.float32(3)])
    assert measured.mean_kl < 1e-12
    assert measured.max_abs == pytest.approx(3, rel=1e-5)


def test_nan_never_passes_a_gate() -> None:
    broken = _logits([0.5, 0.5])
    broken[0, 0] = math.nan
    assert not Gate(mean_kl=math.inf).passes(agreement([_logits([0.5, 0.5])], [broken]))


def test_different_vocabularies_and_empty_probes_are_mistakes() -> None:
    with pytest.raises(ValueError, match="shape"):
        agreement([_logits([0.5, 0.5])], [_logits([0.2, 0.3, 0.5])])
    with pytest.raises(ValueError, match="no position"):
        agreement([], [])
