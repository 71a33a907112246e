# SPDX-License-Identifier: Apache-2.0
"""Kind CumSum and its layer: running sums along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, Attrs, array, check_axis, expect_dtype, integer, tensor
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def infer_cumsum(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's type."""
    x = tensor(inputs, 0)
    expect_dtype(inputs, NUMBERS)
    check_axis(integer(attrs, "axis"), len(x.shape))
    return [x]


@kind("CumSum", infer_cumsum)
def cumsum(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Sum of the elements up to each position; ``exclusive`` leaves the position's own out, ``reverse`` counts from the end."""
    x, axis = array(inputs, 0), integer(attrs, "axis")
    if integer(attrs, "reverse"):
        x = np.flip(x, axis)
    y = np.cumsum(x, axis=axis, dtype=x.dtype)
    if integer(attrs, "exclusive") and x.shape[axis]:
        y = np.roll(y, 1, axis)
        y[(slice(None),) * axis + (0,)] = 0
    return [np.ascontiguousarray(np.flip(y, axis)) if integer(attrs, "reverse") else y]


@legacy("CumSum")
@opset("CumSum")
def cumsum_layer(layer: Layer) -> None:
    """The axis is the second input, 0 without one. Small integers are summed as int32."""
    x = layer.input(0)
    work = x if x.dtype in NUMBERS else layer.convert(x, "int32")
    axis = layer.axis(int(layer.scalar_input(1)) if layer.has_input(1) else 0, len(x.shape))
    attrs = {name: int(layer.bool(name, False)) for name in ("exclusive", "reverse")}
    layer.set_output(0, layer.convert(layer.emit("CumSum", [work], axis=axis, **attrs), x.dtype))
