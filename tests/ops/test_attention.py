# SPDX-License-Identifier: Apache-2.0
"""ScaledDotProductAttention, GroupNormalization, ExtractImagePatches."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError

Q, K, V = random(2, 3, 4, 8), random(2, 3, 5, 8, seed=1), random(2, 3, 5, 6, seed=2)


def attention(mask=0.0, scale=None):
    scores = Q @ K.swapaxes(-1, -2) * (8**-0.5 if scale is None else scale) + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ V


def run(*extra, causal=False):
    return run_one("ScaledDotProductAttention", [Q, K, V, *extra], {"causal": str(causal).lower()}, version="opset13")


def test_masks_scale_and_order():
    added, keep = random(4, 5, seed=3), random(2, 1, 4, 5, seed=4) > -1
    np.testing.assert_allclose(run(), attention(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(added), attention(added), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(keep), attention(np.where(keep, 0, -np.inf)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(added, np.array([0.3], np.float32)), attention(added, 0.3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(causal=True), attention(np.triu(np.full((4, 5), -np.inf), 1)), rtol=1e-4, atol=1e-5)


def test_attention_needs_matrices():
    with pytest.raises(ModelError, match="expected rank >= 2"):
        run_one("ScaledDotProductAttention", [Q[0, 0, 0], K, V], version="opset13")


def test_group_normalization_of_each_group():
    x, scale, bias = random(2, 6, 3, 4), random(6, seed=1), random(6, seed=2)
    y = run_one("GroupNormalization", [x, scale, bias], {"num_groups": 3, "epsilon": 1e-3}, version="opset12")
    groups = x.reshape(2, 3, -1)
    normal = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-3)
    want = normal.reshape(x.shape) * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match="num_groups is 4"):
        run_one("GroupNormalization", [x, scale, bias], {"num_groups": 4, "epsilon": 1e-3}, version="opset12")


@pytest.mark.parametrize("auto_pad", ["valid", "same_upper", "same_lower"])
def test_patches_lie_in_the_channels(auto_pad):
    x = random(2, 3, 8, 7)
    params = {"sizes": "2,3", "strides": "3,2", "rates": "2,1", "auto_pad": auto_pad}
    y = run_one("ExtractImagePatches", [x], params, version="opset3")
    rows, columns = (2, 3) if auto_pad == "valid" else (3, 4)
    assert y.shape == (2, 18, rows, columns)
    total = (0, 0) if auto_pad == "valid" else ((rows - 1) * 3 + 3 - 8, (columns - 1) * 2 + 3 - 7)
    before = [t // 2 if auto_pad == "same_upper" else t - t // 2 for t in total]
    padded = np.pad(x, ((0, 0), (0, 0), *((b, 4) for b in before)))
    for i, j, kh, kw in np.ndindex(rows, columns, 2, 3):
        channels = (kh * 3 + kw) * 3
        np.testing.assert_array_equal(y[:, channels : channels + 3, i, j], padded[:, :, 3 * i + 2 * kh, 2 * j + kw])
    with pytest.raises(ModelError, match="'auto_pad' is 'explicit'"):
        run_one("ExtractImagePatches", [x], {**params, "auto_pad": "explicit"}, version="opset3")


_TYPES = ("ScaledDotProductAttention", "GroupNormalization", "ExtractImagePatches")


@pytest.mark.parametrize("path", corpus.cases(*(f"opset/{t}" for t in _TYPES)))
def test_corpus(path):
    corpus.check(path)
