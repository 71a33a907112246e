# SPDX-License-Identifier: Apache-2.0
"""Layers of comparisons: IsNaN, IsInf, IsFinite, Bucketize, SearchSorted; the bitwise layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.elementwise import common_type, emit_binary, operands
from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.ops.shape import element_type

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


@opset("IsNaN")
def is_nan(layer: Layer) -> None:
    x = layer.float_input(0)
    layer.set_output(0, layer.emit("Binary", [x, x], op="not_equal"))


@opset("IsFinite")
def is_finite(layer: Layer) -> None:
    size = layer.emit("Unary", [layer.float_input(0)], op="abs", alpha=0.0, beta=0.0, gamma=0.0)
    layer.set_output(0, layer.emit("Binary", [size, layer.scalar(np.inf)], op="less"))


@opset("IsInf")
def is_inf(layer: Layer) -> None:
    """Infinities of the signs that ``detect_positive`` and ``detect_negative`` ask for."""
    x = layer.float_input(0)
    found: Value | None = None
    for name, limit in (("detect_positive", np.inf), ("detect_negative", -np.inf)):
        if layer.bool(name, True):
            hit = layer.emit("Binary", [x, layer.scalar(limit)], op="equal")
            found = hit if found is None else layer.emit("Binary", [found, hit], op="logical_or")
    if found is None:
        found = layer.emit("Binary", [x, x], op="less")
    layer.set_output(0, found)


@legacy("Bucketize")
@opset("Bucketize")
def bucketize(layer: Layer) -> None:
    """Number of sorted boundaries below each element; with ``with_right_bound`` false, below or equal."""
    x, bounds = layer.input(0), layer.input(1)
    if len(bounds.shape) != 1:
        raise layer.fail(f"boundaries have shape {list(bounds.shape)}, expected rank 1")
    dtype = layer.file_type(0).dtype if layer.legacy else element_type(layer, "output_type", "i64").name
    if dtype not in ("int32", "int64"):
        dtype = "int32"
    op = "less" if layer.bool("with_right_bound", True) else "less_equal"
    layer.set_output(0, layer.convert(count_bounds(layer, x, bounds, op), dtype))


def count_bounds(layer: Layer, x: Value, bounds: Value, op: str) -> Value:
    """For each element of x the number of bounds [n] with ``bound op element``: int32."""
    work = common_type(x, bounds)
    column = layer.emit("Reshape", [layer.convert(x, work)], shape=(*x.shape, 1))
    hit = layer.emit("Binary", [layer.convert(bounds, work), column], op=op)
    return layer.emit("Reduce", [layer.convert(hit, "int32")], op="sum", axes=(len(x.shape),), keep_dims=0)


@opset("SearchSorted")
def search_sorted(layer: Layer) -> None:
    """For each value the place on the last axis of the sorted input where it belongs; rows of values take those of the sorted input."""
    ordered, values = layer.input(0), layer.input(1)
    rank = len(values.shape)
    if not ordered.shape or (len(ordered.shape) > 1 and ordered.shape[:-1] != values.shape[:-1]):
        raise layer.fail(f"sorted input {list(ordered.shape)} and values {list(values.shape)} do not fit each other")
    if len(ordered.shape) > 1:
        ordered = layer.emit("Reshape", [ordered], shape=(*ordered.shape[:-1], *(1,) * min(rank, 1), ordered.shape[-1]))
    dtype = element_type(layer, "output_type", "i64").name
    op = "less_equal" if layer.bool("right_mode", False) else "less"
    layer.set_output(0, layer.convert(count_bounds(layer, values, ordered, op), dtype))


_BITWISE = {
    "BitwiseAnd": "bit_and",
    "BitwiseOr": "bit_or",
    "BitwiseXor": "bit_xor",
    "BitwiseLeftShift": "shift_left",
    "BitwiseRightShift": "shift_right",
}
_OF_TRUTH = {"bit_and": "logical_and", "bit_or": "logical_or", "bit_xor": "logical_xor"}


@opset(*_BITWISE)
def bitwise(layer: Layer) -> None:
    """Bits of integers of one type; truth values take the logical function."""
    a, b = operands(layer)
    op = next(op for name, op in _BITWISE.items() if name.lower() == layer.type.lower())
    if a.dtype != b.dtype or a.dtype == "float32":
        raise layer.fail(f"element types are {a.dtype} and {b.dtype}, expected one integer type")
    if a.dtype == "bool":
        if op not in _OF_TRUTH:
            raise layer.fail("truth values cannot be shifted")
        op = _OF_TRUTH[op]
    layer.set_output(0, emit_binary(layer, op, a, b))


@opset("BitwiseNot")
def bitwise_not(layer: Layer) -> None:
    x = layer.input(0)
    if x.dtype == "float32":
        raise layer.fail("element type is float32, expected an integer type")
    ones = layer.value(np.array(True if x.dtype == "bool" else 255 if x.dtype == "uint8" else -1, x.dtype), "ones")
    layer.set_output(0, emit_binary(layer, "logical_xor" if x.dtype == "bool" else "bit_xor", x, ones))
