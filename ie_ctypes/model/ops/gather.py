# SPDX-License-Identifier: Apache-2.0
"""The Gather layers of all versions, GatherElements and GatherND; positions that the Scatter layers share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import legacy, opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value
    from ie_ctypes.model.program import Shape


def _indices(layer: Layer) -> Value:
    indices = layer.input(1)
    return indices if indices.dtype in ("int32", "int64") else layer.convert(indices, "int32")


@legacy("Gather")
def legacy_gather(layer: Layer) -> None:
    """Indices may be floating; those outside the dictionary, negative ones too, give zeros."""
    data = layer.input(0)
    axis = layer.axis(layer.int("axis", 0), len(data.shape))
    layer.set_output(0, layer.emit("Gather", [data, _indices(layer)], axis=axis, batch_dims=0, wrap=0))


@opset("Gather")
def opset_gather(layer: Layer) -> None:
    """Negative indices count from the end, as every runtime since opset7 has it."""
    data, indices = layer.input(0), _indices(layer)
    listed = layer.const_ints(2) if layer.has_input(2) else [0]
    if len(listed) != 1:
        raise layer.fail(f"axis has {len(listed)} elements, expected 1")
    axis = layer.axis(listed[0], len(data.shape))
    batch = layer.int("batch_dims", 0)
    batch = batch + len(indices.shape) if batch < 0 else batch
    layer.set_output(0, layer.emit("Gather", [data, indices], axis=axis, batch_dims=batch, wrap=1))


# -- elements and slices at places that are computed --------------------------------------------------------------------------


def flat_positions(layer: Layer, indices: Sequence[tuple[Value, int, int]], base: np.ndarray | None = None) -> Value:
    """Position in a flat tensor: the sum of ``base`` and of index * step, for each (index, size, step).

    A negative index counts from the end of its axis; -1 where an index lies outside. int64.
    """
    total: Value | None = None if base is None else layer.value(base.astype(np.int64), "base")
    valid: Value | None = None
    zero = layer.value(np.int64(0), "zero")
    for index, size, step in indices:
        index = layer.convert(index, "int64")
        length = layer.value(np.int64(size), f"size_{size}")
        negative = layer.emit("Binary", [index, zero], op="less")
        index = layer.emit("Select", [negative, layer.emit("Binary", [index, length], op="add"), index])
        above = layer.emit("Binary", [index, zero], op="greater_equal")
        inside = layer.emit("Binary", [above, layer.emit("Binary", [index, length], op="less")], op="logical_and")
        valid = inside if valid is None else layer.emit("Binary", [valid, inside], op="logical_and")
        part = index if step == 1 else layer.emit("Binary", [index, layer.value(np.int64(step), f"step_{step}")], op="mul")
        total = part if total is None else layer.emit("Binary", [total, part], op="add")
    if total is None:
        raise layer.fail("there are no indices")
    return total if valid is None else layer.emit("Select", [valid, total, layer.value(np.int64(-1), "outside")])


def element_positions(layer: Layer, data: Shape, indices: Value, axis: int, shifted: bool = False) -> Value:
    """Flat positions of ``data[i0, .., indices[i0, i1, ..], ..]``, of the shape of the indices, which has the rank of the data.

    ``shifted``: each index is counted from its own place on the axis.
    """
    if len(indices.shape) != len(data):
        raise layer.fail(f"indices have rank {len(indices.shape)}, the data has {len(data)}")
    for i, (n, d) in enumerate(zip(indices.shape, data, strict=True)):
        if i != axis and n > d:
            raise layer.fail(f"indices of shape {list(indices.shape)} do not fit data of shape {list(data)}: axis {i}")
    base = np.zeros(indices.shape, np.int64)
    for i, n in enumerate(indices.shape):
        if i != axis or shifted:
            shape = tuple(n if j == i else 1 for j in range(len(data)))
            base = base + np.arange(n).reshape(shape) * math.prod(data[i + 1 :])
    return flat_positions(layer, [(indices, data[axis], math.prod(data[axis + 1 :]))], base)


def tuple_positions(layer: Layer, data: Shape, indices: Value, batch: int) -> tuple[Value, int]:
    """Flat positions of the slices that index tuples on the last axis choose behind ``batch`` shared axes, and a slice's elements.

    The positions have the shape of the indices without their last axis.
    """
    rank = len(indices.shape)
    if not 0 <= batch < max(rank, 1) or not rank or batch > len(data) or data[:batch] != indices.shape[:batch]:
        raise layer.fail(f"batch_dims {batch} does not fit data {list(data)} and indices {list(indices.shape)}")
    count = indices.shape[-1]
    if batch + count > len(data):
        raise layer.fail(f"tuples of {count} indices behind {batch} batch axes do not fit data of rank {len(data)}")
    sizes = data[batch : batch + count]
    places = indices.shape[:-1]
    rows = np.arange(math.prod(data[:batch])).reshape(data[:batch] + (1,) * (len(places) - batch)) * math.prod(sizes)
    base = np.broadcast_to(rows, places)
    if not count:
        return layer.value(base.astype(np.int64), "base"), math.prod(data[batch:])
    columns = layer.emit_many("Split", [indices], axis=rank - 1, lengths=(1,) * count)
    parts = []
    for i, column in enumerate(columns):
        parts.append((layer.emit("Reshape", [column], shape=places), sizes[i], math.prod(sizes[i + 1 :])))
    return flat_positions(layer, parts, base), math.prod(data[batch + count :])


@opset("GatherElements")
def gather_elements(layer: Layer) -> None:
    """``out[i, j] = data[indices[i, j], j]`` (axis 0); zero where the index lies outside."""
    data, indices = layer.input(0), _indices(layer)
    axis = layer.axis(layer.int("axis"), len(data.shape))
    positions = element_positions(layer, data.shape, indices, axis)
    flat = layer.emit("Reshape", [data], shape=(data.type.size,))
    layer.set_output(0, layer.emit("Gather", [flat, positions], axis=0, batch_dims=0, wrap=0))


@opset("GatherND")
def gather_nd(layer: Layer) -> None:
    """Slices chosen by tuples on the last axis of the indices. opset5 merges the batch axes of the output, later ones keep them."""
    data, indices = layer.input(0), _indices(layer)
    batch = layer.int("batch_dims", 0)
    positions, inner = tuple_positions(layer, data.shape, indices, batch)
    rest = data.shape[batch + indices.shape[-1] :]
    rows = layer.emit("Reshape", [data], shape=(math.prod(data.shape[: batch + indices.shape[-1]]), inner))
    found = layer.emit("Gather", [rows, positions], axis=0, batch_dims=0, wrap=0)
    places = indices.shape[:-1]
    if layer.node.version in ("opset5", "opset6", "opset7") and batch > 1:
        places = (math.prod(places[:batch]), *places[batch:])
    layer.set_output(0, layer.emit("Reshape", [found], shape=places + rest))
