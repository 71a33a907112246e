# SPDX-License-Identifier: Apache-2.0
"""Kinds NonZero and Unique and their layers: how many results there are depends on the data, the shape is the upper bound."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import Attrs, array, expect_rank, integer, tensor, text
from ie_ctypes.model.ops.elementwise import emit_binary
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.ops.shape import element_type
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

_INDEX = ("int32", "int64")


def infer_nonzero(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """[rank, elements]: as if none were 0."""
    x = tensor(inputs, 0)
    return [TensorType(text(attrs, "index_dtype", _INDEX), (len(x.shape), x.size))]


@kind("NonZero", infer_nonzero)
def nonzero(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Positions of the elements that are not 0, in memory order; -1 behind them."""
    x = array(inputs, 0)
    found = np.stack(np.nonzero(x)) if x.ndim else np.zeros((0, 1))
    out = np.full((x.ndim, x.size), -1, text(attrs, "index_dtype"))
    out[:, : found.shape[1]] = found
    return [out]


def infer_unique(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """x [N, M]: values [N, M], first places, inverse and counts [N]."""
    x = tensor(inputs, 0)
    expect_rank(x, 2, 2)
    row = TensorType(text(attrs, "index_dtype", _INDEX), x.shape[:1])
    return [x, row, row, row]


@kind("Unique", infer_unique)
def unique(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Different rows of x, in the order of their first place or, with ``sorted``, rising.

    Behind them the last one is repeated; its first place too, and its count is 0. ``inverse`` leads from each row of x to its value.
    NaN differs from everything and sorts last.
    """
    x = array(inputs, 0)
    order = sorted(range(len(x)), key=lambda i: [(v != v, 0 if v != v else v) for v in x[i].tolist()])
    groups: list[list[int]] = []
    for i in order:
        if groups and np.array_equal(x[groups[-1][0]], x[i]):
            groups[-1].append(i)
        else:
            groups.append([i])
    if not integer(attrs, "sorted"):
        groups.sort()
    dtype = text(attrs, "index_dtype")
    first, inverse, counts = (np.zeros(len(x), dtype) for _ in range(3))
    for k, group in enumerate(groups):
        first[k], counts[k] = group[0], len(group)
        inverse[group] = k
    first[len(groups) :] = first[len(groups) - 1] if groups else 0
    return [x[first], first, inverse, counts]


# -- translators -------------------------------------------------------------------------------------------------------------


def _of_constants(layer: Layer, values: Sequence[Value], count: int, axes: Sequence[int]) -> list[Value]:
    """The first ``count`` entries of constants: what is known at load has its true size."""
    return [layer.value(v.data.take(np.arange(count), axis)) for v, axis in zip(values, axes, strict=True)]


def _nonzeros(layer: Layer, x: Value) -> Value:
    """How many elements are not 0: [1] int32."""
    x = layer.reshape(x, (x.type.size,))
    hit = x if x.dtype == "bool" else emit_binary(layer, "not_equal", x, layer.value(np.zeros((), x.dtype), "zero"))
    return layer.emit("Reduce", [layer.convert(hit, "int32")], op="sum", axes=(0,), keep_dims=1)


@opset("NonZero")
def nonzero_layer(layer: Layer) -> None:
    """[rank, count]; unless the input is constant, the shape has as many as there are elements, and unused places are -1."""
    x = layer.input(0)
    y = layer.emit("NonZero", [x], index_dtype=element_type(layer, "output_type", "i64").name)
    if y.is_const:
        (y,) = _of_constants(layer, [y], int(np.count_nonzero(x.data)), [1])
    layer.set_output(0, layer.cut(y, 1, _nonzeros(layer, x)))


@legacy("Unique")
def legacy_unique(layer: Layer) -> None:
    """Outputs: values, then positions where ``return_inverse`` and counts where ``return_counts`` asks for them, all float32."""
    x = layer.float_input(0)
    if len(x.shape) != 1:
        raise layer.fail(f"the input has shape {list(x.shape)}, expected rank 1")
    rows = layer.emit("Reshape", [x], shape=(x.shape[0], 1))
    values, _, inverse, counts = layer.emit_many("Unique", [rows], sorted=int(layer.bool("sorted")), index_dtype="int32")
    layer.set_output(0, layer.emit("Reshape", [values], shape=x.shape))
    wanted = [v for name, v in (("return_inverse", inverse), ("return_counts", counts)) if layer.bool(name)]
    for i, value in enumerate(wanted, 1):
        layer.set_output(i, layer.convert(value, "float32"))


@opset("Unique")
def opset_unique(layer: Layer) -> None:
    """Different elements, or slices along the axis of the second input: values, first places, inverse, counts.

    Unless the input is constant, the shape has as many values as elements or slices; the last one is repeated, with counts of 0.
    """
    x = layer.input(0)
    index = element_type(layer, "index_element_type", "i64").name
    count_type = element_type(layer, "count_element_type", "i64").name
    order: tuple[int, ...] = tuple(range(len(x.shape)))
    if layer.has_input(1):
        axis = layer.axis(int(layer.scalar_input(1)), len(x.shape))
        order = (axis, *(i for i in order if i != axis))
        x = layer.emit("Transpose", [x], order=order)
        shape = x.shape
    else:
        shape = (x.type.size,)
        order = (0,)
    rows = layer.emit("Reshape", [x], shape=(shape[0], prod(shape[1:])))
    found = layer.emit_many("Unique", [rows], sorted=int(layer.bool("sorted", True)), index_dtype=index)
    if found[0].is_const:
        used = int(np.count_nonzero(found[3].data))
        values, first, _, counts = _of_constants(layer, found, used, (0, 0, 0, 0)) if used else found
        found = [values, first, found[2], counts]
    else:
        used_count = _nonzeros(layer, found[3])
        found = [v if i == 2 else layer.cut(v, 0, used_count) for i, v in enumerate(found)]
    values = layer.emit("Reshape", [found[0]], shape=(found[0].shape[0], *shape[1:]))
    outputs = [layer.emit("Transpose", [values], order=tuple(order.index(i) for i in range(len(order)))), *found[1:3]]
    for i, value in enumerate([*outputs, layer.convert(found[3], count_type)]):
        layer.set_output(i, value)
