# SPDX-License-Identifier: Apache-2.0
"""Build a network layer by layer, in either dialect, to write it or to load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_NAME, from_numpy
from ie_ctypes.model.graph import Blob, Body, Graph, Node, Port, Shape

#: What feeds an input: a layer (its output 0), an output of a layer, or a port that stays open (input of a legacy body).
Source = Node | tuple[Node, int] | Port


class NetworkBuilder:
    """Collects layers; ``graph()`` gives the network. Shapes are given by the caller, nothing is inferred or checked here.

    >>> net = NetworkBuilder.opset("net")
    >>> x = net.input("x", (1, 3))
    >>> node = net.result(net.layer("Relu", "y", [x], [(1, 3)]))
    >>> [n.name for n in net.graph().nodes]
    ['x', 'y', 'y/result']
    """

    def __init__(self, name: str, version: int):
        self._graph = Graph(name=name, version=version, precision="UNSPECIFIED")
        self._names: set[str] = set()

    @classmethod
    def legacy(cls, name: str = "net", version: int = 7) -> NetworkBuilder:
        """A network of legacy layers, IR v2 to v7."""
        return cls(name, version)

    @classmethod
    def opset(cls, name: str = "net", version: int = 10) -> NetworkBuilder:
        """A network of operation sets, IR v10 or v11."""
        return cls(name, version)

    def input(self, name: str, shape: Sequence[int], precision: str = "FP32") -> Node:
        """A network input: an Input layer, or a Parameter."""
        if self._graph.legacy:
            return self.layer("Input", name, [], [shape], precision=precision)
        params = {"shape": shape, "element_type": BY_NAME[precision].element_type}
        return self.layer("Parameter", name, [], [shape], params=params, precision=precision)

    def constant(self, name: str, array: np.ndarray, precision: str = "", shape: Sequence[int] | None = None) -> Node:
        """A constant. ``precision`` and ``shape`` are the array's unless given (BF16, BIN and the like come as raw containers)."""
        precision = precision or from_numpy(array.dtype).name
        shape = array.shape if shape is None else shape
        params = {} if self._graph.legacy else {"element_type": BY_NAME[precision].element_type, "shape": shape}
        return self.layer("Const", name, [], [shape], params=params, blobs={"custom": array}, precision=precision)

    def layer(
        self,
        type: str,
        name: str,
        inputs: Sequence[Source],
        shapes: Sequence[Sequence[int]],
        *,
        params: Mapping[str, object] | None = None,
        blobs: Mapping[str, np.ndarray | Blob] | None = None,
        precision: str = "FP32",
        precisions: Sequence[str] = (),
        version: str = "opset1",
        bodies: Mapping[str, Body] | None = None,
    ) -> Node:
        """Add a layer with one output for each of ``shapes``.

        ``precisions`` are those of the outputs where they differ from ``precision``; ``version`` (the operation set) is for IR v10/v11.
        Parameter values may be numbers, booleans and sequences; they are stored as the text that a file has.
        """
        if name in self._names:
            raise ModelError(f"layer name {name!r} is used twice")
        self._names.add(name)
        legacy = self._graph.legacy
        node = Node(
            id=len(self._graph.nodes),
            name=name,
            type=type,
            version="" if legacy else version,
            precision=precision if legacy else "",
            params={k: _text(v) for k, v in (params or {}).items()},
            bodies=dict(bodies or {}),
        )
        for i, source in enumerate(inputs):
            if isinstance(source, Port):
                node.sources.append(None)
                node.inputs.append(Port(i, source.shape, source.precision))
                continue
            producer, index = (source, 0) if isinstance(source, Node) else source
            node.sources.append((producer, index))
            node.inputs.append(Port(i, producer.outputs[index].shape, "" if legacy else producer.outputs[index].precision))
        for i, shape in enumerate(shapes):
            own = precisions[i] if precisions else ("" if legacy else precision)
            node.outputs.append(Port(len(inputs) + i, _shape(shape), own))
        for key, value in (blobs or {}).items():
            node.blobs[key] = value if isinstance(value, Blob) else _blob(value, precision if key == "custom" else "")
        self._graph.nodes.append(node)
        return node

    def result(self, source: Node | tuple[Node, int], name: str = "") -> Node:
        """Mark an output of an IR v10/v11 network (legacy networks have their unconsumed outputs)."""
        producer, index = (source, 0) if isinstance(source, Node) else source
        return self.layer("Result", name or f"{producer.output_name(index)}/result", [(producer, index)], [])

    def graph(self) -> Graph:
        """The network so far; layers added later appear in it too."""
        if self._graph.legacy:
            found = {n.precision for n in self._graph.nodes}
            self._graph.precision = found.pop() if len(found) == 1 else "MIXED"
        return self._graph


def _blob(array: np.ndarray, precision: str) -> Blob:
    return Blob(precision or from_numpy(array.dtype).name, np.ascontiguousarray(array).reshape(-1))


def _shape(shape: Sequence[int]) -> Shape:
    return tuple(int(d) for d in shape)


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return ",".join(_text(v) for v in value)
    return str(value)
