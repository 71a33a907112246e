# SPDX-License-Identifier: Apache-2.0
"""Reader of IR v2 to v7: layers with attributes and blobs. IR.md sections 2, 3 and 5.4."""

from __future__ import annotations

import math

from ie_ctypes.model.graph import Body, Graph, Node
from ie_ctypes.model.readers.base import FileReader
from ie_ctypes.model.readers.xmltree import Element, text_of

#: Parts of a layer that are never its data element, whatever the layer type is called.
_STRUCTURE = frozenset({"input", "output", "blobs", "weights", "biases", "port_map", "back_edges", "body"})
_DATA_NAMES = {
    "fullyconnected": ("fc", "fc_data"),
    "innerproduct": ("fc", "fc_data"),
    "lrn": ("lrn", "norm", "lrn_data", "norm_data"),
    "norm": ("lrn", "norm", "lrn_data", "norm_data"),
    "crop": ("crop", "crop-data"),
    "batchnormalization": ("batch_norm", "batch_norm_data"),
    "eltwise": ("elementwise", "elementwise_data"),
    "activation": ("activation", "activation_data"),
}
_ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "prelu": "PReLU",
    "clamp": "Clamp",
    "elu": "ELU",
    "sigmoid": "Sigmoid",
    "tanh": "TanH",
}
#: Layer types that may stand alone.
_SOURCES = frozenset({"input", "const", "memory"})


