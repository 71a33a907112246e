# SPDX-License-Identifier: Apache-2.0
"""The INT8 networks: FakeQuantize in front of what post-training quantisation computes on integers, ranges from a run of the FP32 network.

Activations have 256 levels and one range a tensor, weights 255 symmetric levels for each output channel. A FakeQuantize stands behind the
activation that makes a value, in front of pools, concatenations and reshapes; what is concatenated shares one range.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from benchmarks.compare import networks
from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph, Node
from ie_ctypes.model.network import Network

WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
#: layers that hand values on, so that their inputs are quantised in their place
MOVERS = ("MaxPool", "Concat", "Reshape")


def _producer(node: Node, index: int) -> Node:
    source = node.sources[index]
    assert source is not None
    return source[0]


def _is_constant(node: Node, index: int) -> bool:
    return _producer(node, index).type == "Const"


def quantised_inputs(node: Node) -> list[int]:
    """The activations that an INT8 runtime wants as bytes."""
    if node.type in WEIGHTED and _is_constant(node, 1):
        return [0]
    if node.type == "Add" and not _is_constant(node, 0) and not _is_constant(node, 1):
        return [0, 1]
    return [0] if node.type == "ReduceMean" else []


def groups(graph: Graph) -> list[list[Node]]:
    """The layers behind which a FakeQuantize goes; those of one group share a range."""
    found: dict[str, list[Node]] = {}

    def sources(node: Node) -> list[Node]:
        if node.type not in MOVERS:
            return [node]
        count = len(node.sources) if node.type == "Concat" else 1
        return [origin for i in range(count) for origin in sources(_producer(node, i))]

    for node in graph.nodes:
        for index in quantised_inputs(node):
            merged = {n.name: n for n in sources(_producer(node, index))}
            for name in list(merged):
                merged.update({n.name: n for n in found.get(name, [])})
            group = list(merged.values())
            for key in merged:
                found[key] = group
    return list({id(group): group for group in found.values()}.values())


def run(graph: Graph, names: list[str]) -> dict[str, np.ndarray]:
    """Values inside a network for the standard input."""
    network = Network(graph)
    for name in names:
        network.add_output(name)
    program = network.lower()
    rng = np.random.default_rng(7)
    inputs = [rng.standard_normal(program.tensors[i].type.shape).astype(np.float32) for i in program.inputs]
    outputs = [np.empty(program.tensors[i].type.shape, np.float32) for i in program.outputs]
    executable = CpuDevice().compile(program, {})
    request = executable.create_request()
    request.infer(inputs, outputs)
    request.close()
    executable.close()
    return dict(zip(program.output_names, outputs, strict=True))


class Quantiser:
    """Adds FakeQuantize layers to a graph."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._helper = NetworkBuilder.opset("parts")  # makes layers; only these are taken from it
        self._users = graph.consumers()
        self._unused = max(n.id for n in graph.nodes) + 1

    def behind(self, node: Node, low: np.ndarray, high: np.ndarray, levels: int) -> None:
        """A FakeQuantize that all present readers of the layer's output read instead."""
        limits = [self._helper.constant(f"{node.name}/{key}", value) for key, value in (("low", low), ("high", high))]
        fake = self._helper.layer(
            "FakeQuantize",
            f"{node.name}/quantised",
            [node, *limits, *limits],
            [node.outputs[0].shape],
            params={"levels": levels, "auto_broadcast": "numpy"},
        )
        place = self.graph.nodes.index(node) + 1
        self.graph.nodes[place:place] = [*limits, fake]
        for added in (*limits, fake):
            added.id = self._unused
            self._unused += 1
        for user, index in self._users[id(node), 0]:
            user.sources[index] = (fake, 0)

    def activations(self, group: list[Node], values: dict[str, np.ndarray]) -> None:
        low = min(float(values[n.name].min()) for n in group)
        high = max(float(values[n.name].max()) for n in group)
        if low < 0:
            high = max(high, -low * 127 / 128)
            low = -high * 128 / 127
        for node in group:
            self.behind(node, np.array(low, np.float32), np.array(high, np.float32), 256)

    def weights(self, node: Node) -> None:
        constant = _producer(node, 1)
        array = constant.blobs["custom"].data.reshape(constant.outputs[0].shape)
        kept = (0, 1) if node.type == "GroupConvolution" else (0,)
        most = np.abs(array).max(axis=tuple(i for i in range(array.ndim) if i not in kept), keepdims=True)
        self.behind(constant, -most, most, 255)


def quantise(build: Callable[[int], Graph], batch: int) -> Graph:
    graph = build(batch)
    grouped = groups(graph)
    values = run(build(batch), [node.name for group in grouped for node in group if node.type != "Parameter"])
    rng = np.random.default_rng(7)
    for node in graph.nodes:
        if node.type == "Parameter":
            values[node.name] = rng.standard_normal(node.outputs[0].shape).astype(np.float32)
    quantiser = Quantiser(graph)
    for node in [n for n in graph.nodes if n.type in WEIGHTED and _is_constant(n, 1)]:
        quantiser.weights(node)
    for group in grouped:
        quantiser.activations(group, values)
    return graph


NETWORKS: dict[str, Callable[[int], Graph]] = {
    name: functools.partial(quantise, networks.NETWORKS[name]) for name in ("resnet50", "mobilenet_v2", "squeezenet1_1")
}
