# SPDX-License-Identifier: Apache-2.0
"""TopK and ArgMax: order, ties, both outputs."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError

X = np.round(random(3, 7, 2) * 2)  # with ties


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("sort", ["value", "index"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_reference_prefers_lower_indices(mode, sort, dtype):
    x = np.abs(X).astype(dtype)
    values, indices = run_kind("TopK", [x], axis=1, k=4, mode=mode, sort=sort, index_dtype="int64")
    for n, c in np.ndindex(3, 2):
        row = x[n, :, c].tolist()
        best = sorted(range(7), key=lambda i: (-row[i] if mode == "max" else row[i], i))[:4]
        best = sorted(best) if sort == "index" else best
        assert indices[n, :, c].tolist() == best
        assert values[n, :, c].tolist() == [row[i] for i in best]


def test_layers_of_both_dialects():
    k = np.array([2], np.int32)
    values, indices = run_layer("TopK", [X, k], {"axis": 1, "mode": "max", "sort": "value"}, constants=[1], outputs=2)
    new = run_layer("TopK", [X, np.array(2)], {"axis": -2, "mode": "max", "sort": "value"}, version="opset3", constants=[1], outputs=2)
    np.testing.assert_array_equal(values, new[0])
    np.testing.assert_array_equal(indices, new[1])
    np.testing.assert_array_equal(values[:, 0], X.max(1))


def test_k_beyond_the_axis_is_refused():
    with pytest.raises(ModelError, match=r"k is 8, expected 0\.\.7"):
        run_layer("TopK", [X, np.array(8)], {"axis": 1, "mode": "max", "sort": "value"}, version="opset1", constants=[1], outputs=2)
    with pytest.raises(ModelError, match="k has 2 elements"):
        run_layer("TopK", [X, np.array([1, 2])], {"axis": 1, "mode": "max", "sort": "value"}, version="opset1", constants=[1], outputs=2)


def test_arg_max_with_and_without_axis():
    np.testing.assert_array_equal(run_one("ArgMax", [X], {"top_k": 1, "axis": 1}), X.argmax(1)[:, None].astype(np.float32))
    np.testing.assert_array_equal(run_one("ArgMax", [X], {"top_k": 1, "axis": -2, "out_max_val": 1}), X.max(1, keepdims=True))
    flat = X.reshape(3, -1)
    both = run_one("ArgMax", [X], {"top_k": 1, "out_max_val": 1})
    assert both.shape == (3, 2, 1)
    np.testing.assert_array_equal(both[:, 0, 0], flat.argmax(1))
    np.testing.assert_array_equal(both[:, 1, 0], flat.max(1))


@pytest.mark.parametrize("path", corpus.cases("legacy/ArgMax", "legacy/TopK", "opset/TopK"))
def test_corpus(path):
    corpus.check(path)
