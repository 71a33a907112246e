# SPDX-License-Identifier: Apache-2.0
"""Convert, constants and copies."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network


def convert(values, source, dtype, **attrs):
    return run_kind("Convert", [np.array(values, source)], dtype=dtype, **attrs)[0].tolist()


def test_truncation_cuts_toward_zero_and_wraps():
    assert convert([1.9, -1.9, 300.5, -1.0], "float32", "int32") == [1, -1, 300, -1]
    assert convert([300.5, -1.0], "float32", "uint8") == [44, 255]
    assert convert([300, -1], "int32", "int8") == [44, -1]
    assert convert([float("nan"), float("inf")], "float32", "int64")[0] == 0


def test_nearest_rounds_half_to_even_and_saturates():
    assert convert([0.5, 1.5, 2.5, -0.5, 300, -7], "float32", "uint8", round="nearest") == [0, 2, 2, 0, 255, 0]
    assert convert([40000, -40000], "float32", "int16", round="nearest") == [32767, -32768]
    assert convert([1e30, -1e30], "float32", "int32", round="nearest") == [2**31 - 1, -(2**31)]
    assert convert([1e30, -1e30], "float32", "int64", round="nearest")[1] == -(2**63)
    assert convert([2**40, -(2**40), 5], "int64", "int32", round="nearest") == [2**31 - 1, -(2**31), 5]


def test_bool_means_not_zero():
    assert convert([0.0, 0.25, -3], "float32", "bool") == [False, True, True]
    assert convert([True, False], "bool", "float32") == [1.0, 0.0]


def test_unknown_types_are_refused():
    with pytest.raises(ValueError, match="'float8' is unknown"):
        convert([1], "float32", "float8")
    with pytest.raises(ModelError, match="'destination_type' is 'f8'"):
        run_one("Convert", [random(2)], {"destination_type": "f8"}, version="opset1")


def test_half_precision_constants_are_computed_in_single():
    half = np.array([0.1, 2, -3], np.float16)
    y = run_one("Add", [np.zeros(3, np.float32), half], version="opset1", constants=[1])
    np.testing.assert_array_equal(y, half.astype(np.float32))


@pytest.mark.parametrize(
    "path", corpus.cases("legacy/Const", "legacy/Convert", "legacy/Net", "opset/Convert", "opset/ConvertLike", "opset/Net")
)
def test_corpus(path):
    corpus.check(path)


def test_two_types_become_one():
    x, y = np.array([1, -2], np.int32), np.array([0.5], np.float32)
    builder = NetworkBuilder.opset()
    inputs = [builder.input("x", (2,), "I32"), builder.input("y", (1,))]
    layer = builder.layer("ConvertPromoteTypes", "out", inputs, [(2,), (1,)], version="opset14", precisions=["FP32", "FP32"])
    for i in range(2):
        builder.result((layer, i))
    got = evaluate(Network(builder.graph()).lower(), [x, y])
    assert [a.dtype.name for a in got] == ["float32", "float32"]
    assert [a.tolist() for a in got] == [[1, -2], [0.5]]
