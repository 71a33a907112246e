# SPDX-License-Identifier: Apache-2.0
"""Reader of IR v10 and v11: operations of versioned sets, constants as layers, results as layers. IR.md section 9."""

from __future__ import annotations

import math

from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Blob, Body, Graph, Node, Shape
from ie_ctypes.model.readers.base import FileReader, packed_type
from ie_ctypes.model.readers.xmltree import Element, text_of

#: (key of ``Node.bodies``, tag of the body, tag of its port map)
_BODIES = (("body", "body", "port_map"), ("then", "then_body", "then_port_map"), ("else", "else_body", "else_port_map"))
#: How layer types that every file has are spelt here.
_TYPES = {"constant": "Const", "const": "Const", "parameter": "Parameter", "result": "Result"}
#: What is kept: these, and all that they are computed from.
_ROOTS = frozenset({"Result", "Assign", "Parameter"})


class OpsetReader(FileReader):
    """Reads one network of operation sets."""

    legacy = False

    def read(self, net: Element) -> Graph:
        """The network of a ``<net>`` element."""
        graph = Graph(name=net.get("name", ""), version=self.version, precision="UNSPECIFIED", source=self.source)
        self.network(net, graph)
        graph.preprocess = self.pre_process(net, [n for n in graph.nodes if n.type == "Parameter"])
        section = net.find("rt_info")
        if section is not None:
            graph.rt_info = _flatten(section)
        return graph

    def network(self, parent: Element, graph: Graph) -> None:
        """Layers and edges below ``parent``; what no result needs is dropped."""
        nodes = self.layers(parent, self.node)
        names: set[str] = set()
        for n in nodes:
            if n.type != "Result" and n.name in names:
                raise self.fail(parent, f"Invalid IR! {n.name} name is not unique!")
            if n.type != "Result":
                names.add(n.name)
        self.edges(parent, nodes)
        if not any(n.type in ("Result", "Assign") for n in nodes):
            raise self.fail(parent, "Incorrect model! Network has no Result layer.")
        todo = [n for n in nodes if n.type in _ROOTS]
        kept = {id(n) for n in todo}
        while todo:
            n = todo.pop()
            for i, source in enumerate(n.sources):
                if source is None:
                    raise self.unconnected(parent, n, i)
                if id(source[0]) not in kept:
                    kept.add(id(source[0]))
                    todo.append(source[0])
        graph.nodes = [n for n in nodes if id(n) in kept]
        graph.check_order()

    def node(self, element: Element, number: int, name: str) -> Node:
        """One operation without its edges."""
        given = self.text(element, "type")
        node = Node(number, name, _TYPES.get(given.lower(), given), self.text(element, "version"))
        node.inputs = self.ports(element, "input")
        node.outputs = self.ports(element, "output", need_precision=True)
        node.rt_info = self.attributes(element)
        data = element.find("data")
        if data is not None:
            node.params = dict(data.attrib)
        if node.type in ("Parameter", "Const", "Result"):
            wanted = (1, len(node.outputs)) if node.type == "Result" else (0, 1)
            if (len(node.inputs), len(node.outputs)) != wanted:
                raise self.fail(
                    element, f"a {node.type} has {wanted[0]} inputs and {wanted[1]} outputs, got {len(node.inputs)} and {len(node.outputs)}"
                )
        if node.type in ("Parameter", "Const"):
            if data is None:
                raise self.fail(element, f"a {node.type} needs <data>")
            self.declared(data, node)
        if node.type == "Const" and data is not None:
            self.constant(data, node)
        self.bodies(element, node)
        return node

    def declared(self, data: Element, node: Node) -> None:
        """``element_type`` and ``shape`` of a Parameter or Const win over its port, as in the original; absent ones are taken from it."""
        port = node.outputs[0]
        if node.type == "Parameter" and packed_type(data.get("element_type", "").strip()) is not None:
            raise self.fail(data, f"an input of element type {data.get('element_type')} is not supported")
        if "element_type" in node.params:
            port.precision = self.precision(data, "element_type")
        if not port.precision:
            raise self.fail(data, "element_type is missing or undefined")
        if "shape" in node.params:
            port.shape = self.attribute_shape(data)
        node.params.setdefault("element_type", BY_NAME[port.precision].element_type)
        if "shape" not in node.params:
            node.params["shape"] = ",".join(map(str, port.shape))

    def attribute_shape(self, data: Element) -> Shape:
        """The ``shape`` attribute: ``1,3,-1``, ``?,3,1..4``, empty for a scalar."""
        given = data.attrib["shape"]
        shape = self._shapes.get(given)
        if shape is None:
            text = given.strip().removeprefix("[").removesuffix("]").strip()
            if text == "...":
                raise self.fail(data, "attribute 'shape' has a dynamic rank, which is not supported")
            shape = self._shapes[given] = self.shape(data, [self.dimension(data, t) for t in text.split(",")] if text else [])
        return shape

    def constant(self, data: Element, node: Node) -> None:
        """The value of a Const, as the blob ``custom``."""
        port = node.outputs[0]
        if min(port.shape, default=0) < 0:
            raise self.fail(data, f"a constant cannot have the dynamic shape {list(port.shape)}")
        no_file = "Empty weights data in bin file or bin file cannot be found!"
        name = data.get("element_type", "").strip()
        packed = packed_type(name)
        stored = "U8" if packed is not None else port.precision
        blob = self.segment(data, stored, no_file if self.weights is None else "Incorrect weights in bin file!")
        count = math.prod(port.shape)
        expected = (count * packed.bits + 7) // 8 if packed is not None else BY_NAME[stored].bytes_for(count)
        if blob.data.nbytes < expected:
            raise self.fail(
                data,
                f"Attribute and shape size are inconsistent for Const op! size is {blob.data.nbytes} bytes,"
                f" expected at least {expected} for shape {list(port.shape)} of {stored if packed is None else name.upper()}",
            )
        if packed is not None:
            from ie_ctypes.model.readers.packed import unpacked

            blob = Blob(port.precision, unpacked(name.upper(), blob.data, count))
            node.params["element_type"] = BY_NAME[port.precision].element_type
        elif blob.data.nbytes > expected:
            blob.data = blob.data[: expected // blob.data.itemsize]
        node.blobs["custom"] = blob
        node.params.pop("offset")
        node.params.pop("size")

    def bodies(self, element: Element, node: Node) -> None:
        """The sub-networks of TensorIterator, Loop and If."""
        for key, tag, map_tag in _BODIES:
            section = element.find(tag)
            if section is None:
                continue
            graph = Graph(name=section.get("name", ""), version=self.version, precision="UNSPECIFIED", source=self.source)
            self.network(section, graph)
            body = Body(graph, *self.port_map(element, map_tag, node, graph))
            if key == "body":
                self.back_edges(element, body)
            node.bodies[key] = body


def _flatten(section: Element) -> dict[str, str]:
    """Nested elements with a ``value`` as a flat dictionary; keys of the levels are joined with ``/``."""
    found: dict[str, str] = {}
    todo = [(e.get("name", e.tag), e) for e in section]
    while todo:
        key, element = todo.pop(0)
        if len(element):
            todo = [(f"{key}/{e.get('name', e.tag)}", e) for e in element] + todo
        else:
            found[key] = element.get("value", text_of(element))
    return found
