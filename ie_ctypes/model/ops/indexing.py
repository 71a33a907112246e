# SPDX-License-Identifier: Apache-2.0
"""Layers that pick or place single elements and slices, made of Gather nodes: GatherElements, GatherND, Scatter*Update, NonZero, CumSum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.elementwise import emit_binary
from ie_ctypes.model.ops.registry import opset
from ie_ctypes.model.ops.shape import element_type

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value
    from ie_ctypes.model.program import Shape

#: Largest table of positions times updates that is made for indices which are only known while running.
MAX_TABLE = 1 << 26


def wrapped(layer: Layer, indices: Value, size: int) -> Value:
    """Indices as int64, negative ones counted from the end."""
    indices = layer.convert(indices, "int64")
    negative = layer.emit("Binary", [indices, layer.value(np.int64(0))], op="less")
    return layer.emit("Select", [negative, layer.emit("Binary", [indices, layer.value(np.int64(size))], op="add"), indices])


def _strides(shape: Shape) -> list[int]:
    """Elements from one index of an axis to the next."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _element_positions(layer: Layer, shape: Shape, indices: Value, axis: int) -> Value:
    """Flat positions in ``shape`` that each index means: its own place on every axis but one, its number on that."""
    if len(indices.shape) != len(shape):
        raise layer.fail(f"indices have shape {list(indices.shape)}, the data {list(shape)}: expected as many axes")
    if any(i != axis and n > d for i, (n, d) in enumerate(zip(indices.shape, shape, strict=True))):
        raise layer.fail(f"indices of shape {list(indices.shape)} exceed the data of shape {list(shape)}")
    strides = _strides(shape)
    base = np.zeros(indices.shape, np.int64)
    for i, stride in enumerate(strides):
        if i != axis:
            base += (np.arange(indices.shape[i]) * stride).reshape([-1 if j == i else 1 for j in range(len(shape))])
    scaled = layer.emit("Binary", [wrapped(layer, indices, shape[axis]), layer.value(np.int64(strides[axis]))], op="mul")
    return layer.emit("Binary", [scaled, layer.value(base, "places")], op="add")


def _flat(layer: Layer, x: Value) -> Value:
    return layer.reshape(x, (x.type.size,))


@opset("GatherElements")
def gather_elements(layer: Layer) -> None:
    """``out[i, j] = data[indices[i, j], j]`` for axis 0, likewise for others."""
    data, indices = layer.input(0), layer.input(1)
    axis = layer.axis(layer.int("axis"), len(data.shape))
    at = _element_positions(layer, data.shape, indices, axis)
    layer.set_output(0, layer.emit("Gather", [_flat(layer, data), at], axis=0, batch_dims=0, wrap=0))


def _row_positions(layer: Layer, shape: Shape, indices: Value, batch: int) -> Value:
    """Flat positions of the slices that the last axis of ``indices`` addresses; ``batch`` leading axes are shared."""
    depth = indices.shape[-1] if indices.shape else 0
    if not indices.shape or batch + depth > len(shape) or indices.shape[:batch] != shape[:batch]:
        raise layer.fail(f"indices of shape {list(indices.shape)} do not address data of shape {list(shape)}, batch_dims {batch}")
    sizes = shape[batch : batch + depth]
    strides = np.array(_strides(sizes), np.int64)
    indices = layer.convert(indices, "int64")
    negative = layer.emit("Binary", [indices, layer.value(np.int64(0))], op="less")
    moved = layer.emit("Binary", [indices, layer.value(np.array(sizes, np.int64), "sizes")], op="add")
    indices = layer.emit("Select", [negative, moved, indices])
    scaled = layer.emit("Binary", [indices, layer.value(strides, "strides")], op="mul")
    rows = layer.emit("Reduce", [scaled], op="sum", axes=(len(indices.shape) - 1,), keep_dims=0)
    if batch:
        starts = np.arange(math.prod(shape[:batch])).reshape(shape[:batch]) * math.prod(sizes)
        starts = starts.reshape(*shape[:batch], *(1,) * (len(rows.shape) - batch)).astype(np.int64)
        rows = layer.emit("Binary", [rows, layer.value(starts, "starts")], op="add")
    return rows


@opset("GatherND")
def gather_nd(layer: Layer) -> None:
    """The last axis of the indices addresses slices of the data. Before opset8 the batch axes of the result were one."""
    data, indices = layer.input(0), layer.input(1)
    batch = layer.int("batch_dims", 0)
    rows = _row_positions(layer, data.shape, indices, batch)
    depth = indices.shape[-1]
    inner = data.shape[batch + depth :]
    table = layer.reshape(data, (math.prod(data.shape[: batch + depth]), *inner))
    y = layer.emit("Gather", [table, rows], axis=0, batch_dims=0, wrap=0)
    if batch > 1 and layer.node.version in ("opset5", "opset6", "opset7"):
        y = layer.reshape(y, (math.prod(y.shape[:batch]), *y.shape[batch:]))
    layer.set_output(0, y)


