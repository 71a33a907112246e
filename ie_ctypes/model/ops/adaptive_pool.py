# SPDX-License-Identifier: Apache-2.0
"""Kind AdaptivePool: means or maxima of windows that share an input out evenly; AdaptiveAvgPool, AdaptiveMaxPool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import FLOAT, Attrs, array, expect_dtype, expect_rank, integers, tensor, text
from ie_ctypes.model.ops.registry import kind, opset
from ie_ctypes.model.ops.shape import element_type
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def infer_adaptive_pool(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """x [N, C, s...]: [N, C, sizes...], for ``max`` also the positions."""
    x, sizes = tensor(inputs, 0), integers(attrs, "sizes")
    expect_dtype(inputs, FLOAT)
    rank = expect_rank(x, 3, 5)
    if len(sizes) != rank - 2 or min(sizes) < 1:
        raise ValueError(f"sizes are {list(sizes)}, expected {rank - 2} values >= 1")
    if min(x.shape[2:]) < 1:
        raise ValueError(f"the input of shape {list(x.shape)} is empty")
    shape = x.shape[:2] + sizes
    types = [TensorType("float32", shape)]
    if text(attrs, "mode", ("avg", "max")) == "max":
        types.append(TensorType(text(attrs, "index_dtype", ("int32", "int64")), shape))
    return types


@kind("AdaptivePool", infer_adaptive_pool)
def adaptive_pool(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Window i of an axis is ``[floor(i*in/out), ceil((i+1)*in/out))``; ``max`` adds the flat spatial position of the first maximum."""
    x, sizes = array(inputs, 0), integers(attrs, "sizes")
    spatial = x.shape[2:]
    largest = text(attrs, "mode") == "max"
    y = np.zeros(x.shape[:2] + sizes, np.float32)
    at = np.zeros(y.shape, np.int64)
    positions = np.arange(int(np.prod(spatial))).reshape(spatial)
    for place in np.ndindex(*sizes):
        cut = tuple(slice(i * n // o, -(-(i + 1) * n // o)) for i, n, o in zip(place, spatial, sizes, strict=True))
        inner, outer = ((slice(None), slice(None), *where) for where in (cut, place))
        window = x[inner].reshape(*x.shape[:2], positions[cut].size)
        y[outer] = window.max(-1) if largest else window.mean(-1)
        at[outer] = positions[cut].ravel()[window.argmax(-1)]
    return [y, at.astype(text(attrs, "index_dtype"))] if largest else [y]


@opset("AdaptiveAvgPool")
def adaptive_avg_pool(layer: Layer) -> None:
    layer.set_output(0, layer.emit("AdaptivePool", [layer.float_input(0)], mode="avg", sizes=tuple(layer.const_ints(1))))


@opset("AdaptiveMaxPool")
def adaptive_max_pool(layer: Layer) -> None:
    dtype = element_type(layer, "index_element_type", "i64").name
    sizes = tuple(layer.const_ints(1))
    values, positions = layer.emit_many("AdaptivePool", [layer.float_input(0)], mode="max", sizes=sizes, index_dtype=dtype)
    layer.set_output(0, values)
    layer.set_output(1, positions)
