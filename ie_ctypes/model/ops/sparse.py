# SPDX-License-Identifier: Apache-2.0
"""Sparse layers and bags of embeddings: sums of table rows by segment. Kind SparseFillEmptyRows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import Attrs, array, expect_dtype, integer, tensor
from ie_ctypes.model.ops.gather import tuple_positions
from ie_ctypes.model.ops.predicates import count_bounds
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.ops.scatter import emit_scatter
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _integers(layer: Layer, index: int) -> Value:
    value = layer.input(index)
    return value if value.dtype in ("int32", "int64") else layer.convert(value, "int32")


def _rows(layer: Layer, table: Value, indices: Value) -> Value:
    return layer.emit("Gather", [table, indices], axis=0, batch_dims=0, wrap=0)


def _column(layer: Layer, value: Value, rank: int) -> Value:
    """A list with axes of 1 behind it, so that it goes along axis 0 of a tensor of that rank."""
    return layer.emit("Reshape", [value], shape=(value.type.size, *(1,) * (rank - 1)))


def _segment_sum(layer: Layer, rows: Value, segments: Value, count: int) -> Value:
    """[count, ...]: rows added up by their segment."""
    zero = layer.value(np.zeros((count, *rows.shape[1:]), rows.dtype), "zero")
    return emit_scatter(layer, zero, segments, rows, "sum")


def _segment_sizes(layer: Layer, segments: Value, count: int, dtype: str) -> Value:
    """[count]: entries of each segment."""
    ones = layer.value(np.ones(segments.shape, dtype), "one")
    return emit_scatter(layer, layer.value(np.zeros(count, dtype), "none"), segments, ones, "sum")


def _is_mean(layer: Layer) -> bool:
    """The attribute ``reduction`` of opset15."""
    reduction = layer.str("reduction", "sum").lower()
    if reduction not in ("sum", "mean"):
        raise layer.fail(f"attribute 'reduction' is {reduction!r}, expected sum or mean")
    return reduction == "mean"


def _embed(layer: Layer, indices: Value, segments: Value, bags: int, default: int, weights: int) -> None:
    """Weighted sums of table rows; ``default`` and ``weights`` are input numbers. An empty bag is the default row, or 0.

    With ``reduction`` mean a sum is divided by the entries of its bag.
    """
    table = layer.input(0)
    rows = _rows(layer, table, indices)
    if layer.has_input(weights):
        rows = layer.emit("Binary", [rows, _column(layer, layer.convert(layer.input(weights), table.dtype), len(rows.shape))], op="mul")
    y = _segment_sum(layer, rows, segments, bags)
    if _is_mean(layer):
        entries = layer.emit("Binary", [_segment_sizes(layer, segments, bags, "float32"), layer.scalar(1)], op="max")
        y = layer.convert(layer.emit("Binary", [layer.convert(y, "float32"), _column(layer, entries, len(y.shape))], op="div"), y.dtype)
    if layer.has_input(default):
        row = _rows(layer, table, layer.emit("Reshape", [_integers(layer, default)], shape=(1,)))
        used = _segment_sizes(layer, segments, bags, "int32")
        empty = layer.emit("Binary", [used, layer.value(np.int32(0), "empty")], op="equal")
        y = layer.emit("Select", [_column(layer, empty, len(y.shape)), row, y])
    layer.set_output(0, y)


@legacy("EmbeddingBagOffsetsSum")
@opset("EmbeddingBagOffsetsSum", "EmbeddingBagOffsets")
def embedding_bag_offsets_sum(layer: Layer) -> None:
    """Bag b takes the indices from ``offsets[b]`` to the next offset. Inputs: table, indices, offsets, default row, weights."""
    indices, offsets = _integers(layer, 1), _integers(layer, 2)
    place = layer.value(np.arange(indices.type.size, dtype=offsets.dtype), "place")
    begun = count_bounds(layer, place, offsets, "less_equal")
    segments = layer.emit("Binary", [begun, layer.value(np.int32(1), "one")], op="sub")
    _embed(layer, indices, segments, offsets.type.size, default=3, weights=4)


@legacy("EmbeddingSegmentsSum")
@opset("EmbeddingSegmentsSum")
def embedding_segments_sum(layer: Layer) -> None:
    """Inputs: table, indices, segment of each index, number of segments (constant), default row, weights."""
    count = layer.const_ints(3)
    if len(count) != 1 or count[0] < 0:
        raise layer.fail(f"the number of segments is {count}, expected one number >= 0")
    _embed(layer, _integers(layer, 1), _integers(layer, 2), count[0], default=4, weights=5)


@legacy("EmbeddingBagPackedSum")
@opset("EmbeddingBagPackedSum", "EmbeddingBagPacked")
def embedding_bag_packed_sum(layer: Layer) -> None:
    """Bags of one size: indices [bags, size], weights of the same shape."""
    table, indices = layer.input(0), _integers(layer, 1)
    if len(indices.shape) != 2:
        raise layer.fail(f"indices have shape {list(indices.shape)}, expected rank 2")
    rows = _rows(layer, table, indices)
    if layer.has_input(2):
        weights = layer.convert(layer.input(2), table.dtype)
        weights = layer.emit("Reshape", [weights], shape=weights.shape + (1,) * (len(rows.shape) - 2))
        rows = layer.emit("Binary", [rows, weights], op="mul")
    layer.set_output(0, layer.emit("Reduce", [rows], op="mean" if _is_mean(layer) else "sum", axes=(1,), keep_dims=0))


@opset("SegmentMax")
def segment_max(layer: Layer) -> None:
    """The largest rows of each segment: data, sorted segment of each row, number of segments (constant). Empty ones are 0 or lowest."""
    data, segments = layer.input(0), _integers(layer, 1)
    fill = layer.str("fill_mode", "ZERO").upper()
    if fill not in ("ZERO", "LOWEST"):
        raise layer.fail(f"attribute 'fill_mode' is {fill!r}, expected ZERO or LOWEST")
    if layer.has_input(2):
        (count,) = layer.const_ints(2)
    else:
        count = int(layer.const(1).max(initial=-1)) + 1
    limits = np.finfo(np.float32) if data.dtype == "float32" else np.iinfo(data.dtype)
    empty = np.full((count, *data.shape[1:]), limits.min if fill == "LOWEST" else 0, data.dtype)
    layer.set_output(0, emit_scatter(layer, layer.value(empty, "empty"), segments, data, "max", use_init=False))


@legacy("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN")
def sparse_segment(layer: Layer) -> None:
    """Rows of the data added by segment, then divided by their number or its root; a row an index, those of no segment are 0."""
    data, indices, segments = layer.float_input(0), _integers(layer, 1), _integers(layer, 2)
    count = indices.type.size
    y = _segment_sum(layer, _rows(layer, data, indices), segments, count)
    if not layer.type.lower().endswith("sum"):
        divisor = layer.emit("Binary", [_segment_sizes(layer, segments, count, "float32"), layer.scalar(1)], op="max")
        if layer.type.lower().endswith("sqrtn"):
            divisor = layer.emit("Unary", [divisor], op="sqrt", alpha=0.0, beta=0.0, gamma=0.0)
        y = layer.emit("Binary", [y, _column(layer, divisor, len(y.shape))], op="div")
    layer.set_output(0, y)


def _dense_shape(layer: Layer, index: int) -> tuple[int, ...]:
    """A shape that is a constant input, else that of the file."""
    return tuple(layer.const_ints(index)) if layer.input(index).is_const else layer.node.outputs[0].shape


@legacy("ExperimentalSparseWeightedSum")
def sparse_weighted_sum(layer: Layer) -> None:
    """Weighted sums of table rows by the row of a sparse matrix; an empty row is the default row of the table.

    Inputs: positions [n, 2], values [n] (table rows), dense shape, table, default, weights [n] or none.
    """
    positions, values, table = _integers(layer, 0), _integers(layer, 1), layer.float_input(3)
    rows = _rows(layer, table, values)
    if layer.has_input(5):
        rows = layer.emit("Binary", [rows, _column(layer, layer.float_input(5), len(rows.shape))], op="mul")
    (row, _) = layer.emit_many("Split", [positions], axis=1, lengths=(1, positions.shape[1] - 1))
    segments = layer.emit("Reshape", [row], shape=(positions.shape[0],))
    count = _dense_shape(layer, 2)[0]
    y = _segment_sum(layer, rows, segments, count)
    used = _segment_sizes(layer, segments, count, "int32")
    empty = layer.emit("Binary", [used, layer.value(np.int32(0), "empty")], op="equal")
    default = _rows(layer, table, layer.emit("Reshape", [_integers(layer, 4)], shape=(1,)))
    layer.set_output(0, layer.emit("Select", [_column(layer, empty, len(y.shape)), default, y]))


@legacy("SparseToDense")
def sparse_to_dense(layer: Layer) -> None:
    """A tensor of the default (0 without one) with values at positions [n, rank]. Inputs: positions, shape, values, default."""
    positions, values = _integers(layer, 0), layer.input(2)
    shape = _dense_shape(layer, 1)
    if layer.has_input(3):
        start = layer.emit("Reshape", [layer.convert(layer.input(3), values.dtype)], shape=())
        start = layer.emit("Broadcast", [start], shape=shape)
    else:
        start = layer.value(np.zeros(shape, values.dtype), "zero")
    places, inner = tuple_positions(layer, shape, positions, 0)
    if inner != 1:
        raise layer.fail(f"positions have shape {list(positions.shape)}, expected [n, {len(shape)}]")
    count = places.type.size
    if values.type.size == 1 and count != 1:
        values = layer.emit("Broadcast", [layer.emit("Reshape", [values], shape=())], shape=(count,))
    layer.set_output(0, emit_scatter(layer, start, places, values))


# -- SparseFillEmptyRows -----------------------------------------------------------------------------------------------------


def infer_fill(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """positions [n, 2], values [n], shape [2], default [1]: positions [size, 2], values [size], empty rows [rows]."""
    positions, values, shape, default = (tensor(inputs, i) for i in range(4))
    expect_dtype(inputs, ("float32",))
    n = values.size
    if positions.shape != (n, 2) or values.shape != (n,) or shape.size != 2 or default.size != 1:
        raise ValueError(f"positions {list(positions.shape)}, values {list(values.shape)}, shape {list(shape.shape)} do not fit")
    size, rows = integer(attrs, "size"), integer(attrs, "rows")
    if min(size, rows) < 0:
        raise ValueError(f"size is {size} and rows {rows}, expected >= 0")
    return [TensorType("float32", (size, 2)), TensorType("float32", (size,)), TensorType("float32", (rows,))]


@kind("SparseFillEmptyRows", infer_fill)
def sparse_fill_empty_rows(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Entries sorted by row, with (row, 0) and the default for a row without one; behind the last entry stands (-1, -1), then 0.

    Rows are those of the shape, ``rows`` at most. Entries of other rows are dropped, and what exceeds ``size``.
    """
    positions, values, shape, default = (array(inputs, i) for i in range(4))
    size, rows = integer(attrs, "size"), integer(attrs, "rows")
    limit = int(min(rows, max(shape.ravel()[0], 0)))
    out_positions, out_values, empty = np.zeros((size, 2)), np.zeros(size), np.zeros(rows)
    entries: list[tuple[np.ndarray, float]] = []
    for row in range(limit):
        own = np.flatnonzero(positions[:, 0] == row)
        empty[row] = len(own) == 0
        entries += [(positions[i], float(values[i])) for i in own] or [(np.array([row, 0]), float(default.ravel()[0]))]
    for k, (place, value) in enumerate(entries[:size]):
        out_positions[k], out_values[k] = place, value
    if len(entries) < size:
        out_positions[len(entries)] = -1
    return [a.astype(np.float32) for a in (out_positions, out_values, empty)]


@legacy("SparseFillEmptyRows")
def sparse_fill_layer(layer: Layer) -> None:
    """The number of entries and of rows is the file's; a constant dense shape gives the rows too."""
    inputs = [layer.float_input(i) for i in range(4)]
    shapes = [p.shape for p in layer.node.outputs]
    if len(shapes) != 3 or not shapes[1] or not shapes[2]:
        raise layer.fail(f"the outputs have shapes {[list(s) for s in shapes]}, expected [n, 2], [n] and [rows]")
    rows = layer.const_ints(2)[0] if layer.input(2).is_const else shapes[2][0]
    flat = [layer.reshape(v, (v.type.size,)) for v in inputs[1:]]
    outputs = layer.emit_many("SparseFillEmptyRows", [inputs[0], *flat], size=math.prod(shapes[1]), rows=rows)
    for i, value in enumerate(outputs):
        layer.set_output(i, value)
