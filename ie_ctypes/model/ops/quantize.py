# SPDX-License-Identifier: Apache-2.0
"""Kind FakeQuantize, and the layers Quantize and FakeQuantize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import FLOAT, Attrs, array, broadcast, expect_dtype, integer, tensor
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def infer_fake_quantize(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The shape of the data, which the limits broadcast to."""
    x = tensor(inputs, 0)
    expect_dtype([tensor(inputs, i) for i in range(5)], FLOAT)
    if integer(attrs, "levels") < 2:
        raise ValueError(f"levels is {attrs['levels']}, expected >= 2")
    shape = broadcast(x.shape, *(tensor(inputs, i).shape for i in range(1, 5)))
    if shape != x.shape:
        raise ValueError(f"limits broadcast the data {list(x.shape)} to {list(shape)}")
    return [TensorType("float32", shape)]


@kind("FakeQuantize", infer_fake_quantize)
def fake_quantize(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``levels`` steps between the input limits, mapped to the output limits (formula in docs/kinds.md)."""
    x, il, ih, ol, oh = (array(inputs, i) for i in range(5))
    steps = np.float32(integer(attrs, "levels") - 1)
    with np.errstate(all="ignore"):
        y = np.rint((x - il) / (ih - il) * steps) / steps * (oh - ol) + ol
    y = np.where(x > np.maximum(il, ih), oh, y)
    return [np.where(x <= np.minimum(il, ih), ol, y).astype(np.float32, copy=False)]


@legacy("Quantize", "FakeQuantize")
@opset("FakeQuantize")
def fake_quantize_layer(layer: Layer) -> None:
    levels = layer.int("levels")
    if levels < 2:
        raise layer.fail(f"attribute 'levels' is {levels}, expected >= 2")
    inputs = [layer.float_input(i) for i in range(5)]
    layer.set_output(0, layer.emit("FakeQuantize", inputs, levels=levels))
