# SPDX-License-Identifier: Apache-2.0
"""Bags of embeddings, segment sums, sparse matrices, against plain loops."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError

TABLE = random(6, 2, 3)
INDICES = np.array([0, 5, 2, 2, 4], np.int32)
WEIGHTS = random(5, seed=1)


def bags(segments, count, default=None, weights=None):
    out = np.zeros((count, 2, 3), np.float32)
    for i, s in enumerate(segments):
        out[s] += TABLE[INDICES[i]] * (1 if weights is None else weights[i])
    for s in range(count):
        if default is not None and s not in segments:
            out[s] = TABLE[default]
    return out


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("default", [None, 3])
def test_bags_by_offset_and_by_segment(default, weights):
    extra = [] if default is None else [np.int32(default).reshape(())]
    extra += [weights] if weights is not None and extra else []
    used = weights if extra else None
    want = bags([0, 0, 2, 2, 2], 4, default, used if len(extra) == 2 else None)
    offsets = np.array([0, 2, 2, 5], np.int32)
    y = run_one("EmbeddingBagOffsetsSum", [TABLE, INDICES, offsets, *extra], version="opset3")
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    segments = np.array([0, 0, 2, 2, 2], np.int32)
    y = run_one("EmbeddingSegmentsSum", [TABLE, INDICES, segments, np.array(4), *extra], version="opset3", constants=[3])
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)


def test_packed_bags():
    index, weights = INDICES[:4].reshape(2, 2), WEIGHTS[:4].reshape(2, 2)
    y = run_one("EmbeddingBagPackedSum", [TABLE, index, weights], version="opset3")
    np.testing.assert_allclose(y, (TABLE[index] * weights[..., None, None]).sum(1), rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelError, match="expected rank 2"):
        run_one("EmbeddingBagPackedSum", [TABLE, INDICES], version="opset3")


@pytest.mark.parametrize(("kind", "power"), [("Sum", 0.0), ("SqrtN", 0.5), ("Mean", 1.0)])
def test_segments_are_divided_by_their_size(kind, power):
    segments = np.array([0, 1, 1, 1, 3], np.float32)
    y = run_one(f"SparseSegment{kind}", [TABLE, INDICES.astype(np.float32), segments])
    want = bags(segments.astype(int), 5)
    for s, n in ((1, 3),):
        want[s] /= n**power
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)


def test_sparse_weighted_sum_has_a_default_row():
    places = np.array([[0, 1], [2, 0], [2, 3], [2, 4], [3, 0]], np.float32)
    inputs = [places, INDICES.astype(np.float32), np.array([5, 6], np.float32), TABLE.reshape(6, 6), np.array([1], np.float32), WEIGHTS]
    y = run_one("ExperimentalSparseWeightedSum", inputs, constants=[2])
    np.testing.assert_allclose(y, bags([0, 2, 2, 2, 3], 5, 1, WEIGHTS).reshape(5, 6), rtol=1e-5, atol=1e-6)


def test_sparse_to_dense():
    places, values = np.array([[0, 2], [1, 0]], np.float32), np.array([5, 6], np.float32)
    shape = np.array([2, 3], np.int32)
    y = run_one("SparseToDense", [places, shape, values, np.array([-1], np.float32)], constants=[1])
    np.testing.assert_array_equal(y, [[-1, -1, 5], [6, -1, -1]])
    np.testing.assert_array_equal(run_one("SparseToDense", [places, shape, values], constants=[1]), [[0, 0, 5], [6, 0, 0]])
    with pytest.raises(ModelError, match=r"expected \[n, 3\]"):
        run_one("SparseToDense", [places, np.array([2, 3, 4], np.int32), values], constants=[1])


def test_empty_rows_are_filled_and_the_end_is_marked():
    places = np.array([[2, 1], [0, 3], [7, 0], [2, 0]], np.float32)
    inputs = [places, np.array([1, 2, 3, 4], np.float32), np.array([4, 5], np.float32), np.array([9], np.float32)]
    positions, values, empty = run_kind("SparseFillEmptyRows", inputs, size=7, rows=5)
    np.testing.assert_array_equal(positions, [[0, 3], [1, 0], [2, 1], [2, 0], [3, 0], [-1, -1], [0, 0]])
    np.testing.assert_array_equal(values, [2, 9, 1, 4, 9, 0, 0])
    np.testing.assert_array_equal(empty, [0, 1, 0, 1, 0])
    positions, values, _ = run_kind("SparseFillEmptyRows", inputs, size=2, rows=5)
    np.testing.assert_array_equal(values, [2, 9])


def test_rows_to_fill_need_the_sizes_of_the_file():
    inputs = [np.zeros((1, 2), np.float32), *(np.ones(n, np.float32) for n in (1, 2, 1))]
    with pytest.raises(ModelError, match="the outputs have shapes"):
        run_layer("SparseFillEmptyRows", inputs, outputs=3)


_BAGS = ("opset/EmbeddingBagOffsetsSum", "opset/EmbeddingBagPackedSum", "opset/EmbeddingSegmentsSum")
_SPARSE = tuple(f"legacy/Sparse{n}" for n in ("FillEmptyRows", "SegmentMean", "SegmentSqrtN", "SegmentSum"))


@pytest.mark.parametrize("path", corpus.cases(*_BAGS, *_SPARSE))
def test_corpus(path):
    corpus.check(path)


def test_means_of_bags():
    params = {"reduction": "mean"}
    offsets = np.array([0, 2, 2, 5], np.int32)
    y = run_one("EmbeddingBagOffsets", [TABLE, INDICES, offsets, np.int32(3).reshape(())], params, version="opset15")
    want = bags([0, 0, 2, 2, 2], 4, 3)
    want[0] /= 2
    want[2] /= 3
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    index = INDICES[:4].reshape(2, 2)
    y = run_one("EmbeddingBagPacked", [TABLE, index], params, version="opset15")
    np.testing.assert_allclose(y, TABLE[index].mean(1), rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelError, match="'reduction' is 'max', expected sum or mean"):
        run_one("EmbeddingBagPacked", [TABLE, index], {"reduction": "max"}, version="opset15")


@pytest.mark.parametrize(("fill", "empty"), [("ZERO", 0), ("LOWEST", np.finfo(np.float32).min)])
def test_largest_rows_of_segments(fill, empty):
    segments = np.array([0, 0, 0, 2, 2, 2], np.int64)
    y = run_one("SegmentMax", [-abs(TABLE), segments, np.array(4)], {"fill_mode": fill}, version="opset16", constants=[1, 2])
    np.testing.assert_array_equal(y[[0, 2]], [-abs(TABLE[:3]).min(0), -abs(TABLE[3:]).min(0)])
    assert (y[[1, 3]] == empty).all()
    assert run_one("SegmentMax", [TABLE, segments], {"fill_mode": fill}, version="opset16", constants=[1]).shape == (3, 2, 3)
