# SPDX-License-Identifier: Apache-2.0
"""Readers of network files."""

from __future__ import annotations

import os

from ie_ctypes.errors import NotImplementedIEError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers.ir import Source, read_ir, sniff_version

__all__ = ["is_onnx", "read", "read_ir", "sniff_version"]

_SUFFIXES = (".onnx", ".prototxt")
# An ONNX model in memory begins with its version field; an XML text cannot begin with this byte.
_FIRST_BYTE = b"\x08"


def is_onnx(model: Source) -> bool:
    """True for paths that end as those of ONNX models do, and for bytes and file objects that begin like one."""
    if isinstance(model, str | os.PathLike):
        return os.fspath(model).lower().endswith(_SUFFIXES)
    if isinstance(model, bytes | bytearray | memoryview):
        return bytes(model[:1]) == _FIRST_BYTE
    name = getattr(model, "name", "")
    if isinstance(name, str) and name.lower().endswith(_SUFFIXES):
        return True
    if not hasattr(model, "seek") or not hasattr(model, "tell"):
        return False
    position = model.tell()
    first = model.read(1)
    model.seek(position)
    return bool(first == _FIRST_BYTE)


def read(model: Source, weights: Source | None = None) -> Graph:
    """Read a network file of any format, see :func:`~ie_ctypes.model.readers.ir.read_ir`.

    An ONNX model holds its weights itself. Without the package onnx, NotImplementedIEError names the extra that brings it.
    """
    if not is_onnx(model):
        return read_ir(model, weights)
    try:
        import onnx  # noqa: F401
    except ImportError as e:
        raise NotImplementedIEError(f"reading ONNX models needs the package onnx: pip install 'ie_ctypes[onnx]' ({e})") from None
    from ie_ctypes.model.readers.onnx import read_onnx

    return read_onnx(model)
