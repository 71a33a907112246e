# SPDX-License-Identifier: Apache-2.0
"""Readers of network files."""

from __future__ import annotations

from ie_ctypes.errors import NotImplementedIEError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers.ir import Source, read_ir, sniff_version

__all__ = ["read_ir", "read_onnx", "sniff_version"]


def read_onnx(model: Source) -> Graph:
    """Read an ONNX model, which holds its weights itself.

    Without the package onnx, NotImplementedIEError names the extra that brings it.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as e:
        raise NotImplementedIEError(f"reading ONNX models needs the package onnx: pip install 'ie_ctypes[onnx]' ({e})") from None
    from ie_ctypes.model.readers import onnx as reader

    return reader.read_onnx(model)
