# SPDX-License-Identifier: Apache-2.0
"""Kind Scatter: rows written or reduced at computed positions; the layers ScatterUpdate, ScatterElementsUpdate, ScatterNDUpdate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, Attrs, array, integer, tensor, text
from ie_ctypes.model.ops.gather import element_positions, flat_positions, tuple_positions
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

_STEPS = {"sum": np.add, "mean": np.add, "sub": np.subtract, "prod": np.multiply, "min": np.minimum, "max": np.maximum}
REDUCTIONS = ("none", *_STEPS)


def infer_scatter(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The data's type: data [R, I], positions [N] int32 or int64, updates [N, I]."""
    data, positions, updates = (tensor(inputs, i) for i in range(3))
    reduction = text(attrs, "reduction", REDUCTIONS)
    if positions.dtype not in ("int32", "int64") or updates.dtype != data.dtype:
        raise ValueError(f"positions are {positions.dtype} and updates {updates.dtype}, data is {data.dtype}")
    if reduction != "none" and data.dtype not in NUMBERS:
        raise ValueError(f"reduction {reduction} of {data.dtype} is not supported, expected {' or '.join(NUMBERS)}")
    if len(data.shape) != 2 or len(positions.shape) != 1 or updates.shape != (positions.shape[0], data.shape[1]):
        shapes = ", ".join(str(list(t.shape)) for t in (data, positions, updates))
        raise ValueError(f"data, positions and updates are {shapes}, expected [R, I], [N] and [N, I]")
    return [data]


