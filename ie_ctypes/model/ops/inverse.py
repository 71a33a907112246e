# SPDX-License-Identifier: Apache-2.0
"""Kind Inverse: matrices turned over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import FLOAT, Attrs, array, expect_dtype, tensor
from ie_ctypes.model.ops.registry import kind, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def infer_inverse(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's type, [..., n, n]."""
    x = tensor(inputs, 0)
    expect_dtype(inputs, FLOAT)
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"the input has shape {list(x.shape)}, expected square matrices")
    return [x]


@kind("Inverse", infer_inverse)
def inverse(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The inverse of each matrix by elimination with the largest pivot of each column; without one, infinities and NaN."""
    x = array(inputs, 0)
    n = x.shape[-1]
    y = np.empty_like(x)
    with np.errstate(all="ignore"):
        for at in np.ndindex(*x.shape[:-2]):
            work = np.concatenate([x[at].astype(np.float64), np.eye(n)], 1)
            for column in range(n):
                pivot = column + int(np.argmax(np.abs(work[column:, column])))
                work[[column, pivot]] = work[[pivot, column]]
                work[column] /= work[column, column]
                others = np.arange(n) != column
                work[others] -= work[others, column : column + 1] * work[column]
            y[at] = work[:, n:]
    return [y]


@opset("Inverse")
def inverse_layer(layer: Layer) -> None:
    """``adjoint`` asks for the transposed inverse."""
    y = layer.emit("Inverse", [layer.float_input(0)])
    if layer.bool("adjoint", False):
        rank = len(y.shape)
        y = layer.emit("Transpose", [y], order=(*range(rank - 2), rank - 1, rank - 2))
    layer.set_output(0, y)
