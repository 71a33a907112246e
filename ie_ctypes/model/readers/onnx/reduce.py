# SPDX-License-Identifier: Apache-2.0
"""Reductions, ArgMax and ArgMin."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_PLAIN = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
_AXES_INPUT_FROM = {"ReduceSum": 13}  # the others: 18


def _axes(op: Op) -> Tensor | None:
    """Axes as a constant or computed input; None when the operator does nothing."""
    given: Tensor | None = None
    if op.opset >= _AXES_INPUT_FROM.get(op.proto.op_type, 18):
        given = op.optional(1)
    elif op.has("axes"):
        given = op.constant(np.array(op.ints("axes"), np.int64))
    if given is not None and (given.value is None or given.value.type.size):
        return given
    if op.int("noop_with_empty_axes", 0):
        return None
    return op.constant(np.arange(op.rank(op.input(0)), dtype=np.int64))


def _reduce(op: Op, layer: str, x: Tensor) -> Tensor:
    axes, keep = _axes(op), bool(op.int("keepdims", 1))
    if axes is None:
        return x if layer not in ("ReduceL1", "ReduceL2") else op.make("Abs", x)
    if layer in ("ReduceMax", "ReduceMin") and x.precision == "BOOL":
        return op.reduce("ReduceLogicalOr" if layer == "ReduceMax" else "ReduceLogicalAnd", x, axes, keep)
    return op.reduce(layer, x, axes, keep)


def _register() -> None:
    for name in _PLAIN:

        def convert(op: Op, name: str = name) -> Tensor:
            return _reduce(op, name, op.input(0))

        onnx_op(name)(convert)


_register()


@onnx_op("ReduceSumSquare")
def reduce_sum_square(op: Op) -> Tensor:
    return _reduce(op, "ReduceSum", op.mul(op.input(0), op.input(0)))


@onnx_op("ReduceLogSum")
def reduce_log_sum(op: Op) -> Tensor:
    return op.make("Log", _reduce(op, "ReduceSum", op.input(0)))


@onnx_op("ReduceLogSumExp")
def reduce_log_sum_exp(op: Op) -> Tensor:
    """The largest element is taken out first, so that nothing overflows; an infinite one stays."""
    x, axes = op.input(0), _axes(op)
    if axes is None:
        return x
    keep = bool(op.int("keepdims", 1))
    if x.value is not None and x.value.type.size == 0:
        return op.make("Log", op.reduce("ReduceSum", op.make("Exp", x), axes, keep))
    top = op.reduce("ReduceMax", x, axes)
    top = op.select(op.make("Less", op.make("Abs", top), np.inf), top, 0)
    total = op.add(op.make("Log", op.reduce("ReduceSum", op.make("Exp", op.sub(x, top)), axes)), top)
    return total if keep else op.make("Squeeze", total, axes)


@onnx_op("ArgMax", "ArgMin")
def arg_extreme(op: Op) -> Tensor:
    """Index of the first extreme, or of the last: then along the mirrored axis."""
    x = op.input(0)
    axis = op.axis(x, 0)
    last = bool(op.int("select_last_index", 0))
    if last:
        x = op.slice(x, axis, -1, np.iinfo(np.int64).min + 1, -1)
    mode = op.proto.op_type[3:].lower()
    index = op.make_many("TopK", x, op.constant(1), axis=axis, mode=mode, sort="none", index_element_type="i64", outputs=2)[1]
    index.precision = index.port.precision = "I64"
    if last:
        index = op.sub(op.sub(op.size(x, axis), 1), index)
    return index if op.int("keepdims", 1) else op.squeeze(index, [axis])
