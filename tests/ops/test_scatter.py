# SPDX-License-Identifier: Apache-2.0
"""Gathers and scatters at computed places, against plain loops."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError

X = random(3, 4, 5)


def elements(shape, limit, seed=0):
    return np.random.default_rng(seed).integers(-limit, limit, shape).astype(np.int32)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements_follows_the_index_along_the_axis(axis):
    shape = [2, 3, 4]
    shape[axis] = 7
    index = elements(shape, X.shape[axis])
    part = tuple(slice(None) if i == axis % 3 else slice(n) for i, n in enumerate(shape))
    y = run_one("GatherElements", [X, index], {"axis": axis}, version="opset6")
    np.testing.assert_array_equal(y, np.take_along_axis(X[part], index, axis))


def test_gather_elements_outside_gives_zero():
    index = np.array([[[4, -4, -5]]])
    np.testing.assert_array_equal(run_one("GatherElements", [X, index], {"axis": 1}, version="opset6"), [[[0, X[0, 0, 1], 0]]])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gather_nd_takes_slices_at_tuples(depth):
    index = elements((2, 3, depth), 3)
    y = run_one("GatherND", [X, index], version="opset8")
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(y[i, j], X[tuple(index[i, j])])


@pytest.mark.parametrize(("version", "shape"), [("opset5", (12, 2)), ("opset8", (3, 4, 2))])
def test_gather_nd_behind_batch_axes(version, shape):
    index = elements((3, 4, 2, 1), 5)
    y = run_one("GatherND", [X, index], {"batch_dims": 2}, version=version)
    assert y.shape == shape
    np.testing.assert_array_equal(y.reshape(3, 4, 2), np.take_along_axis(X, index[..., 0], 2))


def test_tuples_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="tuples of 4 indices"):
        run_one("GatherND", [X, np.zeros((2, 4), np.int32)], version="opset8")
    with pytest.raises(ModelError, match="batch_dims 1 does not fit"):
        run_one("GatherND", [X, np.zeros((2, 1), np.int32)], {"batch_dims": 1}, version="opset8")
    with pytest.raises(ModelError, match="indices have rank 1, the data has 3"):
        run_one("GatherElements", [X, np.zeros(2, np.int32)], {"axis": 0}, version="opset6")


@pytest.mark.parametrize("reduction", ["none", "sum", "sub", "prod", "min", "max", "mean"])
@pytest.mark.parametrize("use_init", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_kind_takes_updates_in_their_order(reduction, use_init, dtype):
    rng = np.random.default_rng(3)
    data, updates = (rng.integers(-9, 9, (n, 3)).astype(dtype) for n in (5, 8))
    positions = np.array([1, 3, 1, -1, 5, 0, 1, 3], np.int64)
    want = data.copy()
    seen = [0] * 5
    steps = {"sum": lambda a, b: a + b, "mean": lambda a, b: a + b, "sub": lambda a, b: a - b, "prod": lambda a, b: a * b}
    for p, row in zip(positions, updates, strict=True):
        if not 0 <= p < 5:
            continue
        if reduction == "none" or (not use_init and not seen[p]):
            want[p] = row
        else:
            want[p] = {**steps, "min": np.minimum, "max": np.maximum}[reduction](want[p], row)
        seen[p] += 1
    for p in range(5):
        if reduction == "mean" and seen[p]:
            total = want[p].astype(np.float64) / (seen[p] + use_init)
            want[p] = total if dtype == "float32" else np.floor(total)
    (y,) = run_kind("Scatter", [data, positions, updates], reduction=reduction, use_init=use_init)
    np.testing.assert_allclose(y, want, rtol=1e-6)


def test_scatter_update_replaces_slices_of_the_axis():
    index, updates = np.array([[3, 0]]), random(3, 1, 2, 5, seed=1)
    y = run_one("ScatterUpdate", [X, index, updates, np.array(1)], version="opset3", constants=[3])
    want = X.copy()
    want[:, [3, 0]] = updates[:, 0]
    np.testing.assert_array_equal(y, want)
    with pytest.raises(ModelError, match=r"updates have shape \[3, 2, 5\], expected \[3, 1, 2, 5\]"):
        run_one("ScatterUpdate", [X, index, updates[:, 0], np.array(1)], version="opset3", constants=[3])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scatter_elements_is_the_inverse_of_gather_elements(axis):
    order = np.argsort(random(3, 4, 5, seed=2), axis=axis)
    taken = run_one("GatherElements", [X, order], {"axis": axis}, version="opset6")
    back = run_one("ScatterElementsUpdate", [np.zeros_like(X), order, taken, np.array(axis)], version="opset3", constants=[3])
    np.testing.assert_array_equal(back, X)


@pytest.mark.parametrize(("reduction", "want"), [("sum", 1 + 2 + 4), ("prod", 1 * 2 * 4), ("min", 1), ("max", 4), ("mean", 7 / 3)])
def test_scatter_elements_reduces(reduction, want):
    data, index, updates = np.ones((1, 2), np.float32), np.array([[1, 1]]), np.array([[2, 4]], np.float32)
    y = run_one("ScatterElementsUpdate", [data, index, updates, np.array(1)], {"reduction": reduction}, version="opset12", constants=[3])
    np.testing.assert_allclose(y, [[1, want]], rtol=1e-6)


def test_scatter_of_truth_values_is_or_and_and():
    data, index, updates = np.array([True, False, False]), np.array([0, 1]), np.array([False, True])
    for reduction, want in (("sum", [1, 1, 0]), ("prod", [0, 0, 0])):
        inputs = [data, index, updates, np.array(0)]
        y = run_one("ScatterElementsUpdate", inputs, {"reduction": reduction}, version="opset12", constants=[3], result="U8")
        np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("reduction", ["none", "sum", "sub"])
def test_scatter_nd_writes_slices(reduction):
    index, updates = np.array([[2], [-3]]), random(2, 4, 5, seed=4)
    params = {} if reduction == "none" else {"reduction": reduction}
    y = run_one("ScatterNDUpdate", [X, index, updates], params, version="opset4" if reduction == "none" else "opset15")
    want = X.copy()
    for k, row in ((2, updates[0]), (0, updates[1])):
        want[k] = {"none": row, "sum": X[k] + row, "sub": X[k] - row}[reduction]
    np.testing.assert_array_equal(y, want)


def test_legacy_scatter_drops_what_lies_outside():
    index, updates = np.array([[[0], [1]], [[9], [1]], [[-1], [0]]], np.int32), random(3, 2, 1, seed=5)
    y = run_one("ScatterUpdate", [X, index, updates], {"axis": 0})
    want = X.copy()
    for i, j in np.ndindex(3, 2):
        at = index[i, j, 0] if index[i, j, 0] >= 0 else 2
        if at < 3:
            want[at, j, 0] = updates[i, j, 0]
    np.testing.assert_array_equal(y, want)
    with pytest.raises(ModelError, match="Incorrect number of 'indexes' and 'updates'"):
        run_one("ScatterUpdate", [X, np.zeros(3, np.int32), updates], {"axis": 0})


def test_legacy_scatter_along_the_last_axis_counts_from_the_place():
    data, index, updates = np.zeros((2, 5), np.float32), np.array([[4, 0], [1, 3]]), np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_array_equal(run_one("ScatterUpdate", [data, index, updates], {"axis": 1}), [[0, 2, 0, 0, 1], [0, 3, 0, 0, 4]])
    plain = run_one("ScatterElementsUpdate", [data, index, updates, np.array(1)], constants=[3])
    np.testing.assert_array_equal(plain, [[2, 0, 0, 0, 1], [0, 3, 0, 4, 0]])


_TYPES = ("legacy/ScatterUpdate", "opset/ScatterUpdate", "opset/ScatterElementsUpdate", "opset/ScatterNDUpdate")


@pytest.mark.parametrize("path", corpus.cases(*_TYPES, "opset/GatherElements", "opset/GatherND"))
def test_corpus(path):
    corpus.check(path)