class LegacyReader(FileReader):
    """Reads one legacy network."""

    legacy = True

    def read(self, net: Element) -> Graph:
        """The network of a ``<net>`` element."""
        graph = Graph(name=net.get("name", ""), version=self.version, source=self.source)
        graph.nodes = self.network(net, self.precision(net))
        inputs = [n for n in graph.nodes if n.type.lower() == "input"]
        if not inputs:
            raise self.fail(net, "Incorrect model! Network doesn't contain input layers.")
        self.check_connections(net, graph.nodes)
        found = {n.precision for n in graph.nodes}
        graph.precision = "MIXED" if len(found) > 1 else found.pop() or "UNSPECIFIED"
        graph.preprocess = self.pre_process(net, inputs)
        graph.statistics = self.statistics(net)
        graph.check_order()
        return graph

    def network(self, parent: Element, precision: str) -> list[Node]:
        """Layers and edges below ``parent``; ``precision`` is the default of its layers."""
        nodes = self.layers(parent, lambda element, number, name: self.node(element, number, name, precision))
        names: dict[str, Node] = {}
        for n in nodes:
            if names.setdefault(n.name, n) is not n:
                raise self.fail(parent, f"layer name {n.name!r} is used by the layers with id {names[n.name].id} and {n.id}")
        outputs: set[str] = set()
        for n in nodes:
            for i in range(len(n.outputs)):
                if n.output_name(i) in outputs:
                    raise self.fail(parent, f"two layers set to the same output [{n.output_name(i)}]")
                outputs.add(n.output_name(i))
        self.edges(parent, nodes)
        return nodes

    def node(self, element: Element, number: int, name: str, precision: str) -> Node:
        """One layer without its edges."""
        node = Node(id=number, name=name, type=self.text(element, "type"))
        if element.get("precision", "").upper() == "MIXED":
            raise self.fail(element, f"Layer precision must not be MIXED, at layer name: {name}")
        node.precision = self.precision(element) or precision
        node.affinity = element.get("affinity", "")
        node.inputs = self.ports(element, "input")
        node.outputs = self.ports(element, "output")
        if node.type.lower() == "input" and len(node.outputs) != 1:
            raise self.fail(element, f"Input layer must have 1 output. {name} has {len(node.outputs)}")
        node.params = self.params(element, node.type)
        if node.type.lower() == "activation" and node.params.get("type", "").lower() in _ACTIVATIONS:
            node.type = _ACTIVATIONS[node.params.pop("type").lower()]
        self.blobs(element, node)
        if element.find("body") is not None:
            self.body(element, node)
        return node

    def params(self, element: Element, layer_type: str) -> dict[str, str]:
        """Attributes of the data element, whichever of its names it has."""
        kind = layer_type.lower()
        names = ("data", f"{kind}_data", kind, *_DATA_NAMES.get(kind, ()))
        by_tag = {c.tag.lower(): c for c in reversed(element) if c.tag.lower() not in _STRUCTURE}
        data = next((by_tag[n] for n in names if n in by_tag), None)
        if data is None:
            return {}
        params = dict(data.attrib)
        if kind == "crop":
            for key in ("axis", "offset", "dim"):
                values = [c.attrib[key] for c in data.findall("crop") if key in c.attrib]
                if values:
                    params[key] = ",".join(values)
        return params

    def blobs(self, element: Element, node: Node) -> None:
        """Weights, in ``<blobs>`` or directly below the layer as in the oldest files."""
        default = node.outputs[0].precision if node.type.lower() == "const" and node.outputs else ""
        section = element.find("blobs")
        found = [c for c in element if c.tag in ("weights", "biases")]
        for blob in [*found, *(section if section is not None else ())]:
            if self.integer(blob, "size", high=2**63 - 1) == 0:
                continue
            if blob.tag in node.blobs:
                raise self.fail(blob, f"blob {blob.tag!r} is given twice")
            node.blobs[blob.tag] = self.segment(blob, self.precision(blob) or default or node.precision)
        if node.type.lower() == "const" and "custom" in node.blobs and node.outputs:
            data, shape = node.blobs["custom"].data, node.outputs[0].shape
            if node.blobs["custom"].precision != "BIN" and data.size != math.prod(shape):
                got = f"{data.nbytes} bytes which are {data.size} elements"
                raise self.fail(element, f"bytes size weights for {node.name} mismatch, expecting {list(shape)}, got {got}")

    def body(self, element: Element, node: Node) -> None:
        """The body of a TensorIterator."""
        section = element.find("body")
        assert section is not None
        graph = Graph(name=node.name, version=self.version, source=self.source)
        graph.nodes = self.network(section, node.precision)
        inputs, outputs = self.port_map(element, "port_map", node, graph)
        body = Body(graph, inputs, outputs)
        self.back_edges(element, body)
        mapped = {(row.internal_layer_id, row.internal_port_id) for row in inputs}
        for inner in graph.nodes:
            for i, port in enumerate(inner.inputs):
                if (inner.sources[i] is None) != ((inner.id, port.id) in mapped):
                    if inner.sources[i] is None:
                        raise self.unconnected(section, inner, i)
                    raise self.fail(section, f"input port {port.id} of body layer {inner.name} has an edge and a port map row")
        graph.check_order()
        node.bodies["body"] = body

    def check_connections(self, net: Element, nodes: list[Node]) -> None:
        """Every input has an edge, and no layer stands alone."""
        used = {id(s[0]) for n in nodes for s in n.sources if s is not None}
        for n in nodes:
            for i, source in enumerate(n.sources):
                if source is None:
                    raise self.unconnected(net, n, i)
            if not n.sources and id(n) not in used and n.type.lower() not in _SOURCES:
                raise self.fail(net, f"Layer {n.name} does not have any edge connected to it")

    def statistics(self, net: Element) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
        """Minimum and maximum of each channel of the outputs of calibrated layers."""
        section = net.find("statistics")
        found: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        for element in section.findall("layer") if section is not None else ():
            parts = [element.find(tag) for tag in ("name", "min", "max")]
            name, low, high = parts
            if name is None or low is None or high is None:
                raise self.fail(element, "a layer of <statistics> needs <name>, <min> and <max>")
            limits = self.floats(low, text_of(low)), self.floats(high, text_of(high))
            if len(limits[0]) != len(limits[1]):
                raise self.fail(element, f"statistics of {text_of(name)}: {len(limits[0])} minima and {len(limits[1])} maxima")
            found[text_of(name)] = limits
        return found
