# SPDX-License-Identifier: Apache-2.0
"""Functions: operators that a model, or the ONNX standard, defines by other operators."""

from __future__ import annotations

from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TypeProto, defs, helper

from ie_ctypes.model.readers.onnx.casts import element_of
from ie_ctypes.model.readers.onnx.registry import Item
from ie_ctypes.model.readers.onnx.scope import Tensor


def local_functions(model: ModelProto) -> dict[tuple[str, str, str], FunctionProto]:
    """The model's own functions by domain, name and overload."""
    return {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}


def standard_function(node: NodeProto, version: int, inputs: list[Item]) -> FunctionProto | None:
    """The body that the standard gives an operator, or None. Some depend on the types of the inputs."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        schema: Any = defs.get_schema(node.op_type, version, domain)
    except defs.SchemaError:
        return None
    data = b""
    versions = [v for v in schema.function_opset_versions if v <= version]
    if versions:
        data = schema.get_function_with_opset_version(versions[-1])
    versions = [v for v in schema.context_dependent_function_opset_versions if v <= version]
    if versions and not data:
        types = [_type(item).SerializeToString() for item in inputs]
        data = schema.get_context_dependent_function_with_opset_version(versions[-1], node.SerializeToString(), types)
    if not data:
        return None
    function = FunctionProto()
    function.ParseFromString(data)
    given = {a.name for a in function.attribute_proto}
    for name, attribute in schema.attributes.items():
        if name not in given and attribute.default_value.name:
            function.attribute_proto.append(attribute.default_value)
    return function


def _type(item: Item) -> TypeProto:
    if not isinstance(item, Tensor):
        return TypeProto()
    value = item.value
    return helper.make_tensor_type_proto(element_of(item), None if value is None else list(value.shape))


def bound(function: FunctionProto, node: NodeProto) -> list[NodeProto]:
    """The nodes of a function with the attributes of its caller, or its defaults, in their places."""
    values = {a.name: a for a in function.attribute_proto} | {a.name: a for a in node.attribute}
    return [_bound_node(n, values) for n in function.node]


def _bound_node(node: NodeProto, values: dict[str, AttributeProto]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in values:
                copy.attribute.add().CopyFrom(values[attribute.ref_attr_name])
                copy.attribute[-1].name = attribute.name
            continue
        copy.attribute.add().CopyFrom(attribute)
        if attribute.HasField("g"):
            _bind_graph(copy.attribute[-1].g, values)
    return copy


def _bind_graph(graph: GraphProto, values: dict[str, AttributeProto]) -> None:
    nodes = [_bound_node(n, values) for n in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