def _placed(layer: Layer, data: Value, rows: Value, updates: Value) -> Value:
    """``data`` [P, ...] with ``updates`` [n, ...] at positions ``rows`` [n]; of equal positions the last one wins."""
    count, updated = data.shape[0], rows.shape[0]
    both = layer.emit("Concat", [updates, data], axis=0)
    own = np.arange(count, dtype=np.int64) + updated
    if rows.is_const:
        inside = (rows.data >= 0) & (rows.data < count)
        own[rows.data[inside]] = np.flatnonzero(inside)
        return layer.emit("Gather", [both, layer.value(own, "sources")], axis=0, batch_dims=0, wrap=0)
    hit = _hits(layer, rows, count)
    order = layer.value(np.arange(1, updated + 1, dtype=np.int64), "order")
    ranked = layer.emit("Select", [hit, order, layer.value(np.int64(0))])
    newest = layer.emit("Reduce", [ranked], op="max", axes=(1,), keep_dims=0)
    any_hit = layer.emit("Binary", [newest, layer.value(np.int64(0))], op="greater")
    taken = layer.emit("Binary", [newest, layer.value(np.int64(1))], op="sub")
    source = layer.emit("Select", [any_hit, taken, layer.value(own, "own")])
    return layer.emit("Gather", [both, source], axis=0, batch_dims=0, wrap=0)


def _hits(layer: Layer, rows: Value, count: int) -> Value:
    """[P, n]: whether update n goes to position P."""
    if count * rows.shape[0] > MAX_TABLE:
        raise layer.fail(f"{rows.shape[0]} updates of {count} positions by computed indices are more than this device's nodes can place")
    places = layer.value(np.arange(count, dtype=np.int64).reshape(-1, 1), "positions")
    return layer.emit("Binary", [places, layer.reshape(rows, (1, rows.shape[0]))], op="equal")


_NEUTRAL = {"sum": 0, "prod": 1}
_OPS = {"sum": ("sum", "add"), "prod": ("prod", "mul"), "max": ("max", "max"), "min": ("min", "min"), "mean": ("sum", "add")}


def _combined(layer: Layer, data: Value, rows: Value, updates: Value, how: str, use_init: bool) -> Value:
    """Flat ``data`` where all updates of a position are folded together, with the value there when ``use_init``."""
    if how not in _OPS:
        raise layer.fail(f"attribute 'reduction' is {how!r}, expected none, {', '.join(_OPS)}")
    dtype = data.dtype
    work = dtype if dtype in ("float32", "int32", "int64") else "int32"
    data, updates = layer.convert(data, work), layer.convert(updates, work)
    info = np.finfo(np.float32) if work == "float32" else np.iinfo(work)
    neutral = {"max": -np.inf if work == "float32" else info.min, "min": np.inf if work == "float32" else info.max}
    none = layer.value(np.dtype(work).type(_NEUTRAL.get(how, neutral.get(how, 0))), "neutral")
    hit = _hits(layer, rows, data.shape[0])
    folded, fold = _OPS[how]
    y = layer.emit("Reduce", [layer.emit("Select", [hit, updates, none])], op=folded, axes=(1,), keep_dims=0)
    hits = layer.emit("Reduce", [layer.convert(hit, work)], op="sum", axes=(1,), keep_dims=0)
    if use_init:
        y = layer.emit("Binary", [data, y], op=fold)
    if how == "mean":
        count = layer.emit("Binary", [hits, layer.value(np.dtype(work).type(int(use_init)))], op="add")
        y = emit_binary(layer, "div", y, layer.emit("Binary", [count, layer.value(np.dtype(work).type(1))], op="max"))
    touched = layer.emit("Binary", [hits, layer.value(np.dtype(work).type(0))], op="greater")
    return layer.convert(layer.emit("Select", [touched, y, data]), dtype)


def _scatter(layer: Layer, rows: Value, updates: Value) -> Value:
    """Single elements placed in the data by flat positions."""
    data = layer.input(0)
    flat, rows, updates = (_flat(layer, v) for v in (data, rows, layer.convert(updates, data.dtype)))
    how = layer.str("reduction", "none").lower()
    y = _placed(layer, flat, rows, updates)
    if how != "none":
        y = _combined(layer, flat, rows, updates, how, layer.bool("use_init_val", True))
    return layer.reshape(y, data.shape)


