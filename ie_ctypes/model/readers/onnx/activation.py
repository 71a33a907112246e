# SPDX-License-Identifier: Apache-2.0
"""Elementwise operators of one input, and those along one axis: Softmax, LogSoftmax, Hardmax."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_SAME = {
    "Abs": "Abs", "Acos": "Acos", "Acosh": "Acosh", "Asin": "Asin", "Asinh": "Asinh", "Atan": "Atan", "Atanh": "Atanh", "Ceil": "Ceiling",
    "Cos": "Cos", "Cosh": "Cosh", "Erf": "Erf", "Exp": "Exp", "Floor": "Floor", "Log": "Log", "Mish": "Mish", "Neg": "Negative",
    "Relu": "ReLU", "Sigmoid": "Sigmoid", "Sign": "Sign", "Sin": "Sin", "Sinh": "Sinh", "Softplus": "SoftPlus", "Softsign": "SoftSign",
    "Sqrt": "Sqrt", "Tan": "Tan", "Tanh": "Tanh",
}  # fmt: skip


def _register() -> None:
    for name, layer in _SAME.items():

        def convert(op: Op, layer: str = layer) -> Tensor:
            return op.make(layer, op.input(0))

        onnx_op(name)(convert)


_register()


@onnx_op("Round")
def round_(op: Op) -> Tensor:
    return op.make("Round", op.input(0), mode="half_to_even")


@onnx_op("Reciprocal")
def reciprocal(op: Op) -> Tensor:
    x = op.input(0)
    return op.make("Divide", op.constant(1.0, x.precision), x)


@onnx_op("LeakyRelu")
def leaky_relu(op: Op) -> Tensor:
    return op.make("PReLU", op.input(0), op.constant([op.float("alpha", 0.01)], op.input(0).precision))


@onnx_op("PRelu")
def prelu(op: Op) -> Tensor:
    """ONNX broadcasts the slope as numpy does; the layer would take a slope of rank 1 along axis 1."""
    x, slope = op.input(0), op.input(1)
    if op.rank(slope) == 1 and op.rank(x) > 1:
        if op.opset < 7:  # one slope a channel
            slope = op.unsqueeze(slope, list(range(1, op.rank(x) - 1)))
        slope = op.unsqueeze(slope, list(range(op.rank(x) - op.rank(slope))))
    return op.make("PReLU", x, slope)


@onnx_op("Elu")
def elu(op: Op) -> Tensor:
    return op.make("Elu", op.input(0), alpha=op.float("alpha", 1.0))


@onnx_op("Selu")
def selu(op: Op) -> Tensor:
    x = op.input(0)
    alpha, gamma = op.float("alpha", 1.67326319217681884765625), op.float("gamma", 1.05070102214813232421875)
    return op.make("Selu", x, alpha, gamma)


@onnx_op("Celu")
def celu(op: Op) -> Tensor:
    """alpha * elu(x / alpha)."""
    x, alpha = op.input(0), op.float("alpha", 1.0)
    return op.mul(op.make("Elu", op.div(x, alpha), alpha=1.0), alpha)


@onnx_op("HardSigmoid")
def hard_sigmoid(op: Op) -> Tensor:
    return op.make("HardSigmoid", op.input(0), op.float("alpha", 0.2), op.float("beta", 0.5))


@onnx_op("HardSwish")
def hard_swish(op: Op) -> Tensor:
    return op.make("HSwish", op.input(0))


@onnx_op("ThresholdedRelu")
def thresholded_relu(op: Op) -> Tensor:
    x = op.input(0)
    return op.select(op.make("Greater", x, op.float("alpha", 1.0)), x, 0)


@onnx_op("Shrink")
def shrink(op: Op) -> Tensor:
    """x + bias below -lambd, x - bias above lambd, 0 between."""
    x, bias, limit = op.input(0), op.float("bias", 0.0), op.float("lambd", 0.5)
    work = op.as_float(x)
    upper = op.select(op.make("Greater", work, limit), op.sub(work, bias), 0)
    y = op.select(op.make("Less", work, -limit), op.add(work, bias), upper)
    return op.convert(y, x.precision)


@onnx_op("Gelu")
def gelu(op: Op) -> Tensor:
    return op.make("Gelu", op.input(0), approximation_mode="tanh" if op.str("approximate", "none") == "tanh" else "erf")


@onnx_op("Swish")
def swish(op: Op) -> Tensor:
    return op.make("Swish", op.input(0), op.float("alpha", 1.0))


@onnx_op("IsNaN")
def is_nan(op: Op) -> Tensor:
    return op.make("NotEqual", op.input(0), op.input(0), precision="BOOL")


@onnx_op("IsInf")
def is_inf(op: Op) -> Tensor:
    x = op.input(0)
    positive, negative = (op.int(f"detect_{n}", 1) for n in ("positive", "negative"))
    if positive and negative:
        return op.make("Equal", op.make("Abs", x), np.inf)
    if positive or negative:
        return op.make("Equal", x, np.inf if positive else -np.inf)
    return op.make("NotEqual", op.constant(0.0, x.precision), op.make("Multiply", op.make("Equal", x, x), 0))


def _along_axis(op: Op, layer: str) -> Tensor:
    """Before operator set 13 the axes from ``axis`` on count as one."""
    x = op.input(0)
    if op.opset >= 13:
        return op.make(layer, x, axis=op.int("axis", -1))
    axis = op.axis(x, 1)
    if axis == op.rank(x) - 1:
        return op.make(layer, x, axis=axis)
    return op.make("Reshape", op.make(layer, flatten(op, x, axis), axis=1), op.shape_of(x), special_zero=False)


def flatten(op: Op, x: Tensor, axis: int) -> Tensor:
    """[product of the axes before, product of the others]."""
    if axis == 0:
        return op.reshape(x, [1, -1])
    if axis == 1:
        return op.reshape(x, [0, -1], zero_copies=True)
    before = op.slice(op.shape_of(x), 0, 0, axis)
    rows = op.reduce("ReduceProd", before, [0])
    return op.reshape(x, op.concat([rows, op.constant([-1])], 0))


@onnx_op("Softmax")
def softmax(op: Op) -> Tensor:
    return _along_axis(op, "Softmax")


@onnx_op("LogSoftmax")
def log_softmax(op: Op) -> Tensor:
    return _along_axis(op, "LogSoftmax")


@onnx_op("Hardmax")
def hardmax(op: Op) -> Tensor:
    """1 where the first maximum along the axis is, else 0."""
    x = op.input(0)
    rank = op.rank(x)
    axis = op.axis(x, -1 if op.opset >= 13 else 1)
    flat = flatten(op, x, axis) if op.opset < 13 and axis < rank - 1 else x
    at = 1 if flat is not x else axis
    best = op.make_many("TopK", flat, op.constant(1), axis=at, mode="max", sort="none", index_element_type="i64", outputs=2)[1]
    values = [op.constant(v, x.precision) for v in (1, 0)]
    y = op.make("OneHot", op.squeeze(best, [at]), op.squeeze(op.size(flat, at), [0]), *values, axis=at, precision=x.precision)
    return y if flat is x else op.make("Reshape", y, op.shape_of(x), special_zero=False)
