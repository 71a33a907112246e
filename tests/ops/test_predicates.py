# SPDX-License-Identifier: Apache-2.0
"""IsNaN, IsInf, IsFinite, Bucketize, bitwise layers."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError

X = np.array([1, np.nan, np.inf, -np.inf, 0, -3e38], np.float32)


def test_kinds_of_numbers():
    np.testing.assert_array_equal(run_one("IsNaN", [X], version="opset10", result="U8"), np.isnan(X))
    np.testing.assert_array_equal(run_one("IsFinite", [X], version="opset10", result="U8"), np.isfinite(X))
    for up in (True, False):
        for down in (True, False):
            params = {"detect_positive": str(up).lower(), "detect_negative": str(down).lower()}
            want = (np.isposinf(X) & up) | (np.isneginf(X) & down)
            np.testing.assert_array_equal(run_one("IsInf", [X], params, version="opset10", result="U8"), want)


@pytest.mark.parametrize("right", [True, False])
def test_bucketize_is_searchsorted(right):
    x, bounds = np.array([[-1, 0, 0.5], [1, 3, 9]], np.float32), np.array([0, 1, 3], np.float32)
    y = run_one("Bucketize", [x, bounds], {"with_right_bound": str(right).lower()}, version="opset3", result="I32")
    np.testing.assert_array_equal(y, np.searchsorted(bounds, x, "left" if right else "right"))
    y = run_one("Bucketize", [x.astype(np.int32), bounds], {"with_right_bound": str(right).lower(), "output_type": "i32"}, version="opset3")
    np.testing.assert_array_equal(y, np.searchsorted(bounds, x.astype(np.int32), "left" if right else "right"))
    with pytest.raises(ModelError, match="expected rank 1"):
        run_one("Bucketize", [x, x], version="opset3")


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int8"])
def test_bits(dtype):
    rng = np.random.default_rng(1)
    low, high = (0, 256) if dtype == "uint8" else (-128, 128)
    a, b = (rng.integers(low, high, (3, 4)).astype(dtype) for _ in range(2))
    precision = {"int32": "I32", "int64": "I64", "uint8": "U8", "int8": "I8"}[dtype]
    for name, function in (("And", np.bitwise_and), ("Or", np.bitwise_or), ("Xor", np.bitwise_xor)):
        y = run_one(f"Bitwise{name}", [a, b[:1]], version="opset13", result=precision)
        np.testing.assert_array_equal(y, function(a, b[:1]))
    np.testing.assert_array_equal(run_one("BitwiseNot", [a], version="opset13", result=precision), ~a)


@pytest.mark.parametrize("right", [True, False])
def test_places_in_sorted_rows(right):
    rows, values = np.sort(random(2, 5)), random(2, 7, seed=1)
    values[:, :2] = rows[:, 1:3]
    side = "right" if right else "left"
    y = run_one("SearchSorted", [rows, values], {"right_mode": right}, version="opset15", result="I64")
    np.testing.assert_array_equal(y, [np.searchsorted(r, v, side) for r, v in zip(rows, values, strict=True)])
    y = run_one("SearchSorted", [rows[0], values], {"right_mode": right, "output_type": "i32"}, version="opset15", result="I32")
    np.testing.assert_array_equal(y, np.searchsorted(rows[0], values, side))
    with pytest.raises(ModelError, match=r"sorted input \[2, 5\] and values \[7\]"):
        run_one("SearchSorted", [rows, values[0]], version="opset15")


def test_shifts_keep_the_sign_and_wrap_their_count():
    a, b = np.array([-5, 7, 1], np.int32), np.array([1, 33, 31], np.int32)
    np.testing.assert_array_equal(run_one("BitwiseLeftShift", [a, b], version="opset15", result="I32"), [-10, 14, -(2**31)])
    np.testing.assert_array_equal(run_one("BitwiseRightShift", [a, b], version="opset15", result="I32"), [-3, 3, 0])


def test_bits_of_truth_values_are_logic_and_floats_have_none():
    a, b = np.array([True, True, False]), np.array([True, False, False])
    np.testing.assert_array_equal(run_one("BitwiseXor", [a, b], version="opset13", result="U8"), a ^ b)
    np.testing.assert_array_equal(run_one("BitwiseNot", [a], version="opset13", result="U8"), ~a)
    with pytest.raises(ModelError, match="truth values cannot be shifted"):
        run_one("BitwiseLeftShift", [a, b], version="opset15")
    with pytest.raises(ModelError, match="expected one integer type"):
        run_one("BitwiseAnd", [X, X], version="opset13")
    with pytest.raises(ModelError, match="expected an integer type"):
        run_one("BitwiseNot", [X], version="opset13")


_TYPES = ("IsInf", "IsNaN", "IsFinite", "Bucketize", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")


@pytest.mark.parametrize("path", corpus.cases(*(f"opset/{t}" for t in _TYPES), "legacy/Bucketize"))
def test_corpus(path):
    corpus.check(path)
