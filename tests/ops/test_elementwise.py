# SPDX-License-Identifier: Apache-2.0
"""Binary, Select and the elementwise layers."""

from __future__ import annotations

import math
import operator

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError

SCALAR = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "floor_div": lambda a, b: math.floor(a / b),
    "max": max,
    "min": min,
    "squared_diff": lambda a, b: (a - b) ** 2,
    "mod": math.fmod,
    "floor_mod": lambda a, b: a - math.floor(a / b) * b,
    "prelu": lambda a, b: a if a > 0 else a * b,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


@pytest.mark.parametrize("op", SCALAR)
def test_float_operation_equals_scalar_arithmetic(op):
    a, b = random(3, 1, 4), random(2, 1, seed=1)
    a[0, 0, :2] = b[0, 0]
    (y,) = run_kind("Binary", [a, b], op=op)
    expected = [[[SCALAR[op](float(a[i, 0, k]), float(b[j, 0])) for k in range(4)] for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "max", "min", "floor_div", "mod", "floor_mod", "squared_diff", "less"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_operation_equals_scalar_arithmetic(op, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(-20, 20, 50).astype(dtype), rng.choice([-7, -3, -1, 1, 2, 5], 50).astype(dtype)
    (y,) = run_kind("Binary", [a, b], op=op)
    assert y.tolist() == [SCALAR[op](int(p), int(q)) for p, q in zip(a, b, strict=True)]


@pytest.mark.parametrize(("type", "op"), [("Div", operator.truediv), ("Mul", operator.mul)])
def test_short_names_of_the_old_dialect(type, op):
    a, b = random(2, 3, low=1), random(2, 3, seed=1, low=1)
    np.testing.assert_allclose(run_one(type, [a, b]), op(a, b), rtol=1e-6)


def test_square_multiplies_by_itself():
    x = random(2, 3)
    np.testing.assert_allclose(run_one("Square", [x]), x * x, rtol=1e-6)


def test_xor_of_truths():
    a, b = np.array([[False, True]]), np.array([[False], [True]])
    np.testing.assert_array_equal(run_one("Xor", [a, b], version="opset1", result="BOOL"), [[False, True], [True, False]])


def test_integer_division_truncates_and_zero_divisor_gives_zero():
    a, b = np.array([7, -7, 7, -7, 5], np.int32), np.array([2, 2, -2, -2, 0], np.int32)
    assert run_kind("Binary", [a, b], op="div")[0].tolist() == [3, -3, -3, 3, 0]


def test_integer_power_is_exact():
    a, b = np.array([2, -3, 5, 2], np.int64), np.array([10, 3, 0, -1], np.int64)
    assert run_kind("Binary", [a, b], op="pow")[0].tolist() == [1024, -27, 1, 0]


def test_logic_works_on_truth_values():
    a, b = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    got = {op: run_kind("Binary", [a, b], op=f"logical_{op}")[0].tolist() for op in ("and", "or", "xor")}
    assert got == {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}


def test_select_broadcasts_all_three():
    cond, a, b = np.array([[True], [False]]), np.array([1, 2, 3], np.int32), np.array(9, np.int32)
    assert run_kind("Select", [cond, a, b])[0].tolist() == [[1, 2, 3], [9, 9, 9]]


@pytest.mark.parametrize(
    ("op", "inputs", "words"),
    [
        ("add", [random(2, 3), random(2, 4)], r"\[2, 3\] and \[2, 4\]"),
        ("add", [random(2), np.ones(2, np.int32)], "int32"),
        ("add", [np.ones(2, np.uint8), np.ones(2, np.uint8)], "uint8"),
        ("logical_and", [random(2), random(2)], "float32"),
        ("plus", [random(2), random(2)], "'plus'"),
    ],
)
def test_bad_operands_are_named(op, inputs, words):
    with pytest.raises(ValueError, match=words):
        run_kind("Binary", inputs, op=op)


def test_eltwise_sum_takes_coefficients_and_many_inputs():
    x = [random(2, 3, seed=i) for i in range(3)]
    y = run_one("Eltwise", x, {"operation": "sum", "coeff": "1,-0.5,2"})
    np.testing.assert_allclose(y, x[0] - 0.5 * x[1] + 2 * x[2], rtol=1e-5, atol=1e-6)


def test_eltwise_truth_values_are_numbers():
    y = run_one("Eltwise", [random(4), random(4, seed=1)], {"operation": "less"})
    assert set(y.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("count", "params", "words"),
    [
        (3, {"operation": "sub"}, "has 3 inputs, expected 2"),
        (2, {"operation": "nand"}, "Unsupported element wise operation: nand"),
        (2, {"operation": "sum", "coeff": "1,2,3"}, "'coeff' has 3 values, expected 2"),
        (1, {"operation": "sum"}, "has 1 inputs"),
    ],
)
def test_eltwise_faults_are_named(count, params, words):
    with pytest.raises(ModelError, match=words):
        run_one("Eltwise", [random(4)] * count, params)


def test_scale_shift_lies_on_channels():
    x, w, b = random(2, 3, 4), random(3, seed=1), random(3, seed=2)
    y = run_one("ScaleShift", [x], blobs={"weights": w, "biases": b})
    np.testing.assert_allclose(y, x * w[:, None] + b[:, None], rtol=1e-6)
    np.testing.assert_allclose(run_one("ScaleShift", [x], blobs={"biases": b}), x + b[:, None], rtol=1e-6)
    with pytest.raises(ModelError, match="2 values, expected 1 or 3"):
        run_one("ScaleShift", [x], blobs={"weights": w[:2]})


def test_power_file_adds_the_identity_of_affine_grids():
    x = random(2, 7)
    expected = x.ravel() + np.array([1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0], np.float32)
    np.testing.assert_array_equal(run_one("PowerFile", [x]).ravel(), expected)


def test_small_integers_are_added_in_their_own_type():
    a = np.array([200, 100], np.uint8)
    y = run_one("Add", [a, a], version="opset1", result="U8")
    assert y.tolist() == [144, 200]


def test_pdpd_broadcast_aligns_at_the_axis():
    a, b = random(2, 3, 4), random(3, seed=1)
    params = {"auto_broadcast": "pdpd", "axis": 1}
    np.testing.assert_allclose(run_one("Add", [a, b], params, version="opset1"), a + b[:, None])
    with pytest.raises(ModelError, match="differ and auto_broadcast is none"):
        run_one("Add", [a, b], {"auto_broadcast": "none"}, version="opset1")


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/{t}" for t in ("Eltwise", "ScaleShift", "Select")),
        *(f"opset/{t}" for t in ("Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "Power", "SquaredDifference", "Mod")),
        *(f"opset/{t}" for t in ("FloorMod", "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "Select")),
        *(f"opset/{t}" for t in ("LogicalAnd", "LogicalOr", "LogicalXor")),
    ),
)
def test_corpus(path):
    corpus.check(path)
