# SPDX-License-Identifier: Apache-2.0
"""Kind TopK, and the layers TopK and ArgMax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, array, check_axis, expect_dtype, integer, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.ops.shape import element_type
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _topk_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    x = tensor(types, 0)
    expect_dtype([x], (*NUMBERS, "uint8", "int8"))
    text(attrs, "mode", ("max", "min"))
    text(attrs, "sort", ("value", "index", "none"))
    axis, k = check_axis(integer(attrs, "axis"), len(x.shape)), integer(attrs, "k")
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"k is {k}, expected 0..{x.shape[axis]}, the size of axis {axis}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return [TensorType(x.dtype, shape), TensorType(text(attrs, "index_dtype", ("int32", "int64")), shape)]


@kind("TopK", _topk_type)
def topk(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The k largest (smallest) along ``axis``, best first or in order of position; of equal values the lower index wins."""
    x, axis, k = array(arrays, 0), integer(attrs, "axis"), integer(attrs, "k")
    if text(attrs, "mode") == "min":
        order = np.argsort(x, axis=axis, kind="stable")
    else:  # a stable descending order is the mirrored stable order of the mirrored values
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    indices = order.take(np.arange(k), axis)
    if text(attrs, "sort") == "index":
        indices = np.sort(indices, axis=axis)
    return [np.take_along_axis(x, indices, axis), indices.astype(text(attrs, "index_dtype"))]


def _k(layer: Layer) -> int:
    values = layer.const_ints(1)
    if len(values) != 1:
        raise layer.fail(f"k has {len(values)} elements, expected 1")
    return values[0]


@legacy("TopK")
def legacy_topk(layer: Layer) -> None:
    """``sort`` other than ``value`` is by index. A single output gives the values or, when it is I32, the indices."""
    x = layer.input(0)
    mode = layer.str("mode", "max")
    axis = layer.axis(layer.int("axis", -1), len(x.shape))
    sort = "value" if layer.str("sort", "index") == "value" else "index"
    values, indices = layer.emit_many("TopK", [x], axis=axis, k=_k(layer), mode=mode, sort=sort, index_dtype="int32")
    outputs = [values, indices]
    if len(layer.node.outputs) == 1 and layer.file_type().dtype == "int32":
        outputs = [indices]
    for i, value in enumerate(outputs):
        layer.set_output(i, value)


@opset("TopK")
def opset_topk(layer: Layer) -> None:
    x = layer.input(0)
    axis = layer.axis(layer.int("axis"), len(x.shape))
    index_dtype = element_type(layer, "index_element_type", "i32").name
    sort, mode = layer.str("sort").lower(), layer.str("mode").lower()
    for i, value in enumerate(layer.emit_many("TopK", [x], axis=axis, k=_k(layer), mode=mode, sort=sort, index_dtype=index_dtype)):
        layer.set_output(i, value)


@legacy("ArgMax")
def arg_max(layer: Layer) -> None:
    """With ``axis`` values or indices (as float) along it; without, over everything but the batch, indices before values."""
    x, k, want_values = layer.input(0), layer.int("top_k"), layer.bool("out_max_val", False)
    if layer.has("axis"):
        axis = layer.axis(layer.int("axis"), len(x.shape))
        values, indices = layer.emit_many("TopK", [x], axis=axis, k=k, mode="max", sort="value", index_dtype="int32")
        layer.set_output(0, values if want_values else layer.convert(indices, "float32"))
        return
    flat = layer.emit("Reshape", [x], shape=(x.shape[0], 1, math.prod(x.shape[1:])))
    values, indices = layer.emit_many("TopK", [flat], axis=2, k=k, mode="max", sort="value", index_dtype="int32")
    found = layer.convert(indices, "float32")
    if want_values:
        found = layer.emit("Concat", [found, values], axis=1)
    rank = max(len(layer.node.outputs[0].shape), 3)
    layer.set_output(0, layer.emit("Reshape", [found], shape=found.shape + (1,) * (rank - 3)))
