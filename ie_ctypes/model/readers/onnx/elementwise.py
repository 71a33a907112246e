# SPDX-License-Identifier: Apache-2.0
"""Elementwise operators of several inputs: arithmetic, comparison, logic, Where, Clip, shifts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_BINARY = {
    "Add": "Add", "Sub": "Subtract", "Mul": "Multiply", "Div": "Divide", "Equal": "Equal", "Less": "Less", "Greater": "Greater",
    "LessOrEqual": "LessEqual", "GreaterOrEqual": "GreaterEqual", "And": "LogicalAnd", "Or": "LogicalOr", "Xor": "LogicalXor",
}  # fmt: skip


def operands(op: Op) -> tuple[Tensor, Tensor]:
    """Both inputs; before operator set 7 the second is placed by ``axis`` when ``broadcast`` is set."""
    a, b = op.input(0), op.input(1)
    if op.opset < 7 and op.int("broadcast", 0) and op.has("axis"):
        tail = op.rank(a) - op.wrap(op.int("axis"), op.rank(a)) - op.rank(b)
        b = op.unsqueeze(b, [op.rank(b) + i for i in range(tail)])
    return a, b


def _register() -> None:
    for name, layer in _BINARY.items():

        def convert(op: Op, layer: str = layer) -> Tensor:
            return op.make(layer, *operands(op))

        onnx_op(name)(convert)


_register()


@onnx_op("Pow")
def power(op: Op) -> Tensor:
    """The result has the type of the base; an integer base with a floating exponent is computed in floating point."""
    base, exponent = operands(op)
    if base.precision == exponent.precision:
        return op.make("Power", base, exponent)
    if base.is_float or not exponent.is_float:
        return op.make("Power", base, op.convert(exponent, base.precision))
    return op.convert(op.make("Power", op.convert(base, exponent.precision), exponent), base.precision)


@onnx_op("Mod")
def mod(op: Op) -> Tensor:
    """With ``fmod`` the sign is that of the dividend, else that of the divisor."""
    return op.make("Mod" if op.int("fmod", 0) else "FloorMod", *operands(op))


def _fold(layer: str) -> Callable[[Op], Tensor]:
    def convert(op: Op) -> Tensor:
        y, *others = op.inputs
        for t in others:
            y = op.make(layer, y, t)
        return y

    return convert


onnx_op("Sum")(_fold("Add"))
onnx_op("Max")(_fold("Maximum"))
onnx_op("Min")(_fold("Minimum"))


@onnx_op("Mean")
def mean(op: Op) -> Tensor:
    return op.div(_fold("Add")(op), len(op.items))


@onnx_op("Not")
def logical_not(op: Op) -> Tensor:
    return op.make("LogicalNot", op.input(0))


@onnx_op("Where")
def where(op: Op) -> Tensor:
    return op.select(op.input(0), op.input(1), op.input(2))


@onnx_op("Clip")
def clip(op: Op) -> Tensor:
    """Limits are attributes before operator set 11, then inputs; Clamp when the file fixes them, which may cross (the upper one wins)."""
    x = op.input(0)
    if op.opset < 11:
        low, high = op.float("min", float(np.finfo(np.float32).min)), op.float("max", float(np.finfo(np.float32).max))
        return op.make("Clamp", x, min=low, max=high)
    given = [op.optional(i) for i in (1, 2)]
    numbers = [None if t is None else op.known(t) for t in given]
    if x.is_float and all(n is not None and n.size == 1 for t, n in zip(given, numbers, strict=True) if t is not None):
        low, high = (d if n is None else float(n.ravel()[0]) for n, d in zip(numbers, (-np.inf, np.inf), strict=True))
        if low <= high:
            return op.make("Clamp", x, min=low, max=high)
    for layer, limit in zip(("Maximum", "Minimum"), given, strict=True):
        if limit is not None:
            x = op.make(layer, x, limit)
    return x


@onnx_op("BitShift")
def bit_shift(op: Op) -> Tensor:
    """Multiplications and floor divisions by powers of two; a shift by all bits or more, or by a negative number, leaves only the sign."""
    x = op.input(0)
    width, right = BY_NAME[x.precision].bits, op.str("direction") == "RIGHT"
    y, bits = op.convert(x, "I64"), op.convert(op.input(1), "I64")
    bits = op.make("Minimum", op.select(op.make("Less", bits, 0), op.constant(width), bits), width)
    half = op.div(bits, 2)  # in two steps, so that no power exceeds 32 bits
    for part in (half, op.sub(bits, half)):
        factor = op.make("Power", op.constant(2), part)
        y = op.div(op.sub(y, op.make("FloorMod", y, factor)), factor) if right else op.mul(y, factor)
    if width < 64 and not right:
        y = op.make("FloorMod", y, 1 << width)
        if x.precision.startswith("I"):
            y = op.select(op.make("GreaterEqual", y, 1 << (width - 1)), op.sub(y, 1 << width), y)
    return op.convert(y, x.precision)


_BITWISE = {"BitwiseAnd": "BitwiseAnd", "BitwiseOr": "BitwiseOr", "BitwiseXor": "BitwiseXor"}


def _register_bitwise() -> None:
    for name, layer in _BITWISE.items():

        def convert(op: Op, layer: str = layer) -> Tensor:
            return op.make(layer, op.input(0), op.input(1), version="opset13")

        onnx_op(name)(convert)


_register_bitwise()


@onnx_op("BitwiseNot")
def bitwise_not(op: Op) -> Tensor:
    """For unsigned integers the distance to the largest one, as wider integers compute them."""
    x = op.input(0)
    if x.precision in ("U16", "U32"):
        return op.make("Subtract", op.constant((1 << BY_NAME[x.precision].bits) - 1, x.precision), x)
    return op.make("BitwiseNot", x, version="opset13")


@onnx_op("Binarizer", domain="ai.onnx.ml")
def binarizer(op: Op) -> Tensor:
    x = op.input(0)
    return op.convert(op.make("Greater", x, op.float("threshold", 0.0)), x.precision)
