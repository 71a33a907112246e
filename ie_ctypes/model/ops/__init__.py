# SPDX-License-Identifier: Apache-2.0
"""The layer catalogue: importing it fills the tables of :mod:`ie_ctypes.model.ops.registry`, one module a family."""

from __future__ import annotations

from ie_ctypes.model.ops import (  # noqa: F401
    activation,
    control,
    convert,
    convolution,
    ctc,
    detection,
    einsum,
    elementwise,
    gather,
    gridsample,
    indexing,
    interpolate,
    loops,
    matmul,
    movement,
    normalization,
    pooling,
    priorbox,
    quantize,
    rearrange,
    recurrent,
    reduce,
    resize,
    shape,
    slicing,
    topk,
    yolo,
)
from ie_ctypes.model.ops.registry import KINDS, find_translator

__all__ = ["KINDS", "find_translator"]
