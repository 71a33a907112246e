# SPDX-License-Identifier: Apache-2.0
"""NonZero and CumSum, made of constants and of sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset
from ie_ctypes.model.ops.shape import element_type

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

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
