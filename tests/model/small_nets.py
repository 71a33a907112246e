# SPDX-License-Identifier: Apache-2.0
"""Helpers of the reader and writer tests: networks as plain data, small example networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import BackEdge, Body, Graph, Port, PortMap

DATA = Path(os.environ.get("IE_TEST_DATA", Path(__file__).parents[2].parent / "shared"))


def plain(graph: Graph, *, version: bool = True) -> dict[str, Any]:
    """Everything that a graph says, comparable with ``==``; blobs as bytes."""
    return {
        "name": graph.name,
        "version": graph.version if version else 0,
        "precision": graph.precision,
        "statistics": graph.statistics,
        "rt_info": graph.rt_info,
        "preprocess": graph.preprocess
        and (
            graph.preprocess.reference,
            [(c.mean, c.scale, None if c.image is None else c.image.tolist()) for c in graph.preprocess.channels],
        ),
        "nodes": [_node(n, version) for n in graph.nodes],
    }


def _node(node: Any, version: bool) -> dict[str, Any]:
    fields = ("id", "name", "type", "version", "precision", "params", "inputs", "outputs", "rt_info", "affinity")
    found = {k: getattr(node, k) for k in fields}
    found["sources"] = [s and (s[0].id, s[1]) for s in node.sources]
    found["blobs"] = {k: (b.precision, b.data.dtype.str, b.data.tobytes()) for k, b in node.blobs.items()}
    found["bodies"] = {
        k: (_body_of(b, version), b.inputs, b.outputs, b.back_edges) for k, b in node.bodies.items()
    }  # fmt: skip
    return found


def _body_of(body: Body, version: bool) -> dict[str, Any]:
    found = plain(body.graph, version=version)
    del found["name"], found["precision"]
    return found


def legacy_net() -> Graph:
    """Convolution, pooling, a constant, a two-output layer, pre-processing and statistics, IR v7."""
    rng = np.random.default_rng(1)
    net = NetworkBuilder.legacy("small")
    data = net.input("data", (1, 3, 8, 8))
    weights = {"weights": rng.normal(size=4 * 3 * 9).astype(np.float32), "biases": np.arange(4, dtype=np.float32)}
    params = {"kernel": (3, 3), "strides": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "output": 4, "group": 1}
    conv = net.layer("Convolution", "conv", [data], [(1, 4, 8, 8)], params=params, blobs=weights)
    relu = net.layer("ReLU", "relu", [conv], [(1, 4, 8, 8)], params={"negative_slope": 0.1})
    split = net.layer("Split", "split", [relu], [(1, 2, 8, 8), (1, 2, 8, 8)], params={"axis": 1})
    const = net.constant("const", rng.normal(size=(1, 2, 8, 8)).astype(np.float32))
    add = net.layer("Eltwise", "add", [(split, 0), const], [(1, 2, 8, 8)], params={"operation": "sum"})
    net.layer("Concat", "cat", [add, (split, 1)], [(1, 4, 8, 8)], params={"axis": 1})
    graph = net.graph()
    graph.statistics["conv"] = ((0.0, -1.5, 0.25, 0.0), (1.0, 2.0, 3.0, 4.0))
    return graph


def legacy_loop() -> Graph:
    """A TensorIterator that sums slices, IR v7."""
    body = NetworkBuilder.legacy("body")
    total = body.layer("Eltwise", "total", [Port(0, (1, 2)), Port(1, (1, 2))], [(1, 2)], params={"operation": "sum"})
    rows = [PortMap(0, 0, 0, axis=0), PortMap(1, 0, 1)]
    inner = Body(body.graph(), rows, [PortMap(2, total.id, 2)], [BackEdge(0, 0, 2, 1)])
    net = NetworkBuilder.legacy("loop")
    x, start = net.input("x", (5, 2)), net.input("start", (1, 2))
    net.layer("TensorIterator", "sum", [x, start], [(1, 2)], bodies={"body": inner})
    return net.graph()


def opset_net() -> Graph:
    """Convolution, an unaligned constant, a two-output layer and two results, IR v10."""
    rng = np.random.default_rng(2)
    net = NetworkBuilder.opset("small")
    data = net.input("data", (1, 3, 8, 8))
    flag = net.constant("axis", np.array(1, np.int8))
    axis = net.layer("Convert", "axis64", [flag], [()], params={"destination_type": "i64"}, precision="I64")
    kernel = net.constant("kernel", rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    params = {"strides": (1, 1), "dilations": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "auto_pad": "explicit"}
    conv = net.layer("Convolution", "conv", [data, kernel], [(1, 4, 8, 8)], params=params)
    conv.outputs[0].names = ("conv:0", "with,comma")
    conv.rt_info["fused_names"] = {"version": "0", "value": "a & b"}
    split = net.layer("Split", "split", [conv, axis], [(1, 2, 8, 8)] * 2, params={"num_splits": 2})
    net.result(net.layer("Relu", "relu", [(split, 0)], [(1, 2, 8, 8)]))
    net.result((split, 1))
    return net.graph()


def opset_loop() -> Graph:
    """A TensorIterator that sums slices, IR v10."""
    body = NetworkBuilder.opset("body")
    part, carried = body.input("part", (1, 2)), body.input("carried", (1, 2))
    total = body.result(body.layer("Add", "total", [part, carried], [(1, 2)], params={"auto_broadcast": "numpy"}), "out")
    rows = [PortMap(0, part.id, axis=0), PortMap(1, carried.id)]
    inner = Body(body.graph(), rows, [PortMap(2, total.id)], [BackEdge(total.id, carried.id)])
    net = NetworkBuilder.opset("loop")
    x, start = net.input("x", (5, 2)), net.input("start", (1, 2))
    net.result(net.layer("TensorIterator", "sum", [x, start], [(1, 2)], bodies={"body": inner}))
    return net.graph()


NETS = {"legacy": legacy_net, "legacy_loop": legacy_loop, "opset": opset_net, "opset_loop": opset_loop}
