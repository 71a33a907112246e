# SPDX-License-Identifier: Apache-2.0
"""Writer of legacy networks, always as IR v7. IR.md section 2."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.graph import Graph, Node, PreProcess
from ie_ctypes.model.writers.xmlwriter import Weights, XmlWriter, layer_attrs


def write_legacy(graph: Graph, weights: Weights) -> str:
    """The XML text of a network; its blobs go to ``weights``."""
    xml = XmlWriter()
    first = next((n for n in graph.nodes if n.type.lower() == "input"), None)
    batch = first.outputs[0].shape[0] if first is not None and first.outputs[0].shape else 1
    with xml.element("net", {"name": graph.name, "version": 7, "batch": batch}):
        _network(xml, graph, weights)
        if graph.preprocess is not None:
            _pre_process(xml, graph.preprocess, weights)
        if graph.statistics:
            with xml.element("statistics"):
                for name, (low, high) in graph.statistics.items():
                    with xml.element("layer"):
                        xml.leaf("name", text=name)
                        xml.leaf("min", text=",".join(map(repr, low)))
                        xml.leaf("max", text=",".join(map(repr, high)))
    return xml.text()


def _network(xml: XmlWriter, graph: Graph, weights: Weights) -> None:
    with xml.element("layers"):
        for node in graph.nodes:
            with xml.element("layer", layer_attrs(node, "precision", node.precision)):
                _layer(xml, node, weights)
    xml.edges(graph)


def _layer(xml: XmlWriter, node: Node, weights: Weights) -> None:
    if node.params:
        xml.leaf("data", node.params)
    xml.ports("input", node.inputs)
    xml.ports("output", node.outputs)
    if node.blobs:
        default = node.outputs[0].precision if node.type.lower() == "const" and node.outputs else ""
        default = default or node.precision
        with xml.element("blobs"):
            for name, blob in node.blobs.items():
                offset, size = weights.add(blob.data)
                precision = {} if blob.precision == default else {"precision": blob.precision}
                xml.leaf(name, {"offset": offset, "size": size, **precision})
    for body in node.bodies.values():
        xml.port_map("port_map", body)
        xml.back_edges(body.back_edges)
        with xml.element("body"):
            _network(xml, body.graph, weights)


def _pre_process(xml: XmlWriter, section: PreProcess, weights: Weights) -> None:
    with xml.element("pre-process", {"reference-layer-name": section.reference, "mean-precision": "FP32"}):
        for i, channel in enumerate(section.channels):
            with xml.element("channel", {"id": i}):
                if channel.image is not None:
                    offset, size = weights.add(channel.image.astype(np.float32, copy=False))
                    xml.leaf("mean", {"offset": offset, "size": size})
                elif channel.mean is not None:
                    xml.leaf("mean", {"value": repr(channel.mean)})
                if channel.scale is not None:
                    xml.leaf("scale", {"value": repr(channel.scale)})
