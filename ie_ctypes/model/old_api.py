# SPDX-License-Identifier: Apache-2.0
"""IR v11 notes on how inputs and outputs looked to the legacy API: axis order and element type (IR.md 9.2)."""

from __future__ import annotations

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_ELEMENT_TYPE
from ie_ctypes.model.graph import Blob, Graph, Node, Port, Shape

_ORDER, _TYPE = "old_api_map_order", "old_api_map_element_type"


def legacy_element_type(node: Node) -> str:
    """Precision that the legacy API shows for an input, where the file tells; else ""."""
    name = node.rt_info.get(_TYPE, {}).get("value", "").strip().lower()
    return BY_ELEMENT_TYPE[name].name if name in BY_ELEMENT_TYPE else ""


def _order(graph: Graph, node: Node, rank: int) -> tuple[int, ...]:
    text = node.rt_info.get(_ORDER, {}).get("value", "")
    try:
        order = tuple(int(t) for t in text.split(",") if t.strip())
    except ValueError:
        order = (-1,)
    if order and sorted(order) != list(range(rank)):
        where = f"{graph.source}: " if graph.source else ""
        raise ModelError(f"{where}layer {node.name}: {_ORDER} is {text!r}, expected a permutation of {rank} axes")
    return order


def restore_axis_order(graph: Graph) -> None:
    """Turn the axis-order notes of an IR v11 graph into Transpose layers, so that inputs and outputs have the legacy shapes.

    A note of a Parameter is the order that makes the network's tensor of the user's; that of a Result makes the user's of the network's.
    """
    users = graph.consumers()
    for node in list(graph.nodes):
        if _ORDER not in node.rt_info:
            continue
        if node.type == "Parameter":
            port = node.outputs[0]
            order = _order(graph, node, len(port.shape))
            inner = port.shape
            port.shape = tuple(inner[order.index(i)] for i in range(len(order))) if order else inner
            if order:
                transpose = _insert(graph, f"{node.name}/legacy_order", (node, 0), port, order, inner)
                for user, index in users.get((id(node), 0), []):
                    user.sources[index] = (transpose, 0)
        elif node.type == "Result" and node.sources[0] is not None:
            producer, index = node.sources[0]
            tensor = producer.outputs[index]
            order = _order(graph, node, len(tensor.shape))
            if order:
                shape = tuple(tensor.shape[i] for i in order)
                name = producer.output_name(index)
                producer.name = f"{producer.name}/new_order"  # the legacy API knows the output by the old name
                node.sources[0] = (_insert(graph, name, (producer, index), tensor, order, shape), 0)
                node.inputs[0].shape = shape
        del node.rt_info[_ORDER]


def _insert(graph: Graph, name: str, source: tuple[Node, int], tensor: Port, order: tuple[int, ...], shape: Shape) -> Node:
    """A Transpose of ``source`` at the end of the graph's list."""
    unused = max(n.id for n in graph.nodes) + 1
    count = (len(order),)
    axes = Node(unused, f"{name}/order", "Const", version="opset1", outputs=[Port(0, count, "I64")])
    axes.params = {"element_type": "i64", "shape": str(len(order))}
    axes.blobs["custom"] = Blob("I64", np.array(order, np.int64))
    node = Node(unused + 1, name, "Transpose", version="opset1")
    node.inputs = [Port(0, tensor.shape, tensor.precision), Port(1, count, "I64")]
    node.outputs = [Port(2, shape, tensor.precision)]
    node.sources = [source, (axes, 0)]
    graph.nodes += [axes, node]
    return node
