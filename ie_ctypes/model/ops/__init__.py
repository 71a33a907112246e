# SPDX-License-Identifier: Apache-2.0
"""The layer catalogue: importing it fills the tables of :mod:`ie_ctypes.model.ops.registry`, one module a family."""

from __future__ import annotations

from ie_ctypes.model.ops import (  # noqa: F401
    activation,
    control,
    convert,
    convolution,
    ctc,
    ctc_loss,
    detection,
    detectron,
    einsum,
    elementwise,
    gather,
    gather_tree,
    gridsample,
    indexing,
    interpolate,
    loops,
    matmul,
    movement,
    multiclass_nms,
    nms,
    normalization,
    pooling,
    priorbox,
    proposal,
    quantize,
    predicates,
    rearrange,
    recurrent,
    reduce,
    resize,
    roi_align,
    roi_pooling,
    scatter,
    shape,
    slicing,
    topk,
    yolo,
)
from ie_ctypes.model.ops.registry import KINDS, find_translator

__all__ = ["KINDS", "find_translator"]
