# SPDX-License-Identifier: Apache-2.0
"""Opening an ONNX file: protobuf or text, external data, functions unfolded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

import onnx
from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError
from onnx import GraphProto, ModelProto, defs, external_data_helper, inliner

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers.onnx import registry
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
    return import_model(_unfolded(proto, source), source)


def _load(model: Source) -> tuple[bytes, str]:
    if isinstance(model, str | os.PathLike):
        with open(model, "rb") as f:
            return f.read(), os.fspath(model)
    read = getattr(model, "read", None)
    data = bytes(model) if read is None else read()  # type: ignore[arg-type]
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


def _unfolded(proto: ModelProto, source: str) -> ModelProto:
    """The model without calls of functions: its own ones, and operators that ONNX defines by others and that have no converter."""
    try:
        if proto.functions:
            proto = inliner.inline_local_functions(proto)
        versions = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in proto.opset_import}
        for _ in range(4):  # functions may be made of functions
            wanted = {
                (n.domain, n.op_type)
                for g in _graphs(proto.graph)
                for n in g.node
                if registry.find(n.domain, n.op_type) is None and _has_function(n.domain, n.op_type, versions)
            }
            if not wanted:
                break
            proto = inliner.inline_selected_functions(proto, sorted(wanted), inline_schema_functions=True)
    except (RuntimeError, ValueError) as e:
        raise ModelError(f"{source or 'model'}: functions cannot be unfolded: {e}") from None
    return proto


def _has_function(domain: str, op_type: str, versions: dict[str, int]) -> bool:
    domain = "" if domain == "ai.onnx" else domain
    try:
        schema = defs.get_schema(op_type, versions.get(domain, 1), domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
