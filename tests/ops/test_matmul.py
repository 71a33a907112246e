# SPDX-License-Identifier: Apache-2.0
"""MatMul, FullyConnected and Gemm."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError


def test_reference_equals_einsum_with_batch_broadcast():
    a, b = random(2, 1, 3, 4), random(5, 4, 6, seed=1)
    expected = np.einsum("xyij,yjk->xyik", np.broadcast_to(a, (2, 5, 3, 4)).astype(np.float64), b)
    np.testing.assert_allclose(run_kind("MatMul", [a, b], transpose_a=0, transpose_b=0)[0], expected, rtol=1e-5, atol=1e-5)
    at, bt = np.ascontiguousarray(a.swapaxes(-1, -2)), np.ascontiguousarray(b.swapaxes(-1, -2))
    np.testing.assert_allclose(run_kind("MatMul", [at, bt], transpose_a=1, transpose_b=1)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("a", "b", "out"), [((3,), (3,), ()), ((3,), (3, 2), (2,)), ((2, 3), (3,), (2,)), ((3,), (5, 3, 2), (5, 2))])
def test_rank_one_operands_follow_numpy_and_ignore_transposes(a, b, out):
    x, y = random(*a), random(*b, seed=1)
    flags = {"transpose_a": int(len(a) == 1), "transpose_b": int(len(b) == 1)}
    got = run_kind("MatMul", [x, y], **flags)[0]
    assert got.shape == out
    np.testing.assert_allclose(got, np.matmul(x, y), rtol=1e-5)


def test_integers_multiply_exactly():
    a, b = np.array([[1 << 20, 3]], np.int64), np.array([[1 << 20], [5]], np.int64)
    assert run_kind("MatMul", [a, b], transpose_a=0, transpose_b=0)[0].tolist() == [[(1 << 40) + 15]]


@pytest.mark.parametrize(
    ("a", "b", "words"), [((2, 3), (4, 2), "inner sizes are 3 and 4"), ((), (2,), "rank >= 1"), ((2, 1, 2), (3, 2, 2), "broadcast")]
)
def test_operands_that_do_not_fit_are_named(a, b, words):
    with pytest.raises(ValueError, match=words):
        run_kind("MatMul", [random(*a), random(*b)], transpose_a=0, transpose_b=0)


def test_fully_connected_flattens_and_adds_biases():
    x, w, b = random(2, 3, 4, 1), random(5, 12, seed=1), random(5, seed=2)
    expected = x.reshape(2, 12) @ w.T + b
    np.testing.assert_allclose(run_one("FullyConnected", [x], {"out-size": 5}, blobs={"weights": w, "biases": b}), expected, rtol=1e-5)
    np.testing.assert_allclose(run_one("InnerProduct", [x, w, b], {"out-size": 5}, constants=[1, 2]), expected, rtol=1e-5)
    with pytest.raises(ModelError, match="weights have 60 elements, expected 7x12"):
        run_one("FullyConnected", [x], {"out-size": 7}, blobs={"weights": w})


def test_gemm_scales_and_transposes():
    a, b, c = random(2, 4, 3), random(1, 5, 4, seed=1), random(3, 5, seed=2)
    y = run_one("Gemm", [a, b, c], {"alpha": 0.5, "beta": 2, "transpose_a": 1, "transpose_b": 1})
    np.testing.assert_allclose(y, 0.5 * a.swapaxes(1, 2) @ b.swapaxes(1, 2) + 2 * c, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", corpus.cases("legacy/FullyConnected", "legacy/Gemm", "opset/MatMul"))
def test_corpus(path):
    corpus.check(path)
