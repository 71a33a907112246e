# SPDX-License-Identifier: Apache-2.0
"""Writer of networks of operation sets, always as IR v10. IR.md section 9."""

from __future__ import annotations

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Graph, Node, Shape
from ie_ctypes.model.writers.xmlwriter import Weights, XmlWriter, is_name, layer_attrs

_BODY_TAGS = {"body": ("body", "port_map"), "then": ("then_body", "then_port_map"), "else": ("else_body", "else_port_map")}


def write_opset(graph: Graph, weights: Weights) -> str:
    """The XML text of a network; its constants go to ``weights``.

    What came with IR v11 (tensor names, runtime attributes, dynamic dimensions) is written too: readers of v10 that do not know it skip it.
    """
    xml = XmlWriter()
    with xml.element("net", {"name": graph.name, "version": 10}):
        _network(xml, graph, weights)
        if graph.preprocess is not None and any(c.image is not None for c in graph.preprocess.channels):
            with xml.element("pre-process", {"reference-layer-name": graph.preprocess.reference, "mean-precision": "FP32"}):
                for i, channel in enumerate(graph.preprocess.channels):
                    if channel.image is not None:
                        offset, size = weights.add(channel.image)
                        with xml.element("channel", {"id": i}):
                            xml.leaf("mean", {"offset": offset, "size": size})
        if graph.rt_info:
            with xml.element("rt_info"):
                _nested(xml, graph.rt_info)
    return xml.text()


def _network(xml: XmlWriter, graph: Graph, weights: Weights) -> None:
    with xml.element("layers"):
        for node in graph.nodes:
            with xml.element("layer", layer_attrs(node, "version", node.version)):
                params = _params(node, weights)
                if params:
                    xml.leaf("data", params)
                xml.attributes(node.rt_info)
                xml.ports("input", node.inputs)
                xml.ports("output", node.outputs)
                for key, body in node.bodies.items():
                    tag, map_tag = _BODY_TAGS[key]
                    xml.port_map(map_tag, body)
                    xml.back_edges(body.back_edges)
                    with xml.element(tag):
                        _network(xml, body.graph, weights)
    xml.edges(graph)


def _params(node: Node, weights: Weights) -> dict[str, object]:
    params: dict[str, object] = dict(node.params)
    if node.type in ("Parameter", "Const"):
        port = node.outputs[0]
        params["element_type"] = BY_NAME[port.precision].element_type
        params["shape"] = _shape_text(node.params.get("shape", ""), port.shape)
    if node.type == "Const":
        if "custom" not in node.blobs:
            raise ModelError(f"layer {node.name} of type Const has no data to write")
        params["offset"], params["size"] = weights.add(node.blobs["custom"].data)
    return params


def _shape_text(text: str, shape: Shape) -> str:
    """The file's own spelling while it says the same as ``shape`` (it may bound a dynamic dimension: ``1..4``)."""
    dims = [t.strip() for t in text.split(",")] if text else []
    same = len(dims) == len(shape) and all(t == str(d) or (d == -1 and not t.isdecimal()) for t, d in zip(dims, shape, strict=True))
    return text if same else ",".join(map(str, shape))


def _nested(xml: XmlWriter, values: dict[str, str]) -> None:
    """Keys joined with ``/`` as nested elements; consecutive keys of one group share it."""
    groups: dict[str, dict[str, str]] = {}
    for key, value in values.items():
        head, _, rest = key.partition("/")
        groups.setdefault(head, {})[rest] = value
    for head, inner in groups.items():
        tag, attrs = (head, {}) if is_name(head) else ("info", {"name": head})
        if "" in inner:
            xml.leaf(tag, {**attrs, "value": inner.pop("")})
        if inner:
            with xml.element(tag, attrs):
                _nested(xml, inner)
