# SPDX-License-Identifier: Apache-2.0
"""Operators that make constants, or change shapes and the order of elements."""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto

from ie_ctypes.model.readers.onnx.activation import flatten
from ie_ctypes.model.readers.onnx.elements import ELEMENTS, precision_of
from ie_ctypes.model.readers.onnx.importer import dense
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_MAX = np.iinfo(np.int64).max


@onnx_op("Constant")
def constant(op: Op) -> Tensor:
    for name, attribute in op.attributes.items():
        if name == "value":
            return op.scope.importer.tensor(op.scope, attribute.t, op.label)
        if name == "sparse_value":
            return op.constant(dense(attribute.sparse_tensor), precision_of(attribute.sparse_tensor.values.data_type, "value"))
        if name in ("value_int", "value_ints"):
            return op.constant(op.int(name) if attribute.type == AttributeProto.INT else op.ints(name))
        if name in ("value_float", "value_floats"):
            return op.constant(op.float(name) if attribute.type == AttributeProto.FLOAT else op.floats(name), "FP32")
        if name in ("value_string", "value_strings"):
            raise op.fail("strings are not supported")
    raise op.fail("there is no value")


@onnx_op("ConstantOfShape")
def constant_of_shape(op: Op) -> Tensor:
    array, element = op.array("value") if op.has("value") else (np.zeros(1, np.float32), ELEMENTS["FP32"])
    return op.broadcast(op.constant(array.reshape(()), precision_of(element, "value")), op.input(0))


@onnx_op("Shape")
def shape(op: Op) -> Tensor:
    y = op.shape_of(op.input(0))
    start, end = op.int("start", 0), op.int("end", _MAX)
    return y if (start, end) == (0, _MAX) else op.slice(y, 0, start, end)


@onnx_op("Size")
def size(op: Op) -> Tensor:
    return op.reduce("ReduceProd", op.shape_of(op.input(0)), [0], keep=False)


@onnx_op("Reshape")
def reshape(op: Op) -> Tensor:
    return op.make("Reshape", op.input(0), op.input(1), special_zero=not op.int("allowzero", 0))


@onnx_op("Flatten")
def flatten_op(op: Op) -> Tensor:
    x, axis, rank = op.input(0), op.int("axis", 1), op.rank(op.input(0))
    if not -rank <= axis <= rank:
        raise op.fail(f"axis is {axis}, expected {-rank}..{rank}")
    axis = axis + rank if axis < 0 else axis
    return op.reshape(x, [-1, 1]) if axis == rank and rank else flatten(op, x, axis)


def _listed_axes(op: Op) -> Tensor | None:
    if op.opset >= 13:
        return op.optional(1)
    return op.constant(np.array(op.ints("axes"), np.int64)) if op.has("axes") else None


@onnx_op("Squeeze")
def squeeze(op: Op) -> Tensor:
    axes = _listed_axes(op)
    return op.make("Squeeze", op.input(0)) if axes is None else op.make("Squeeze", op.input(0), axes)


@onnx_op("Unsqueeze")
def unsqueeze(op: Op) -> Tensor:
    axes = _listed_axes(op)
    if axes is None:
        raise op.fail("there are no axes")
    return op.make("Unsqueeze", op.input(0), axes)


@onnx_op("Transpose")
def transpose(op: Op) -> Tensor:
    x = op.input(0)
    return op.transpose(x, op.ints("perm") if op.has("perm") else range(op.rank(x))[::-1])


@onnx_op("Expand")
def expand(op: Op) -> Tensor:
    return op.make("Broadcast", op.input(0), op.input(1), mode="bidirectional")


@onnx_op("Tile")
def tile(op: Op) -> Tensor:
    return op.make("Tile", op.input(0), op.input(1))


@onnx_op("Concat")
def concat(op: Op) -> Tensor:
    return op.make("Concat", *op.inputs, axis=op.int("axis"))


@onnx_op("Split")
def split(op: Op) -> list[Tensor]:
    """Lengths are given, or equal parts, the last one smaller when they do not come out even."""
    x, axis, parts = op.input(0), op.int("axis", 0), len(op.proto.output)
    lengths: Tensor | None = op.optional(1)
    if op.has("split"):
        lengths = op.constant(np.array(op.ints("split"), np.int64))
    if lengths is None and op.has("num_outputs"):
        parts = op.int("num_outputs")
        total = op.size(x, axis)
        each = op.div(op.add(total, parts - 1), parts)
        lengths = op.concat([each] * (parts - 1) + [op.sub(total, op.mul(each, parts - 1))], 0)
    if lengths is None:
        return op.split(x, axis, parts)
    return op.make_many("VariadicSplit", x, op.constant(axis), lengths, outputs=parts)


@onnx_op("Slice")
def slice_(op: Op) -> Tensor:
    x = op.input(0)
    if op.opset < 10:
        starts, ends = (np.array(op.ints(n), np.int64) for n in ("starts", "ends"))
        axes = np.array(op.ints("axes", range(len(starts))), np.int64)
        return op.make("Slice", x, starts, ends, np.ones_like(starts), axes)
    starts_in, ends_in = op.input(1), op.input(2)
    steps = op.optional(4)
    if steps is None:
        steps = op.broadcast(op.constant(1, starts_in.precision), op.shape_of(starts_in))
    axes_in = op.optional(3)
    return op.make("Slice", x, starts_in, ends_in, steps, *([] if axes_in is None else [axes_in]))


