# SPDX-License-Identifier: Apache-2.0
"""Matrix products: MatMul, Gemm, and the quantised forms."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.quantize import dequantized, requantized
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

MAX_DETERMINANT = 64  # every column is some layers


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


@onnx_op("Det")
def det(op: Op) -> Tensor:
    """Elimination by the largest pivot of the first column; its row and the column go, one size smaller each time."""
    x = op.input(0)
    if x.value is None:
        raise op.fail("the size of the matrices is unknown")
    n, batch = x.value.shape[-1], op.slice(op.shape_of(x), 0, 0, -2)
    if n > MAX_DETERMINANT or x.value.shape[-2] != n:
        raise op.fail(f"matrices of {list(x.value.shape[-2:])}, expected square ones up to {MAX_DETERMINANT}")
    rows = op.reshape(x, [-1, n, n])
    y: Tensor | None = None
    for size in range(n, 0, -1):
        first = op.squeeze(op.slice(rows, 2, 0, 1), [2])
        _, index = op.make_many("TopK", op.make("Abs", first), op.constant(1), axis=1, mode="max", sort="none", outputs=2, version="opset3")
        index = op.convert(index, "I64")
        row = op.make("Gather", rows, index, op.constant(1), batch_dims=1)  # [N, 1, size]
        pivot = op.squeeze(op.slice(row, 2, 0, 1), [2])
        odd = op.convert(op.make("FloorMod", index, 2), x.precision)
        factor = op.mul(pivot, op.add(op.mul(odd, -2), 1))  # a pivot from an odd row turns the sign
        y = factor if y is None else op.mul(y, factor)
        if size == 1:
            break
        safe = op.select(op.make("Equal", pivot, 0), op.add(op.mul(pivot, 0), 1), pivot)
        parts = op.unsqueeze(op.div(first, safe), [2])
        left = op.slice(op.sub(rows, op.mul(parts, row)), 2, 1, size)
        others = op.constant(np.arange(size - 1))
        kept = op.add(op.convert(op.make("GreaterEqual", others, index, precision="BOOL"), "I64"), others)
        rows = op.make("Gather", left, kept, op.constant(1), batch_dims=1)
    assert y is not None
    return op.reshape(y, batch)


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