@opset("ScatterElementsUpdate")
def scatter_elements_update(layer: Layer) -> None:
    """``data[indices[i, j], j] = updates[i, j]`` for axis 0, likewise for others."""
    data, indices, updates = layer.input(0), layer.input(1), layer.input(2)
    if updates.shape != indices.shape:
        raise layer.fail(f"updates have shape {list(updates.shape)}, indices {list(indices.shape)}")
    axis = layer.axis(layer.const_ints(3)[0], len(data.shape))
    layer.set_output(0, _scatter(layer, _element_positions(layer, data.shape, indices, axis), updates))


@opset("ScatterNDUpdate")
def scatter_nd_update(layer: Layer) -> None:
    """The last axis of the indices addresses the slices that are replaced."""
    data, indices, updates = layer.input(0), layer.input(1), layer.input(2)
    rows = _row_positions(layer, data.shape, indices, 0)
    depth = indices.shape[-1]
    inner = data.shape[depth:]
    if updates.shape != (*rows.shape, *inner):
        raise layer.fail(f"updates have shape {list(updates.shape)}, expected {[*rows.shape, *inner]}")
    size = math.prod(inner)
    if layer.str("reduction", "none").lower() != "none":
        starts = layer.emit("Binary", [rows, layer.value(np.int64(size))], op="mul")
        inside = layer.value(np.arange(size, dtype=np.int64).reshape(1, size), "inside")
        at = layer.emit("Binary", [layer.reshape(starts, (rows.type.size, 1)), inside], op="add")
        layer.set_output(0, _scatter(layer, at, updates))
        return
    table = layer.reshape(data, (math.prod(data.shape[:depth]), *inner))
    placed = _placed(layer, table, _flat(layer, rows), layer.reshape(layer.convert(updates, data.dtype), (rows.type.size, *inner)))
    layer.set_output(0, layer.reshape(placed, data.shape))


@opset("ScatterUpdate")
def scatter_update(layer: Layer) -> None:
    """``data[:, indices] = updates`` along an axis."""
    data, indices, updates = layer.input(0), layer.input(1), layer.input(2)
    axis = layer.axis(layer.const_ints(3)[0], len(data.shape))
    k = len(indices.shape)
    if updates.shape != (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]):
        raise layer.fail(f"updates of shape {list(updates.shape)} do not fit data {list(data.shape)} and indices {list(indices.shape)}")
    order = (axis, *(i for i in range(len(data.shape)) if i != axis))
    update_order = (*range(axis, axis + k), *(i for i in range(len(updates.shape)) if not axis <= i < axis + k))
    moved = layer.emit("Transpose", [data], order=order)
    rows = _flat(layer, wrapped(layer, indices, data.shape[axis]))
    turned = layer.emit("Transpose", [layer.convert(updates, data.dtype)], order=update_order)
    placed = _placed(layer, moved, rows, layer.reshape(turned, (rows.shape[0], *moved.shape[1:])))
    layer.set_output(0, layer.emit("Transpose", [placed], order=tuple(order.index(i) for i in range(len(order)))))


@opset("NonZero")
def non_zero(layer: Layer) -> None:
    """Positions of the elements that are not 0, [rank, count]; the count must follow from constants."""
    value = layer.input(0)
    if not value.is_const:
        raise layer.fail("the number of elements that are not zero is only known while running")
    dtype = element_type(layer, "output_type", "i64")
    data = value.data
    layer.set_output(0, layer.value(np.array(np.nonzero(data if data.shape else data.reshape(1))[: max(data.ndim, 1)]).astype(dtype)))


def running(layer: Layer, x: Value, axis: int, op: str, exclusive: bool, reverse: bool) -> Value:
    """Running totals along an axis in log2(size) rounds: each adds what lies 1, 2, 4, ... elements back."""
    neutral = {"add": 0.0, "mul": 1.0}[op]

    def shifted(value: Value, by: int) -> Value:
        before = tuple((-by if reverse else by) if i == axis else 0 for i in range(len(value.shape)))
        after = tuple(-b for b in before)
        return layer.emit("Pad", [value], pads_begin=before, pads_end=after, mode="constant", value=neutral)

    size = x.shape[axis]
    if exclusive and size:
        x = shifted(x, 1)
    by = 1
    while by < size:
        x = layer.emit("Binary", [x, shifted(x, by)], op=op)
        by *= 2
    return x


@opset("CumSum")
def cum_sum(layer: Layer) -> None:
    x = layer.input(0)
    axes: Sequence[int] = layer.const_ints(1)
    if len(axes) != 1:
        raise layer.fail(f"axis has {len(axes)} elements, expected 1")
    axis = layer.axis(axes[0], len(x.shape))
    work = x if x.dtype in ("float32", "int32", "int64") else layer.convert(x, "int32")
    y = running(layer, work, axis, "add", layer.bool("exclusive", False), layer.bool("reverse", False))
    layer.set_output(0, layer.convert(y, x.dtype))