@onnx_op("Pad")
def pad(op: Op) -> Tensor:
    """Pads of the listed axes, or of all; mode wrap is made of slices."""
    x, mode = op.input(0), op.str("mode", "constant")
    rank = op.rank(x)
    if op.opset < 11:
        pads = op.constant(np.array(op.ints("pads"), np.int64))
        value: Tensor | None = op.constant(op.float("value", 0.0), x.precision)
    else:
        pads, value = op.input(1), op.optional(2)
    begin, end = op.split(pads, 0, 2)
    if op.opset >= 18 and op.has_input(3):
        axes = [op.wrap(a, rank) for a in op.const_ints(3)]
        table = np.array([[axes.index(i)] if i in axes else [len(axes)] for i in range(rank)], np.int64).ravel()
        begin, end = (op.gather(op.concat([t, op.constant([0], t.precision)], 0), op.constant(table)) for t in (begin, end))
    if mode == "wrap":
        return _wrap(op, x, begin, end)
    extra = [value] if value is not None and mode == "constant" else []
    return op.make("Pad", x, begin, end, *extra, pad_mode=mode)


def _wrap(op: Op, x: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Every axis as its elements from ``-begin`` to ``size + end``, taken modulo the size."""
    for axis in range(op.rank(x)):
        length = op.size(x, axis)
        first, last = (op.squeeze(op.gather(op.convert(t, "I64"), [axis]), [0]) for t in (begin, end))
        stop = op.add(op.squeeze(length, [0]), last)
        positions = op.make("Range", op.make("Negative", first), stop, op.constant(1), output_type="i64", precision="I64")
        x = op.gather(x, op.make("FloorMod", positions, length), axis)
    return x


@onnx_op("Range")
def range_(op: Op) -> Tensor:
    from ie_ctypes.model.dtypes import BY_NAME

    precision = op.input(0).precision
    scalars = [op.reshape(t, []) for t in op.inputs]
    return op.make("Range", *scalars, output_type=BY_NAME[precision].element_type, precision=precision)


@onnx_op("DepthToSpace")
def depth_to_space(op: Op) -> Tensor:
    mode = {"DCR": "blocks_first", "CRD": "depth_first"}.get(op.str("mode", "DCR"))
    if mode is None:
        raise op.fail(f"mode is {op.str('mode')!r}, expected DCR or CRD")
    return op.make("DepthToSpace", op.input(0), mode=mode, block_size=op.int("blocksize"))


@onnx_op("SpaceToDepth")
def space_to_depth(op: Op) -> Tensor:
    mode = {"DCR": "blocks_first", "CRD": "depth_first"}.get(op.str("mode", "DCR"))
    if mode is None:
        raise op.fail(f"mode is {op.str('mode')!r}, expected DCR or CRD")
    return op.make("SpaceToDepth", op.input(0), mode=mode, block_size=op.int("blocksize"))


def indices_of(op: Op, x: Tensor, axis: int) -> Tensor:
    """0, 1, ... along one of the last two axes, shaped to broadcast against ``x``."""
    length = op.squeeze(op.size(x, axis), [0])
    line = op.make("Range", op.constant(0), length, op.constant(1), output_type="i64", precision="I64")
    return op.unsqueeze(line, [1]) if axis == -2 else op.unsqueeze(line, [0])


@onnx_op("Trilu")
def trilu(op: Op) -> Tensor:
    x = op.input(0)
    k = op.convert(op.reshape(op.input(1), []), "I64") if op.has_input(1) else op.constant(0)
    rows, columns = indices_of(op, x, -2), indices_of(op, x, -1)
    inside = op.make("GreaterEqual" if op.int("upper", 1) else "LessEqual", op.sub(columns, rows), k)
    return op.select(inside, x, 0)


@onnx_op("EyeLike")
def eye_like(op: Op) -> Tensor:
    x = op.input(0)
    precision = precision_of(op.int("dtype"), "dtype") if op.has("dtype") else x.precision
    rows, columns = indices_of(op, x, -2), indices_of(op, x, -1)
    return op.convert(op.make("Equal", op.sub(columns, rows), op.int("k", 0)), precision)


@onnx_op("ReverseSequence")
def reverse_sequence(op: Op) -> Tensor:
    batch, time = op.int("batch_axis", 1), op.int("time_axis", 0)
    return op.make("ReverseSequence", op.input(0), op.input(1), batch_axis=batch, seq_axis=time)


@onnx_op("CenterCropPad")
def center_crop_pad(op: Op) -> Tensor:
    """Axes are cut or filled with zeros around the middle; of an odd difference the larger half goes behind."""
    x = op.input(0)
    rank = op.rank(x)
    axes = [op.wrap(a, rank, "axes") for a in op.ints("axes", range(rank))]
    old = op.gather(op.shape_of(x), axes)
    missing = op.sub(op.convert(op.input(1), "I64"), old)
    before = op.make("Divide", missing, 2)  # truncates, for cuts too
    begin = op.select(op.make("Less", missing, 0), op.make("Negative", op.div(op.make("Negative", missing), 2)), before)
    table = op.constant(np.array([axes.index(i) if i in axes else len(axes) for i in range(rank)], np.int64))
    pads = [op.gather(op.concat([t, op.constant([0])], 0), table) for t in (begin, op.sub(missing, begin))]
    return op.make("Pad", x, *pads, pad_mode="constant")
