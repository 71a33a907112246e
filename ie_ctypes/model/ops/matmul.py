# SPDX-License-Identifier: Apache-2.0
"""Kind MatMul, and the layers FullyConnected, Gemm and MatMul."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, Attrs, array, broadcast, expect_dtype, integer, optional, tensor
from ie_ctypes.model.ops.elementwise import common_type
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def infer_matmul(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """numpy's rule: [..., M, K] x [..., K, N]; a rank-1 operand gains an axis of 1 that the result loses. Transposes skip rank 1."""
    a, b = tensor(inputs, 0), tensor(inputs, 1)
    dtype = expect_dtype(inputs, NUMBERS)
    if not a.shape or not b.shape:
        raise ValueError(f"operands are {list(a.shape)} and {list(b.shape)}, expected rank >= 1")
    rows, inner_a = (1, a.shape[0]) if len(a.shape) == 1 else a.shape[-2:]
    inner_b, columns = (b.shape[0], 1) if len(b.shape) == 1 else b.shape[-2:]
    if integer(attrs, "transpose_a") and len(a.shape) > 1:
        rows, inner_a = inner_a, rows
    if integer(attrs, "transpose_b") and len(b.shape) > 1:
        inner_b, columns = columns, inner_b
    if inner_a != inner_b:
        raise ValueError(f"operands {list(a.shape)} and {list(b.shape)} do not fit: inner sizes are {inner_a} and {inner_b}")
    bias = inputs[2] if len(inputs) > 2 else None
    if bias is not None and bias.shape != (columns,):
        raise ValueError(f"bias has shape {list(bias.shape)}, expected [{columns}]")
    tail = ((rows,) if len(a.shape) > 1 else ()) + ((columns,) if len(b.shape) > 1 else ())
    return [TensorType(dtype, broadcast(a.shape[:-2], b.shape[:-2]) + tail)]


@kind("MatMul", infer_matmul)
def matmul(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``op(a) @ op(b) + bias``."""
    a, b, bias = array(inputs, 0), array(inputs, 1), optional(inputs, 2)
    if integer(attrs, "transpose_a") and a.ndim > 1:
        a = a.swapaxes(-1, -2)
    if integer(attrs, "transpose_b") and b.ndim > 1:
        b = b.swapaxes(-1, -2)
    y = np.asarray(np.matmul(a, b))
    return [y if bias is None else y + bias]


# -- translators -------------------------------------------------------------------------------------------------------------


@legacy("FullyConnected", "InnerProduct")
def fully_connected(layer: Layer) -> None:
    """The input is flattened from axis 1; weights are [O, I]."""
    x = layer.float_input(0)
    outputs = layer.int("out-size")
    if not x.shape or outputs < 1:
        raise layer.fail(f"input shape {list(x.shape)} or out-size {outputs} is not usable")
    inner = prod(x.shape[1:])
    weights = layer.blob("weights")
    weights = layer.float_input(1) if weights is None else layer.convert(weights, "float32")
    if weights.type.size != outputs * inner:
        raise layer.fail(f"weights have {weights.type.size} elements, expected {outputs}x{inner} for input shape {list(x.shape)}")
    bias = layer.blob("biases", (outputs,))
    if bias is None and layer.has_input(2):
        bias = layer.reshape(layer.float_input(2), (outputs,))
    bias = None if bias is None else layer.convert(bias, "float32")
    x, weights = layer.reshape(x, (x.shape[0], inner)), layer.reshape(weights, (outputs, inner))
    layer.set_output(0, layer.emit("MatMul", [x, weights, bias], transpose_a=0, transpose_b=1))


@legacy("Gemm")
def gemm(layer: Layer) -> None:
    """``alpha * op(a) @ op(b) + beta * c``; batch axes broadcast."""
    a, b = layer.float_input(0), layer.float_input(1)
    if min(len(a.shape), len(b.shape)) < 2:
        raise layer.fail(f"operands are {list(a.shape)} and {list(b.shape)}, expected rank >= 2")
    flags = {f"transpose_{n}": int(layer.bool(f"transpose_{n}", False)) for n in "ab"}
    y = layer.emit("MatMul", [a, b, None], **flags)
    alpha, beta = layer.float("alpha", 1.0), layer.float("beta", 1.0)
    if alpha != 1:
        y = layer.emit("Binary", [y, layer.scalar(alpha)], op="mul")
    if layer.has_input(2) and beta != 0:
        c = layer.float_input(2)
        if beta != 1:
            c = layer.emit("Binary", [c, layer.scalar(beta)], op="mul")
        y = layer.emit("Binary", [y, c], op="add")
    layer.set_output(0, y)


@opset("MatMul")
def matmul_opset(layer: Layer) -> None:
    a, b = layer.input(0), layer.input(1)
    work = common_type(a, b)
    flags = {f"transpose_{n}": int(layer.bool(f"transpose_{n}", False)) for n in "ab"}
    layer.set_output(0, layer.emit("MatMul", [layer.convert(a, work), layer.convert(b, work), None], **flags))
