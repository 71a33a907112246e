# SPDX-License-Identifier: Apache-2.0
"""Matrix products: MatMul, Gemm, and the quantised forms."""

from __future__ import annotations

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.quantize import dequantized, requantized
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor


@onnx_op("MatMul")
def matmul(op: Op) -> Tensor:
    return op.make("MatMul", op.input(0), op.input(1), transpose_a=False, transpose_b=False)


@onnx_op("Gemm")
def gemm(op: Op) -> Tensor:
    """alpha * op(a) @ op(b) + beta * c."""
    a, b, c = op.input(0), op.input(1), op.optional(2)
    y = op.make("MatMul", a, b, transpose_a=bool(op.int("transA", 0)), transpose_b=bool(op.int("transB", 0)))
    alpha, beta = op.float("alpha", 1.0), op.float("beta", 1.0)
    if alpha != 1:
        y = op.convert(op.mul(op.as_float(y), alpha), y.precision)
    if c is None or beta == 0:
        return y
    if beta != 1:
        c = op.convert(op.mul(op.as_float(c), beta), c.precision)
    return op.add(y, c)


def _centred(op: Op, index: int, zero_index: int, axis: int) -> Tensor:
    """An integer operand minus its zero point, I32; a zero point of rank 1 lies along ``axis``, counted from the end."""
    x = op.convert(op.input(index), "I32")
    zero = op.optional(zero_index)
    if zero is None:
        return x
    zero = op.convert(zero, "I32")
    if op.rank(zero) == 1 and axis == -2:
        zero = op.unsqueeze(zero, [1])
    return op.sub(x, zero)


@onnx_op("MatMulInteger")
def matmul_integer(op: Op) -> Tensor:
    return op.make("MatMul", _centred(op, 0, 2, -2), _centred(op, 1, 3, -1), transpose_a=False, transpose_b=False)


@onnx_op("QLinearMatMul")
def qlinear_matmul(op: Op) -> Tensor:
    """Computed in floating point from the integers that the quantised tensors stand for."""
    a = dequantized(op, op.input(0), op.input(1), op.input(2), -2)
    b = dequantized(op, op.input(3), op.input(4), op.input(5), -1)
    y = op.make("MatMul", a, b, transpose_a=False, transpose_b=False)
    return requantized(op, y, op.input(6), op.input(7), -2)
