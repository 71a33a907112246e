# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Unary: every operation, special values, layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cpu_programs import Builder, infer, load
from kernel_checks import BLOCKED, blocked, compare, floats, node

from ie_ctypes.model.ops.activation import FUNCTIONS

FLOAT_OPS = sorted(set(FUNCTIONS) - {"not"})
#: alpha, beta, gamma of the operations that use them
ATTRS = {
    "relu": (0.1, 0.0, 0.0),
    "elu": (0.7, 0.0, 0.0),
    "clamp": (-0.5, 1.5, 0.0),
    "swish": (1.3, 0.0, 0.0),
    "hard_sigmoid": (0.2, 0.5, 0.0),
    "selu": (1.67, 0.0, 1.05),
    "power": (3.0, 0.5, 2.0),
}
SPECIAL = np.array(
    [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-40, -1e-40, 3e38, -3e38, 1.0, -1.0, 0.5, -0.5, 2.5, 88.8, -103.9], np.float32
)


def attrs(op: str) -> dict[str, float]:
    return dict(zip(("alpha", "beta", "gamma"), ATTRS.get(op, (0.0, 0.0, 0.0)), strict=True))


def run(op: str, x: np.ndarray, **values: float) -> np.ndarray:
    b = Builder()
    y = b.node("Unary", b.input(*x.shape, dtype=x.dtype.name), op=op, **({"alpha": 0.0, "beta": 0.0, "gamma": 0.0} | values))
    program = b.output(y).program
    return infer(load(program), program, [x])[0]


def domain(op: str, x: np.ndarray) -> np.ndarray:
    if op in ("asin", "acos", "atanh"):
        return np.tanh(x) * np.float32(0.99)
    if op in ("log", "sqrt"):
        return np.abs(x) + np.float32(0.01)
    return x + np.float32(1) + np.abs(x) if op == "acosh" else x


@pytest.mark.parametrize("op", FLOAT_OPS)
def test_operation_agrees_with_reference(isa: str, op: str) -> None:
    rng = np.random.default_rng(3)
    for size in (1, 15, 37, 5000):
        # cancellation between two terms of the formula leaves an absolute error of about one unit of the larger term
        atol = 1e-5 if op in ("tan", "gelu", "gelu_tanh", "softplus", "mish") else 2e-6
        node("Unary", [domain(op, 3 * floats(rng, size))], rtol=2e-6, atol=atol, op=op, **attrs(op))


EXACT = {
    "exp": (np.exp, -87.0, 88.0),
    "log": (np.log, 1e-30, 1e30),
    "tanh": (np.tanh, -12.0, 12.0),
    "sigmoid": (lambda v: 1 / (1 + np.exp(-v)), -80.0, 80.0),
    "erf": (np.vectorize(math.erf), -5.0, 5.0),
    "softplus": (lambda v: np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v))), -80.0, 80.0),
    "elu": (lambda v: np.where(v > 0, v, np.expm1(v)), -20.0, 5.0),
}


@pytest.mark.parametrize("op", sorted(EXACT))
def test_polynomials_are_precise_to_one_millionth(isa: str, op: str) -> None:
    function, low, high = EXACT[op]
    if op == "log":
        x = np.exp(np.linspace(math.log(low), math.log(high), 20011)).astype(np.float32)
        x = x[np.abs(x - 1) > 1e-3]
    else:
        tiny = np.geomspace(1e-20, 0.1, 500) if low < 0 else np.zeros(0)
        x = np.concatenate([np.linspace(low, high, 20011), tiny, -tiny]).astype(np.float32)
    want = function(x.astype(np.float64))
    np.testing.assert_allclose(run(op, x, alpha=1.0), want, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize(
    "op", sorted(set(FLOAT_OPS) - {"sin", "cos", "tan", "gelu_tanh", "mish", "swish", "hswish", "gelu", "softsign", "power"})
)
def test_special_values_are_those_of_numpy(isa: str, op: str) -> None:
    node("Unary", [SPECIAL], rtol=2e-6, atol=2e-7, op=op, **attrs(op))


@pytest.mark.parametrize(("op", "left"), [("swish", 0.0), ("mish", 0.0), ("softsign", -1.0)])
def test_infinities_reach_the_limits(isa: str, op: str, left: float) -> None:
    right = 1.0 if op == "softsign" else math.inf
    assert run(op, np.array([-math.inf, math.inf], np.float32), alpha=1.0).tolist() == [left, right]


def test_relu_without_slope_keeps_nan_and_clears_minus_infinity(isa: str) -> None:
    y = run("relu", np.array([math.nan, -math.inf, -1.0, 2.0], np.float32))
    assert math.isnan(y[0])
    assert y[1:].tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("power", [2.0, 0.5, -1.0, -0.5, 3.0, 0.0, 0.37])
def test_power_of_any_base_is_that_of_numpy(isa: str, power: float) -> None:
    base = np.concatenate([SPECIAL, np.linspace(-3, 3, 50, dtype=np.float32)])
    if power == 0.5:  # where numpy takes the square root, C has pow(-inf, 0.5) = inf
        assert run("power", np.array([-math.inf, -0.0], np.float32), alpha=0.5, beta=1.0).tolist() == [math.inf, 0.0]
        base = base[base != -math.inf]
    node("Unary", [base], rtol=2e-6, atol=0, op="power", alpha=power, beta=1.0, gamma=0.0)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("op", ["abs", "neg", "sign", "relu", "clamp"])
def test_integer_forms(isa: str, op: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.min, info.min + 1, -7, -1, 0, 1, 8, info.max], dtype)
    node(
        "Unary",
        [x if op != "relu" else x[2:]],
        rtol=0,
        atol=0,
        op=op,
        **(attrs(op) if op != "clamp" else {"alpha": -3.5, "beta": 1e30, "gamma": 0.0}),
    )


def test_not(isa: str) -> None:
    node("Unary", [np.array([True, False, True])], op="not", alpha=0.0, beta=0.0, gamma=0.0)


@pytest.mark.parametrize("slope", [math.nan, math.inf])
def test_integer_relu_with_a_slope_that_is_no_number(isa: str, slope: float) -> None:
    x = np.array([-3, 0, 5], np.int64)
    least = 0 if math.isnan(slope) else np.iinfo(np.int64).min
    np.testing.assert_array_equal(run("relu", x, alpha=slope), [least, 0, 5])


@pytest.mark.parametrize("op", ["exp", "sigmoid", "relu", "clamp"])
@pytest.mark.parametrize("shape", [(2, 20, 5, 7), (1, 16, 3, 3), (3, 5, 9), (1, 33, 2, 3, 2)])
def test_blocked_layout_keeps_zeros_behind_the_channels(isa: str, op: str, shape: tuple[int, ...]) -> None:
    b = Builder()
    y = b.unary(blocked(b, b.input(*shape)), op, *ATTRS.get(op, (0.0, 0.0, 0.0)))
    total = b.node("Reduce", y, op="sum", axes=tuple(range(2, len(shape))), keep_dims=1)
    compare(b.output(y, total), [floats(np.random.default_rng(1), *shape)])
    b.program.nodes.pop()
    b.program.outputs.pop()
    compare(b, [floats(np.random.default_rng(1), *shape)], layout=BLOCKED)
