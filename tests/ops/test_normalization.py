# SPDX-License-Identifier: Apache-2.0
"""Softmax, LRN, NormalizeL2, MVN and the normalisation layers."""

from __future__ import annotations

from itertools import product

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_sums_to_one_and_survives_large_values(axis):
    x = random(2, 3, 4) * 50
    (y,) = run_kind("Softmax", [x], axis=axis)
    e = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(y, e / e.sum(axis, keepdims=True), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(run_kind("Softmax", [x + 1000], axis=axis)[0].sum(axis), 1, rtol=1e-5)
    (log,) = run_kind("LogSoftmax", [x], axis=axis)
    np.testing.assert_allclose(log, x - np.log(e.sum(axis, keepdims=True)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("axes", "size"), [((1,), 3), ((1,), 5), ((2, 3), 3)])
def test_lrn_reference_equals_loops(axes, size):
    x, half = random(1, 4, 3, 5), size // 2
    (y,) = run_kind("LRN", [x], axes=axes, size=size, alpha=0.5, beta=0.75, bias=2.0)
    for at in product(*map(range, x.shape)):
        box = tuple(slice(max(i - half, 0), i + half + 1) if a in axes else i for a, i in enumerate(at))
        total = np.square(x[box].astype(np.float64)).sum()
        assert y[at] == pytest.approx(x[at] / (2 + 0.5 / size ** len(axes) * total) ** 0.75, rel=1e-5)


def test_even_lrn_window_reaches_like_the_odd_one_below():
    x = random(1, 6, 2, 2)
    y = run_one("Norm", [x], {"alpha": 1.2, "beta": 0.5, "k": 1, "local-size": 4, "region": "across"})
    (expected,) = run_kind("LRN", [x], axes=(1,), size=3, alpha=1.2 * 3 / 4, beta=0.5, bias=1.0)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["add", "max"])
def test_normalize_l2_adds_or_bounds_epsilon(mode):
    x = random(2, 3, 4) * 0.1
    total = np.square(x.astype(np.float64)).sum(1, keepdims=True)
    expected = x / np.sqrt(total + 0.02 if mode == "add" else np.maximum(total, 0.02))
    np.testing.assert_allclose(run_kind("NormalizeL2", [x], axes=(1,), eps=0.02, eps_mode=mode)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("mode", ["inside", "outside"])
def test_mvn_uses_the_population_variance(mode):
    x = random(2, 3, 4)
    wide = x.astype(np.float64)
    root = np.sqrt(wide.var((1, 2), keepdims=True) + 0.1) if mode == "inside" else wide.std((1, 2), keepdims=True) + 0.1
    centred = wide - wide.mean((1, 2), keepdims=True)
    got = run_kind("MVN", [x], axes=(1, 2), normalize_variance=1, eps=0.1, eps_mode=mode)[0]
    np.testing.assert_allclose(got, centred / root, rtol=1e-5, atol=1e-6)
    got = run_kind("MVN", [x], axes=(1, 2), normalize_variance=0, eps=0.1, eps_mode=mode)[0]
    np.testing.assert_allclose(got, centred, rtol=1e-5, atol=1e-6)


def test_batch_normalization_takes_variance_as_weights():
    x, variance, mean = random(2, 3, 4, 4), random(3, seed=1, low=0.5), random(3, seed=2)
    y = run_one("BatchNormalization", [x], {"epsilon": 0.01}, blobs={"weights": variance, "biases": mean})
    np.testing.assert_allclose(y, (x - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 0.01), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("version", "order"), [("opset1", (2, 0, 1, 3, 4)), ("opset5", (0, 1, 2, 3, 4))])
def test_batch_norm_inference_order_of_inputs_depends_on_the_opset(version, order):
    x = random(2, 3, 4)
    gamma, beta, mean, variance = (random(3, seed=i, low=0.5) for i in range(1, 5))
    placed = [np.zeros(0)] * 5
    for i, a in zip(order, (x, gamma, beta, mean, variance), strict=True):
        placed[i] = a
    constants = [i for i in range(5) if i != order[0]]
    y = run_one("BatchNormInference", placed, {"epsilon": 0.01}, version=version, constants=constants)
    expected = gamma[:, None] * (x - mean[:, None]) / np.sqrt(variance[:, None] + 0.01) + beta[:, None]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_normalize_scales_by_channel():
    x, w = random(1, 3, 2, 2), random(3, seed=1)
    y = run_one("Normalize", [x], {"across_spatial": 0, "channel_shared": 0, "eps": 1e-6}, blobs={"weights": w})
    np.testing.assert_allclose(y, x * w[:, None, None] / np.sqrt(np.square(x).sum(1, keepdims=True) + 1e-6), rtol=1e-5)


def test_mvn_of_two_axes():
    x = random(3, 4)
    y = run_one("MVN", [x], {"across_channels": True, "normalize_variance": False, "eps": 1e-3}, version="opset2")
    np.testing.assert_allclose(y, x - x.mean(1, keepdims=True), rtol=1e-5, atol=1e-6)
    assert not run_one("MVN", [x], {"across_channels": False, "eps": 1e-3}, version="opset2").any()
    with pytest.raises(ModelError, match="expected rank >= 2"):
        run_one("MVN", [x[0]], {"across_channels": True, "eps": 1e-3}, version="opset2")


@pytest.mark.parametrize(
    ("type", "params", "words"),
    [
        ("SoftMax", {"axis": 7}, "axis is 7"),
        ("SoftMax", {"axis": -1}, "axis parameter is invalid"),
        ("Norm", {"alpha": 1, "beta": 1, "region": "same", "local-size": 0}, "window size is 0"),
        ("Normalize", {"eps": 1}, "blob 'weights' is missing"),
        ("BatchNormalization", {"epsilon": 0}, "'weights' .variance."),
    ],
)
def test_bad_attributes_are_named(type, params, words):
    with pytest.raises(ModelError, match=f"layer out of type {type}: .*{words}"):
        run_one(type, [random(1, 2, 3, 3)], params)


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/{t}" for t in ("BatchNormalization", "GRN", "LogSoftmax", "MVN", "Norm", "Normalize", "SoftMax", "Softmax")),
        *(f"opset/{t}" for t in ("BatchNormInference", "GRN", "LRN", "LogSoftmax", "MVN", "NormalizeL2", "Softmax")),
    ),
)
def test_corpus(path):
    corpus.check(path)
