# SPDX-License-Identifier: Apache-2.0
"""ONNX models as graphs of operation-set layers. Importing it needs the package ``onnx`` (extra ``ie_ctypes[onnx]``)."""

from __future__ import annotations

from ie_ctypes.model.readers.onnx import (  # noqa: F401
    activation,
    casts,
    control,
    convolution,
    elementwise,
    indexing,
    matrix,
    normalization,
    pooling,
    quantize,
    recurrent,
    reduce,
    resize,
    sequences,
    shapes,
    signal,
    trees,
)
from ie_ctypes.model.readers.onnx.load import read_onnx

__all__ = ["read_onnx"]
