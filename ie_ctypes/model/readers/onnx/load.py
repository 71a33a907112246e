# SPDX-License-Identifier: Apache-2.0
"""Opening an ONNX file: protobuf or text, with external data."""

from __future__ import annotations

import os
from typing import IO, Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.text_format import ParseError  # type: ignore[import-untyped]
from onnx import ModelProto, external_data_helper

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers.onnx.importer import import_model

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[Any]


def read_onnx(model: Source) -> Graph:
    """The graph of an ONNX model: a path, bytes, or a binary file object. A path ``.prototxt`` is the text form.

    External data lies beside the file. Raises ModelError for every fault of the file, NotImplementedIEError for operators that have no
    layers here, OSError for paths that cannot be read.
    """
    data, source = _load(model)
    try:
        proto = onnx.load_model_from_string(data, format="textproto" if source.endswith(".prototxt") else "protobuf")
    except (DecodeError, ParseError, UnicodeDecodeError) as e:
        raise ModelError(f"{source or 'model'} is not an ONNX model: {e}") from None
    if not proto.HasField("graph"):
        raise ModelError(f"{source or 'model'} is not an ONNX model: it has no graph")
    _external_data(proto, source, isinstance(model, str | os.PathLike))
    return import_model(proto, source)


def _load(model: Source) -> tuple[bytes, str]:
    if isinstance(model, str | os.PathLike):
        with open(model, "rb") as f:
            return f.read(), os.fspath(model)
    read = getattr(model, "read", None)
    data = bytes(model) if read is None else read()
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"model: read() gave {type(data).__name__}, expected bytes")
    name = getattr(model, "name", "")
    return bytes(data), name if isinstance(name, str) else ""


def _external_data(proto: ModelProto, source: str, is_path: bool) -> None:
    """Bring tensors that lie in other files into the model."""
    tensors = [t for t in external_data_helper._get_all_tensors(proto) if external_data_helper.uses_external_data(t)]
    if not tensors:
        return
    if not is_path:
        raise ModelError(f"tensor {tensors[0].name} lies in another file: read such a model from its path")
    try:
        external_data_helper.load_external_data_for_model(proto, os.path.dirname(os.path.abspath(source)))
    except (OSError, ValueError, onnx.checker.ValidationError) as e:
        raise ModelError(f"{source}: external data cannot be read: {e}") from None
