# SPDX-License-Identifier: Apache-2.0
"""The layer catalogue: importing it fills the tables of :mod:`ie_ctypes.model.ops.registry`, one module a family."""

from __future__ import annotations

from ie_ctypes.model.ops import (  # noqa: F401
    activation,
    convert,
    convolution,
    ctc,
    elementwise,
    gather,
    interpolate,
    matmul,
    movement,
    normalization,
    pooling,
    quantize,
    rearrange,
    reduce,
    resize,
    shape,
    slicing,
    topk,
)
