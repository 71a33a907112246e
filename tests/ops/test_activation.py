# SPDX-License-Identifier: Apache-2.0
"""Unary and the activation layers."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.ops.activation import FUNCTIONS

A, B, C = 0.3, 0.6, 1.2


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


#: op -> the function on Python floats, and the interval that it is tried on
SCALAR = {
    "relu": (lambda x: x if x > 0 else A * x, -2, 2),
    "sigmoid": (_sigmoid, -5, 5),
    "tanh": (math.tanh, -5, 5),
    "elu": (lambda x: x if x > 0 else A * (math.exp(x) - 1), -2, 2),
    "clamp": (lambda x: min(max(x, A), B), -2, 2),
    "exp": (math.exp, -5, 5),
    "log": (math.log, 0.1, 5),
    "abs": (abs, -2, 2),
    "neg": (lambda x: -x, -2, 2),
    "sqrt": (math.sqrt, 0, 5),
    "square": (lambda x: x * x, -2, 2),
    "reciprocal": (lambda x: 1 / x, 0.1, 2),
    "sign": (lambda x: (x > 0) - (x < 0), -2, 2),
    "binary_sign": (lambda x: 1 if x > 0 else -1, -2, 2),
    "floor": (math.floor, -3, 3),
    "ceil": (math.ceil, -3, 3),
    "round_even": (round, -3, 3),
    "round_away": (lambda x: math.copysign(math.floor(abs(x) + 0.5), x), -3, 3),
    "erf": (math.erf, -3, 3),
    "sin": (math.sin, -4, 4),
    "cos": (math.cos, -4, 4),
    "tan": (math.tan, -1.5, 1.5),
    "asin": (math.asin, -1, 1),
    "acos": (math.acos, -1, 1),
    "atan": (math.atan, -4, 4),
    "sinh": (math.sinh, -4, 4),
    "cosh": (math.cosh, -4, 4),
    "asinh": (math.asinh, -4, 4),
    "acosh": (math.acosh, 1, 4),
    "atanh": (math.atanh, -0.9, 0.9),
    "softplus": (_softplus, -4, 4),
    "softsign": (lambda x: x / (1 + abs(x)), -4, 4),
    "mish": (lambda x: x * math.tanh(_softplus(x)), -4, 4),
    "swish": (lambda x: x * _sigmoid(A * x), -4, 4),
    "hswish": (lambda x: x * min(max(x + 3, 0), 6) / 6, -5, 5),
    "hsigmoid": (lambda x: min(max(x + 3, 0), 6) / 6, -5, 5),
    "hard_sigmoid": (lambda x: max(0, min(1, A * x + B)), -5, 5),
    "selu": (lambda x: C * (x if x > 0 else A * (math.exp(x) - 1)), -2, 2),
    "gelu": (lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))), -4, 4),
    "gelu_tanh": (lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), -4, 4),
    "power": (lambda x: (C + B * x) ** A, 0, 4),
}


@pytest.mark.parametrize("op", SCALAR)
def test_operation_equals_scalar_function(op):
    function, low, high = SCALAR[op]
    x = np.append(random(200, low=low, high=high), np.array([low, high, (low + high) / 2], np.float32))
    (y,) = run_kind("Unary", [x], op=op, alpha=A, beta=B, gamma=C)
    np.testing.assert_allclose(y, [function(float(v)) for v in x], rtol=2e-5, atol=2e-6)


def test_every_operation_is_tried():
    assert set(SCALAR) | {"not"} == set(FUNCTIONS)


def test_not_takes_truth_values_only():
    assert run_kind("Unary", [np.array([True, False])], op="not")[0].tolist() == [False, True]
    with pytest.raises(ValueError, match="float32"):
        run_kind("Unary", [random(2)], op="not")


def test_integers_stay_integers():
    x = np.array([-3, 0, 4, 2**30], np.int32)
    expected = {"abs": [3, 0, 4, 2**30], "neg": [3, 0, -4, -(2**30)], "sign": [-1, 0, 1, 1], "relu": [0, 0, 4, 2**30]}
    for op, values in expected.items():
        assert run_kind("Unary", [x], op=op)[0].tolist() == values
    assert run_kind("Unary", [x], op="clamp", alpha=-1.5, beta=3.7)[0].tolist() == [-1, 0, 3, 3]
    with pytest.raises(ValueError, match="int32"):
        run_kind("Unary", [x], op="exp")


def test_extreme_values_give_limits_not_nan():
    x = np.array([-1e4, 1e4], np.float32)
    for op, expected in {"sigmoid": [0, 1], "softplus": [0, 1e4], "mish": [0, 1e4], "swish": [0, 1e4], "elu": [-A, 1e4]}.items():
        np.testing.assert_allclose(run_kind("Unary", [x], op=op, alpha=A)[0], expected, atol=1e-6)


def test_prelu_slopes_lie_on_channels():
    x, w = random(2, 3, 4, 2), random(3, seed=1)
    expected = np.where(x > 0, x, x * w[:, None, None])
    np.testing.assert_allclose(run_one("PReLU", [x], blobs={"weights": w}), expected)
    np.testing.assert_allclose(run_one("PReLU", [x, w], version="opset1", constants=[1]), expected)


def test_relu_slope_and_power_defaults():
    x = random(10)
    np.testing.assert_allclose(run_one("ReLU", [x], {"negative_slope": 0.25}), np.where(x > 0, x, x * 0.25))
    np.testing.assert_array_equal(run_one("Power", [x]), x)
    np.testing.assert_allclose(run_one("Power", [x], {"power": 2, "scale": 3, "shift": -1}), (3 * x - 1) ** 2, rtol=1e-5)


def test_integers_come_back_as_the_nearest():
    x = np.array([-3, 0, 1, 4], np.int32)
    for type, want in (("Sigmoid", [0, 0, 1, 1]), ("Exp", [0, 1, 3, 55]), ("Cos", [-1, 1, 1, -1])):
        np.testing.assert_array_equal(run_one(type, [x], version="opset1", result="I32"), want)


def test_swish_takes_a_computed_factor():
    x, beta = random(3, 4), np.array(1.5, np.float32)
    expected = x / (1 + np.exp(-1.5 * x))
    for constants in ([1], []):
        np.testing.assert_allclose(run_one("Swish", [x, beta], version="opset4", constants=constants), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("type", "params", "words"),
    [
        ("Clamp", {"min": 0}, "'max' is missing"),
        ("Clamp", {"min": 2, "max": 1}, "'min' is 2, above 'max' 1"),
        ("Activation", {"type": "cube"}, "activation type 'cube'"),
        ("Power", {"power": "two"}, "'power' is 'two', expected a number"),
    ],
)
def test_bad_attributes_are_named(type, params, words):
    with pytest.raises(ModelError, match=f"layer out of type {type}: .*{words}"):
        run_one(type, [random(2, 2)], params)


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(
            f"legacy/{t}"
            for t in ("Activation", "Clamp", "ELU", "Exp", "Logistic", "Not", "PReLU", "Power", "ReLU", "ReLU6", "Sigmoid", "TanH")
        ),
        *(f"legacy/Math_{t}" for t in ("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Floor")),
        *(
            f"legacy/Math_{t}"
            for t in ("HardSigmoid", "Log", "Neg", "Reciprocal", "Selu", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Tan")
        ),
        *(
            f"opset/{t}"
            for t in ("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceiling", "Clamp", "Cos", "Cosh", "Elu", "Erf")
        ),
        *(f"opset/{t}" for t in ("Exp", "Floor", "Gelu", "HSigmoid", "HSwish", "HardSigmoid", "Log", "LogicalNot", "Mish", "Negative")),
        *(
            f"opset/{t}"
            for t in ("PRelu", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "SoftPlus", "SoftSign", "Sqrt", "Swish")
        ),
        *(f"opset/{t}" for t in ("Tan", "Tanh")),
    ),
)
def test_corpus(path):
    corpus.check(path)
