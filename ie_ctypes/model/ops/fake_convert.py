# SPDX-License-Identifier: Apache-2.0
"""FakeConvert: numbers as an 8-bit floating type would keep them, from elementwise kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

#: Type -> stored bits of the mantissa, exponents of the smallest normal and of the largest number, largest number.
_TYPES = {"f8e4m3": (3, -6, 8, 448.0), "f8e5m2": (2, -14, 15, 57344.0)}


def _rounded(layer: Layer, x: Value, kind: str) -> Value:
    """Half to even, up to the largest number; the step around a number is looked up by how many powers of two it reaches.

    The original comes from half precision, so ties are those of halves.
    """
    x = layer.convert(layer.convert(x, "float16"), "float32")
    mantissa, lowest, top, largest = _TYPES[kind]
    exponents = np.arange(lowest, top + 1)
    powers = layer.value(np.exp2(exponents[1:]).astype(np.float32), "powers")
    size = layer.emit("Unary", [x], op="abs")
    reached = layer.emit("Binary", [layer.reshape(size, (*x.shape, 1)), powers], op="greater_equal")
    index = layer.emit("Reduce", [layer.convert(reached, "int32")], op="sum", axes=(len(x.shape),), keep_dims=0)
    steps = layer.value(np.exp2(exponents - mantissa).astype(np.float32), "steps")
    step = layer.emit("Gather", [steps, index], axis=0, batch_dims=0, wrap=0)
    whole = layer.emit("Unary", [layer.emit("Binary", [x, step], op="div")], op="round_even")
    return layer.emit("Unary", [layer.emit("Binary", [whole, step], op="mul")], op="clamp", alpha=-largest, beta=largest)


@opset("FakeConvert")
def fake_convert(layer: Layer) -> None:
    """``(f8(x * scale - shift) + shift) / scale``; what is larger than the type goes to its largest number."""
    kind = layer.str("destination_type", "f8e4m3").lower()
    if kind not in _TYPES:
        raise layer.fail(f"attribute 'destination_type' is {kind!r}, expected one of {', '.join(_TYPES)}")
    x, scale = layer.float_input(0), layer.float_input(1)
    shift = layer.float_input(2) if layer.has_input(2) else None
    y = layer.emit("Binary", [x, scale], op="mul")
    if y.shape != x.shape:
        raise layer.fail(f"a scale of shape {list(scale.shape)} does not fit data of shape {list(x.shape)}")
    y = layer.emit("Binary", [y, shift], op="sub") if shift is not None else y
    y = _rounded(layer, y, kind)
    y = layer.emit("Binary", [y, shift], op="add") if shift is not None else y
    layer.set_output(0, layer.emit("Binary", [y, scale], op="div"))