@kind("Scatter", infer_scatter)
def scatter(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Updates in their order: the last one at a position stays, or each is reduced with what is there; positions outside are dropped.

    Without ``use_init`` the reduction of a position starts at its first update. A mean of integers is the integer below.
    """
    data, positions, updates = (array(inputs, i) for i in range(3))
    reduction, use_init = text(attrs, "reduction"), integer(attrs, "use_init")
    inside = (positions >= 0) & (positions < data.shape[0])
    positions, updates = positions[inside].astype(np.int64), updates[inside]
    touched, first, count = np.unique(positions, return_index=True, return_counts=True)
    out = data.copy()
    if reduction == "none":
        out[positions] = updates
        return [out]
    if not use_init:
        out[touched] = updates[first]
        rest = np.setdiff1d(np.arange(len(positions)), first)
        positions, updates = positions[rest], updates[rest]
    _STEPS[reduction].at(out, positions, updates)
    if reduction == "mean":
        divisor = (count + use_init)[:, None].astype(out.dtype)
        out[touched] = out[touched] / divisor if out.dtype.kind == "f" else out[touched] // divisor
    return [out]


# -- translators -------------------------------------------------------------------------------------------------------------


def emit_scatter(layer: Layer, data: Value, positions: Value, updates: Value, reduction: str = "none", use_init: bool = True) -> Value:
    """Rows of ``updates`` at flat ``positions`` of ``data`` seen as [rows, elements of an update]; the shape of the data.

    Truth values are reduced as 0 and 1 (prod is and, sum is or), small integers as int32.
    """
    shape, dtype = data.shape, data.dtype
    count = positions.type.size
    inner = updates.type.size // count if count else 1
    if updates.type.size != count * inner or (inner and data.type.size % inner):
        raise layer.fail(f"updates of shape {list(updates.shape)} do not fit {count} indices")
    if updates.dtype != dtype:
        raise layer.fail(f"updates are {updates.dtype}, the data is {dtype}")
    if reduction != "none" and dtype not in NUMBERS:
        data, updates = layer.convert(data, "int32"), layer.convert(updates, "int32")
    rows = data.type.size // inner if inner else 0
    operands = [
        layer.emit("Reshape", [data], shape=(rows, inner)),
        layer.emit("Reshape", [positions], shape=(count,)),
        layer.emit("Reshape", [updates], shape=(count, inner)),
    ]
    y = layer.emit("Scatter", operands, reduction=reduction, use_init=int(use_init))
    return layer.convert(layer.emit("Reshape", [y], shape=shape), dtype)


def _integers(layer: Layer, index: int) -> Value:
    value = layer.input(index)
    return value if value.dtype in ("int32", "int64") else layer.convert(value, "int32")


def _axis(layer: Layer, rank: int) -> int:
    listed = layer.const_ints(3)
    if len(listed) != 1:
        raise layer.fail(f"axis has {len(listed)} elements, expected 1")
    return layer.axis(listed[0], rank)


@legacy("ScatterUpdate")
def legacy_scatter(layer: Layer) -> None:
    """Element by element; indices outside are dropped. The axis may be an input.

    2019 R3 added to an index along the last of several axes the element's own place there; its recordings show it, so it is kept.
    """
    data, indices = layer.input(0), _integers(layer, 1)
    axis = _axis(layer, len(data.shape)) if layer.has_input(3) else layer.axis(layer.int("axis", 0), len(data.shape))
    updates = layer.convert(layer.input(2), data.dtype)
    if indices.shape != updates.shape:
        raise layer.fail(f"Incorrect number of 'indexes' and 'updates' tensors dimension: {list(indices.shape)} and {list(updates.shape)}")
    positions = element_positions(layer, data.shape, indices, axis, shifted=0 < axis == len(data.shape) - 1)
    layer.set_output(0, emit_scatter(layer, data, positions, updates))


@opset("ScatterUpdate")
def scatter_update(layer: Layer) -> None:
    """``out[.., indices[i..], ..] = updates[.., i.., ..]`` along the axis."""
    data, indices = layer.input(0), _integers(layer, 1)
    axis = _axis(layer, len(data.shape))
    updates = layer.convert(layer.input(2), data.dtype)
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    expected = before + indices.shape + after
    if updates.shape != expected:
        raise layer.fail(f"updates have shape {list(updates.shape)}, expected {list(expected)}")
    flat = layer.emit("Reshape", [indices], shape=(1, indices.type.size))
    rows = math.prod(before)
    base = np.arange(rows).reshape(rows, 1) * data.shape[axis] + np.zeros((1, indices.type.size))
    positions = flat_positions(layer, [(flat, data.shape[axis], 1)], base)
    layer.set_output(0, emit_scatter(layer, data, positions, updates))


@legacy("ScatterElementsUpdate")
@opset("ScatterElementsUpdate")
def scatter_elements_update(layer: Layer) -> None:
    """``out[indices[i, j], j] = updates[i, j]`` (axis 0); opset12 reduces, by default together with the value that was there."""
    data, indices = layer.input(0), _integers(layer, 1)
    axis = _axis(layer, len(data.shape))
    updates = layer.convert(layer.input(2), data.dtype)
    reduction = layer.str("reduction", "none").lower()
    if reduction not in ("none", "sum", "prod", "min", "max", "mean"):
        raise layer.fail(f"attribute 'reduction' is {reduction!r}, expected none, sum, prod, min, max or mean")
    if indices.shape != updates.shape:
        raise layer.fail(f"indices have shape {list(indices.shape)}, updates {list(updates.shape)}, expected the same")
    positions = element_positions(layer, data.shape, indices, axis)
    layer.set_output(0, emit_scatter(layer, data, positions, updates, reduction, layer.bool("use_init_val", True)))


@opset("ScatterNDUpdate")
def scatter_nd_update(layer: Layer) -> None:
    """Slices at index tuples, the last axis of the indices, are replaced; opset15 may reduce."""
    data, indices = layer.input(0), _integers(layer, 1)
    updates = layer.convert(layer.input(2), data.dtype)
    reduction = layer.str("reduction", "none").lower()
    if reduction not in ("none", "sum", "sub", "prod", "min", "max"):
        raise layer.fail(f"attribute 'reduction' is {reduction!r}, expected none, sum, sub, prod, min or max")
    positions, _ = tuple_positions(layer, data.shape, indices, 0)
    expected = indices.shape[:-1] + data.shape[indices.shape[-1] :]
    if updates.shape != expected:
        raise layer.fail(f"updates have shape {list(updates.shape)}, expected {list(expected)}")
    layer.set_output(0, emit_scatter(layer, data, positions, updates, reduction))
