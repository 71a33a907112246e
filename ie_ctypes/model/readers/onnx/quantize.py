# SPDX-License-Identifier: Apache-2.0
"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, with the integers computed exactly as the standard says."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.readers.onnx.casts import NARROW, SMALL, element_of, round_small
from ie_ctypes.model.readers.onnx.elements import precision_of
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor


def placed(op: Op, parameter: Tensor, x: Tensor, axis: int, block: int = 0) -> Tensor:
    """A scale or zero point shaped to broadcast against ``x``: one for all, one an index of ``axis``, or one a block of it."""
    rank = op.rank(x)
    if block:
        count = op.squeeze(op.size(x, axis), [0])
        line = op.make("Range", op.constant(0), count, op.constant(1), output_type="i64", precision="I64")
        return op.gather(parameter, op.div(line, block), axis)
    if op.rank(parameter) == 1 and parameter.value is not None and parameter.value.shape == (1,):
        return op.reshape(parameter, [])
    if op.rank(parameter) != 1 or rank < 2:
        return parameter
    return op.unsqueeze(parameter, [i for i in range(rank) if i != op.wrap(axis, rank)])


def _numbers(tensor: Tensor | None) -> np.ndarray | None:
    """Values of a constant; 0 for an absent zero point."""
    if tensor is None:
        return np.zeros((), np.float32)
    value = tensor.value
    return value.data.astype(np.float32) if value is not None and value.is_const else None


def _fake_quantized(op: Op, x: Tensor, scale: Tensor, zero: Tensor | None, axis: int) -> Tensor | None:
    """Bytes that were quantised by the constants that they are dequantised by: one FakeQuantize, which devices know how to run on bytes."""
    if x.origin is None or scale.precision != "FP32" or x.precision not in ("U8", "I8"):
        return None
    source, *given, own_axis = x.origin
    steps, zeros = _numbers(scale), _numbers(zero)
    before = [_numbers(t) for t in given]
    if steps is None or zeros is None or any(b is None or not np.array_equal(a, b) for a, b in zip((steps, zeros), before, strict=True)):
        return None
    rank = op.rank(x)
    if steps.size == 1:
        steps, zeros = steps.reshape(()), zeros.reshape(-1)[:1].reshape(())
    elif rank < 2 or op.wrap(axis, rank) != op.wrap(own_axis, rank) or zeros.size not in (1, steps.size):
        return None
    else:
        shape = [-1 if i == op.wrap(axis, rank) else 1 for i in range(rank)]
        steps, zeros = steps.reshape(shape), np.broadcast_to(zeros.reshape(-1), steps.shape).reshape(shape)
    limits = np.iinfo(BY_NAME[x.precision].numpy)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        return None
    low, high = (op.constant(((side - zeros) * steps).astype(np.float32), "FP32") for side in (limits.min, limits.max))
    return op.make("FakeQuantize", source, low, high, low, high, levels=256, auto_broadcast="numpy")


def dequantized(op: Op, x: Tensor, scale: Tensor, zero: Tensor | None, axis: int, block: int = 0) -> Tensor:
    """(x - zero point) * scale, in the precision of the scale; the difference is exact."""
    fake = None if block else _fake_quantized(op, x, scale, zero, axis)
    if fake is not None:
        return fake
    y = op.convert(x, scale.precision if x.is_float else "I32")
    if zero is not None:
        y = op.sub(y, placed(op, op.convert(zero, y.precision), x, axis, block))
    return op.mul(op.convert(y, scale.precision), placed(op, scale, x, axis, block))


def requantized(op: Op, x: Tensor, scale: Tensor, zero: Tensor | None, axis: int, block: int = 0, element: int = 0) -> Tensor:
    """saturate(round_half_even(x / scale) + zero point) in the type of the zero point."""
    if not element:
        element = element_of(zero) if zero is not None else TensorProto.UINT8
    target = precision_of(element, "the output")
    work = op.convert(x, "FP32")
    y = op.div(work, placed(op, op.convert(scale, "FP32"), x, axis, block))
    if element in SMALL:
        if zero is not None:
            y = op.add(y, placed(op, op.convert(zero, "FP32"), x, axis, block))
        y = round_small(op, y, element, saturate=True)
        y.element = element
        return y
    y = op.make("Round", y, mode="half_to_even")
    if zero is not None:
        y = op.add(y, placed(op, op.convert(zero, "FP32"), x, axis, block))
    limits = np.iinfo(BY_NAME[target].numpy)
    low, high = NARROW.get(element, (limits.min, limits.max))
    y = op.convert(op.make("Clamp", y, min=float(low), max=float(high)), target)
    y.element = element if element in NARROW else 0
    y.origin = None if block or element in NARROW else (work, scale, zero, axis)
    return y


@onnx_op("DequantizeLinear")
def dequantize_linear(op: Op) -> Tensor:
    y = dequantized(op, op.input(0), op.input(1), op.optional(2), op.int("axis", 1), op.int("block_size", 0))
    return op.convert(y, precision_of(op.int("output_dtype"), "the output")) if op.int("output_dtype", 0) else y


@onnx_op("QuantizeLinear")
def quantize_linear(op: Op) -> Tensor:
    element = op.int("output_dtype", 0) if not op.has_input(2) else 0
    return requantized(op, op.input(0), op.input(1), op.optional(2), op.int("axis", 1), op.int("block_size", 0), element)


@onnx_op("DynamicQuantizeLinear")
def dynamic_quantize_linear(op: Op) -> list[Tensor]:
    """U8 data with scale and zero point from the range of the data, which is widened to hold 0."""
    x = op.input(0)
    axes = list(range(op.rank(x)))
    low = op.make("Minimum", op.reduce("ReduceMin", x, axes, keep=False), 0)
    high = op.make("Maximum", op.reduce("ReduceMax", x, axes, keep=False), 0)
    scale = op.div(op.sub(high, low), 255)
    zero = op.make("Round", op.make("Clamp", op.div(op.make("Negative", low), scale), min=0, max=255), mode="half_to_even")
    zero = op.convert(zero, "U8")
    return [requantized(op, x, scale, zero, 0), scale, zero]
