# SPDX-License-Identifier: Apache-2.0
"""FakeQuantize."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError


def quantize(x: float, il: float, ih: float, ol: float, oh: float, levels: int) -> float:
    if x <= min(il, ih):
        return ol
    if x > max(il, ih):
        return oh
    return round((x - il) / (ih - il) * (levels - 1)) / (levels - 1) * (oh - ol) + ol


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
def test_reference_equals_scalar_formula_per_channel(levels):
    x = random(2, 3, 5)
    il, ih = -random(3, 1, low=0.5, high=1.5), random(3, 1, seed=1, low=0.5, high=1.5)
    ol, oh = random(1, seed=2), random(3, 1, seed=3)
    (y,) = run_kind("FakeQuantize", [x, il, ih, ol, oh], levels=levels)
    for n, c, i in np.ndindex(*x.shape):
        expected = quantize(*(float(v) for v in (x[n, c, i], il[c, 0], ih[c, 0], ol[0], oh[c, 0])), levels)
        assert y[n, c, i] == pytest.approx(expected, abs=1e-5)


def test_halves_round_to_even():
    limits = [np.float32(v).reshape(()) for v in (0, 4, 0, 4)]
    (y,) = run_kind("FakeQuantize", [np.array([0.5, 1.5, 2.5, 3.5], np.float32), *limits], levels=5)
    assert y.tolist() == [0, 2, 2, 4]


def test_equal_limits_are_a_threshold():
    limits = [np.float32(v).reshape(()) for v in (1, 1, -1, 1)]
    (y,) = run_kind("FakeQuantize", [np.array([0, 1, 1.5], np.float32), *limits], levels=2)
    assert y.tolist() == [-1, -1, 1]


def test_faults_are_named():
    limits = [random(1)] * 4
    with pytest.raises(ModelError, match="'levels' is 1, expected >= 2"):
        run_one("FakeQuantize", [random(2, 3), *limits], {"levels": 1})
    with pytest.raises(ValueError, match=r"broadcast the data \[1\] to \[3\]"):
        run_kind("FakeQuantize", [random(1), *[random(3)] * 4], levels=4)
    with pytest.raises(ModelError, match="input 4 is missing"):
        run_one("FakeQuantize", [random(2, 3), *limits[:3]], {"levels": 4})


@pytest.mark.parametrize("path", corpus.cases("legacy/FakeQuantize", "legacy/Quantize", "opset/FakeQuantize"))
def test_corpus(path):
    corpus.check(path)
