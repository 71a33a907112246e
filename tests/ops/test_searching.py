# SPDX-License-Identifier: Apache-2.0
"""Unique and NonZero: upper bounds, true sizes of constants, order, NaN."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError


@settings(deadline=None)  # beside other programs a case may take long
@given(arrays(np.int32, st.tuples(st.integers(0, 8), st.integers(0, 2)), elements=st.integers(-2, 2)), st.booleans())
def test_unique_rows_can_be_put_together_again(x, rising):
    values, first, inverse, counts = run_kind("Unique", [x], sorted=int(rising), index_dtype="int64")
    n = int(np.count_nonzero(counts))
    np.testing.assert_array_equal(values[inverse], x)
    np.testing.assert_array_equal(values, x[first])
    assert counts.sum() == len(x)
    rows = [tuple(r) for r in values[:n].tolist()]
    assert len(set(rows)) == n == len({tuple(r) for r in x.tolist()})
    assert rows == sorted(rows) if rising else first[:n].tolist() == sorted(first[:n].tolist())


def test_nan_differs_from_nan_and_sorts_last():
    x = np.array([[np.nan], [1], [np.nan], [-1]], np.float32)
    values, first, inverse, counts = run_kind("Unique", [x], sorted=1, index_dtype="int32")
    np.testing.assert_array_equal(values[:, 0], [-1, 1, np.nan, np.nan])
    assert (first.tolist(), inverse.tolist(), counts.tolist()) == ([3, 1, 0, 2], [2, 1, 3, 0], [1, 1, 1, 1])


def test_rows_with_nan_are_sorted_by_what_follows():
    x = np.array([[np.nan, 2], [np.nan, 1], [0, 3]], np.float32)
    assert run_kind("Unique", [x], sorted=1, index_dtype="int32")[1].tolist() == [2, 1, 0]


def test_opset_unique_of_slices_and_of_constants():
    x = np.array([[1, 2, 1], [3, 0, 3]], np.float32)
    for constants, size in (([1], 3), ([0, 1], 2)):
        values, first, inverse, counts = run_layer(
            "Unique", [x, np.array(1)], version="opset10", constants=constants, outputs=4, result="FP32"
        )
        np.testing.assert_array_equal(values, np.array([[1, 2, 2], [3, 0, 0]])[:, :size])
        np.testing.assert_array_equal(inverse, [0, 1, 0])
        np.testing.assert_array_equal(first, [0, 1, 1][:size])
        np.testing.assert_array_equal(counts, [2, 1, 0][:size])
    flat = run_layer("Unique", [x], {"sorted": "false"}, version="opset10", constants=[0], outputs=4)[0]
    np.testing.assert_array_equal(flat, [1, 2, 3, 0])


def test_legacy_unique_takes_lists_only():
    with pytest.raises(ModelError, match="expected rank 1"):
        run_one("Unique", [random(2, 3)], {"sorted": "true", "return_inverse": "false", "return_counts": "false"})


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "bool", "uint8"])
def test_nonzero_lists_positions_then_minus_one(dtype):
    x = np.array([[0, 3, 0], [1, 0, 2]]).astype(dtype)
    y = run_one("NonZero", [x], {"output_type": "i32"}, version="opset3", result="I32")
    np.testing.assert_array_equal(y, [[0, 1, 1, -1, -1, -1], [1, 0, 2, -1, -1, -1]])
    known = run_one("NonZero", [x], version="opset3", constants=[0], result="I32")
    np.testing.assert_array_equal(known, np.nonzero(x))


@pytest.mark.parametrize("path", corpus.cases("legacy/Unique"))
def test_corpus(path):
    corpus.check(path)
