# SPDX-License-Identifier: Apache-2.0
"""Resizing by a table of weights an axis, for what Interpolate layers do not do: antialias, exclude_outside, two more kinds of coordinates.

The tables are made of layers, so they follow a reshape; lowering computes them once.
"""

from __future__ import annotations

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.scope import Tensor
from ie_ctypes.record import Record


class Axis(Record, kw_only=True):
    """One resized axis. Sizes are I64, ``scale``, ``start`` and ``end`` (the region of tf_crop_and_resize) FP32, all of shape [1]."""

    axis: int
    old: Tensor
    new: Tensor
    scale: Tensor
    start: Tensor | None = None
    end: Tensor | None = None


def _line(op: Op, first: Tensor, stop: Tensor) -> Tensor:
    """first, first + 1, ... below stop, as FP32."""
    scalars = [op.reshape(t, []) for t in (first, stop)]
    line = op.make("Range", *scalars, op.constant(1), output_type="i64", precision="I64")
    return op.convert(line, "FP32")


def _positions(op: Op, a: Axis, mode: str) -> Tensor:
    """Where each output element lies in the input, [new]; the formulas of the ONNX standard."""
    out = _line(op, op.constant([0]), a.new)
    old, new = op.convert(a.old, "FP32"), op.convert(a.new, "FP32")
    half = op.sub(op.div(op.add(out, 0.5), a.scale), 0.5)
    if mode == "asymmetric":
        return op.div(out, a.scale)
    if mode == "align_corners":
        return op.div(op.mul(out, op.sub(old, 1.0)), op.make("Maximum", op.sub(new, 1.0), 1.0))
    if mode == "pytorch_half_pixel":
        return op.select(op.make("Greater", new, 1.0), half, 0)
    if mode == "half_pixel_symmetric":
        adjustment = op.div(new, op.mul(a.scale, old))
        return op.add(half, op.mul(op.div(old, 2.0), op.make("Subtract", op.constant(1.0, "FP32"), adjustment)))
    if mode == "tf_crop_and_resize":
        if a.start is None or a.end is None:
            raise op.fail("the region (roi) is missing")
        last = op.sub(old, 1.0)
        step = op.div(op.mul(op.sub(a.end, a.start), last), op.make("Maximum", op.sub(new, 1.0), 1.0))
        inner = op.add(op.mul(out, step), op.mul(a.start, last))
        middle = op.mul(op.mul(op.add(a.start, a.end), 0.5), last)
        return op.select(op.make("Greater", new, 1.0), inner, middle)
    return half


def _cubic(op: Op, distance: Tensor, a: float) -> Tensor:
    """Keys' kernel of parameter ``a``."""
    square = op.mul(distance, distance)
    near = op.add(op.mul(square, op.sub(op.mul(distance, a + 2), a + 3)), 1.0)
    far = op.sub(op.mul(distance, op.add(op.mul(distance, op.sub(op.mul(distance, a), 5 * a)), 8 * a)), 4 * a)
    tail = op.select(op.make("Less", distance, 2.0), far, 0)
    return op.select(op.make("LessEqual", distance, 1.0), near, tail)


def _table(op: Op, a: Axis, at: Tensor, cubic: float | None, antialias: bool, exclude_outside: bool) -> Tensor:
    """Weights [old, new]. Elements beyond the ends are those at the ends, or do not count."""
    stretch = op.make("Minimum", a.scale, 1.0) if antialias else op.constant([1.0], "FP32")
    reach = op.convert(op.make("Ceiling", op.make("Divide", op.constant([2.0], "FP32"), stretch)), "I64")
    margin = op.constant([0]) if exclude_outside else reach
    places = _line(op, op.make("Negative", margin), op.add(a.old, margin))
    distance = op.make("Abs", op.mul(op.sub(op.unsqueeze(places, [1]), op.unsqueeze(at, [0])), stretch))
    if cubic is None:
        weights = op.make("Maximum", op.make("Subtract", op.constant(1.0, "FP32"), distance), 0.0)
    else:
        weights = _cubic(op, distance, cubic)
    weights = op.div(weights, op.reduce("ReduceSum", weights, [0]))
    if exclude_outside:
        return weights
    last = op.convert(op.sub(a.old, 1), "FP32")
    inside = op.make("Minimum", op.make("Maximum", places, 0.0), last)
    own = _line(op, op.constant([0]), a.old)
    folded = op.convert(op.make("Equal", op.unsqueeze(own, [1]), op.unsqueeze(inside, [0])), "FP32")
    return op.make("MatMul", folded, weights, transpose_a=False, transpose_b=False)


def resized(op: Op, x: Tensor, axes: list[Axis], mode: str, coordinates: str) -> Tensor:
    """``x`` resized linearly or by cubics along the axes, one after the other."""
    rank = op.rank(x)
    cubic = op.float("cubic_coeff_a", -0.75) if mode == "cubic" else None
    antialias, exclude = bool(op.int("antialias", 0)), bool(op.int("exclude_outside", 0))
    y, outside = op.convert(x, "FP32"), None
    for a in axes:
        at = _positions(op, a, coordinates)
        if coordinates == "tf_crop_and_resize":
            last = op.sub(op.convert(a.old, "FP32"), 1.0)
            beyond = op.make("LogicalOr", op.make("Less", at, 0.0), op.make("Greater", at, last))
            beyond = op.reshape(beyond, [-1 if i == a.axis else 1 for i in range(rank)])
            outside = beyond if outside is None else op.make("LogicalOr", outside, beyond)
        order = [i for i in range(rank) if i != a.axis] + [a.axis]
        table = _table(op, a, at, cubic, antialias, exclude)
        y = op.make("MatMul", op.transpose(y, order), table, transpose_a=False, transpose_b=False)
        y = op.transpose(y, [order.index(i) for i in range(rank)])
    if outside is not None:
        y = op.make("Select", outside, op.constant(op.float("extrapolation_value", 0.0), "FP32"), y, precision="FP32")
    return op.convert(y, x.precision)
