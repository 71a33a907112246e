# SPDX-License-Identifier: Apache-2.0
"""Pooling: references against plain loops, rounding and divisor rules of both dialects."""

from __future__ import annotations

from itertools import product

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError


def windows(size, out, kernel, strides, dilations, begin):
    """For every output position the input positions that its window really covers."""
    for at in product(*map(range, out)):
        taps = product(
            *[[o * s - b + t * d for t in range(k)] for o, s, b, k, d in zip(at, strides, begin, kernel, dilations, strict=True)]
        )
        yield at, [p for p in taps if all(0 <= q < n for q, n in zip(p, size, strict=True))]


@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "begin", "end", "ceil"),
    [
        ((1, 2, 7), (3,), (2,), (1,), (1,), 0),
        ((2, 1, 5, 6), (2, 3), (2, 2), (0, 1), (0, 0), 1),
        ((1, 2, 4, 4, 5), (2, 2, 2), (2, 1, 2), (1, 0, 0), (0, 0, 1), 0),
    ],
)
def test_references_equal_loops(shape, kernel, strides, begin, end, ceil):
    x = random(*shape)
    ones = (1,) * len(kernel)
    attrs = {"kernel": kernel, "strides": strides, "pads_begin": begin, "pads_end": end, "ceil": ceil}
    (top,) = run_kind("MaxPool", [x], **attrs, dilations=ones)
    (mean,) = run_kind("AvgPool", [x], **attrs, divisor="valid")
    (full,) = run_kind("AvgPool", [x], **attrs, divisor="kernel")
    for at, places in windows(shape[2:], top.shape[2:], kernel, strides, ones, begin):
        values = np.stack([x[(slice(None), slice(None), *p)] for p in places]).astype(np.float64)
        np.testing.assert_array_equal(top[(slice(None), slice(None), *at)], values.max(0))
        np.testing.assert_allclose(mean[(slice(None), slice(None), *at)], values.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(full[(slice(None), slice(None), *at)], values.sum(0) / np.prod(kernel), rtol=1e-5, atol=1e-6)


def test_indices_point_at_the_first_maximum():
    x = np.round(random(2, 3, 5, 6))
    attrs = {"kernel": (3, 2), "strides": (1, 2), "dilations": (1, 3), "pads_begin": (1, 1), "pads_end": (1, 1), "ceil": 0}
    for axis in range(4):
        y, at = run_kind("MaxPool", [x], **attrs, index_axis=axis, index_dtype="int32")
        flat = np.arange(int(np.prod(x.shape[axis:]))).reshape(x.shape[axis:])
        for place, covered in windows(x.shape[2:], y.shape[2:], (3, 2), (1, 2), (1, 3), (1, 1)):
            for n, c in product(range(2), range(3)):
                best = max(covered, key=lambda p: x[(n, c, *p)])
                assert y[(n, c, *place)] == x[(n, c, *best)]
                assert at[(n, c, *place)] == flat[(n, c, *best)[axis:]]


def test_empty_window_gives_lowest_maximum_and_no_mean():
    x = random(1, 1, 2, 2)
    attrs = {"kernel": (1, 1), "strides": (1, 1), "pads_begin": (1, 0), "pads_end": (0, 0), "ceil": 0}
    (top,) = run_kind("MaxPool", [x], **attrs, dilations=(1, 1))
    (mean,) = run_kind("AvgPool", [x], **attrs, divisor="valid")
    assert (top[0, 0, 0] == np.finfo(np.float32).min).all()
    assert np.isnan(mean[0, 0, 0]).all()
    np.testing.assert_array_equal(mean[0, 0, 1:], x[0, 0])


@pytest.mark.parametrize(("rounding", "size"), [(None, 3), ("ceil", 3), ("floor", 2)])
def test_legacy_rounds_up_unless_told(rounding, size):
    params = {"kernel": "2,2", "strides": "2,2", "pool-method": "max"} | ({"rounding-type": rounding} if rounding else {})
    assert run_one("Pooling", [random(1, 1, 5, 5)], params).shape == (1, 1, size, size)


@pytest.mark.parametrize(("rounding", "size"), [("floor", 2), ("ceil", 3)])
@pytest.mark.parametrize("type", ["MaxPool", "AvgPool"])
def test_without_padding_the_rounding_counts(type, rounding, size):
    params = {"kernel": "3", "strides": "2", "pads_begin": "1", "pads_end": "1", "auto_pad": "valid", "rounding_type": rounding}
    y = run_one(type, [random(1, 1, 6)], params, version="opset1")
    assert y.shape == (1, 1, size)


@pytest.mark.parametrize(("rounding", "size"), [("floor", 5), ("ceil", 6)])
@pytest.mark.parametrize("type", ["MaxPool", "AvgPool"])
def test_with_automatic_padding_the_rounding_counts(type, rounding, size):
    params = {"kernel": "1", "strides": "2", "pads_begin": "0", "pads_end": "0", "auto_pad": "same_lower", "rounding_type": rounding}
    assert run_one(type, [random(1, 1, 10)], params, version="opset1").shape == (1, 1, size)


def test_legacy_drops_a_window_that_starts_beyond_the_input():
    params = {"kernel": "1,1", "strides": "3,3", "pads_begin": "0,0", "pads_end": "1,1", "pool-method": "max"}
    assert run_one("Pooling", [random(1, 1, 4, 4)], params).shape == (1, 1, 2, 2)
    assert run_one("Pooling", [random(1, 1, 3, 3)], params).shape == (1, 1, 1, 1)


def test_legacy_average_with_padding_counts_as_far_as_the_padding_before():
    x = np.ones((1, 1, 4, 4), np.float32)
    params = {"kernel": "3,3", "strides": "2,2", "pads_begin": "1,1", "pool-method": "avg", "exclude-pad": "false"}
    # starts -1, 1, 3 with limit 4+1: counts 3, 3, 2; real elements 2, 3, 1
    expected = np.multiply.outer([2, 3, 1], [2, 3, 1]) / np.multiply.outer([3, 3, 2], [3, 3, 2])
    np.testing.assert_allclose(run_one("Pooling", [x], params)[0, 0], expected, rtol=1e-6)


def test_caffe_spelling_is_read():
    x = random(1, 2, 6, 6)
    caffe = {"kernel_size": 3, "stride": 2, "pad": 1, "pool": "caffe.PoolingParameter.AVE", "exclude-pad": "true"}
    plain = {"kernel": "3,3", "strides": "2,2", "pads_begin": "1,1", "pool-method": "avg", "exclude-pad": "true"}
    np.testing.assert_array_equal(run_one("Pooling", [x], caffe), run_one("Pooling", [x], plain))


def test_opset_average_divides_by_the_kernel_when_padding_counts():
    x = np.ones((1, 1, 3, 3), np.float32)
    params = {"kernel": "2,2", "strides": "1,1", "pads_begin": "1,1", "pads_end": "0,0", "exclude-pad": "false"}
    y = run_one("AvgPool", [x], params, version="opset1")
    assert y[0, 0, 0, 0] == 0.25
    y = run_one("AvgPool", [x], {**params, "exclude-pad": "true"}, version="opset1")
    assert y[0, 0, 0, 0] == 1


def test_opset8_max_pool_has_indices():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    params = {"kernel": "2,2", "strides": "2,2", "pads_begin": "0,0", "pads_end": "0,0", "index_element_type": "i32", "axis": 2}
    y, at = run_layer("MaxPool", [x], params, version="opset8", outputs=2, result="I32")
    assert y.ravel().tolist() == at.ravel().tolist() == [5, 7, 13, 15]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"kernel": "2,2", "pool-method": "sum"}, "'pool-method' is 'sum'"),
        ({"kernel": "2,2", "rounding-type": "up"}, "'rounding-type' is 'up'"),
        ({"kernel": "2,2,2"}, "'kernel' has 3 values, expected 2"),
        ({"kernel": "0,2"}, "'kernel' is .*>= 1"),
    ],
)
def test_bad_attributes_are_named(params, words):
    with pytest.raises(ModelError, match=f"layer out of type Pooling: .*{words}"):
        run_one("Pooling", [random(1, 1, 4, 4)], params)


@pytest.mark.parametrize("path", corpus.cases("legacy/Pooling", "opset/MaxPool", "opset/AvgPool"))
def test_corpus(path):
    corpus.check(path)
