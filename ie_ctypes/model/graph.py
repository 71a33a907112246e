# SPDX-License-Identifier: Apache-2.0
"""The network as its file said it: layers, ports, edges, blobs. Lossless, no semantics, no devices."""

from __future__ import annotations

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.record import Record, field

Shape = tuple[int, ...]


class Port(Record):
    """One input or output of a layer. ``shape`` is logical; -1 is a dynamic dimension (IR v11)."""

    id: int
    shape: Shape
    precision: str  # legacy spelling, "" when the file gives none
    names: tuple[str, ...]  # framework tensor names (IR v10/v11)
    rt_info: dict[str, dict[str, str]]

    def __init__(
        self,
        id: int,
        shape: Shape = (),
        precision: str = "",
        names: tuple[str, ...] = (),
        rt_info: dict[str, dict[str, str]] | None = None,
    ):
        self.id = id
        self.shape = shape
        self.precision = precision
        self.names = names
        self.rt_info = {} if rt_info is None else rt_info


class Blob(Record):
    """A constant. ``data`` is a flat array over the mapped weight file (or over memory the network owns)."""

    precision: str
    data: np.ndarray

    def __init__(self, precision: str, data: np.ndarray):
        self.precision = precision
        self.data = data


class PortMap(Record):
    """One row of the port map of a TensorIterator, Loop or If. ``axis`` None: the whole tensor."""

    external_port_id: int
    internal_layer_id: int
    internal_port_id: int | None = None
    axis: int | None = None
    start: int = 0
    end: int = -1
    stride: int = 1
    part_size: int = 1
    purpose: str = ""


class BackEdge(Record):
    """A value of the body carried to the next iteration. Port ids are None in IR v10/v11."""

    from_layer: int
    to_layer: int
    from_port: int | None = None
    to_port: int | None = None


class Body(Record):
    """A sub-network of a layer."""

    graph: Graph
    inputs: list[PortMap] = field(default_factory=list)
    outputs: list[PortMap] = field(default_factory=list)
    back_edges: list[BackEdge] = field(default_factory=list)


class Node(Record, eq=False):
    """One layer. ``sources[i]`` is the (producer, output index) of input i; None when the file leaves it open."""

    id: int
    name: str
    type: str
    version: str  # "opset1"... of IR v10/v11, "" in legacy files
    precision: str  # legacy layer precision
    params: dict[str, str]
    inputs: list[Port]
    outputs: list[Port]
    sources: list[tuple[Node, int] | None]
    blobs: dict[str, Blob]
    bodies: dict[str, Body]  # "body"; If: "then", "else"
    rt_info: dict[str, dict[str, str]]
    affinity: str

    def __init__(
        self,
        id: int,
        name: str,
        type: str,
        version: str = "",
        precision: str = "",
        params: dict[str, str] | None = None,
        inputs: list[Port] | None = None,
        outputs: list[Port] | None = None,
        sources: list[tuple[Node, int] | None] | None = None,
        blobs: dict[str, Blob] | None = None,
        bodies: dict[str, Body] | None = None,
        rt_info: dict[str, dict[str, str]] | None = None,
        affinity: str = "",
    ):
        self.id = id
        self.name = name
        self.type = type
        self.version = version
        self.precision = precision
        self.params = {} if params is None else params
        self.inputs = [] if inputs is None else inputs
        self.outputs = [] if outputs is None else outputs
        self.sources = [] if sources is None else sources
        self.blobs = {} if blobs is None else blobs
        self.bodies = {} if bodies is None else bodies
        self.rt_info = {} if rt_info is None else rt_info
        self.affinity = affinity

    def output_name(self, index: int) -> str:
        """Name of an output tensor: the layer's own, or ``name.index`` when it has several."""
        return self.name if len(self.outputs) == 1 else f"{self.name}.{index}"


class MeanChannel(Record):
    """Pre-processing of one input channel: x -> (x - mean) * scale is NOT implied; see IR.md on ``scale``."""

    mean: float | None = None
    scale: float | None = None
    image: np.ndarray | None = None  # [H, W] float32


class PreProcess(Record):
    """The ``<pre-process>`` section: what is subtracted from one input."""

    reference: str
    channels: list[MeanChannel] = field(default_factory=list)


class Graph(Record):
    """A network file, or the body of a layer."""

    name: str = ""
    version: int = 0  # IR version, 2..11
    precision: str = ""
    nodes: list[Node] = field(default_factory=list)  # in file order
    preprocess: PreProcess | None = None
    statistics: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=dict)  # name: (min, max)
    rt_info: dict[str, str] = field(default_factory=dict)  # nested keys are joined with "/"
    source: str = ""  # file name for messages
    owner: object = None  # keeps the mapped weights alive

    @property
    def legacy(self) -> bool:
        """True for the layer dialect of IR v2 to v7, False for operation sets (v10, v11)."""
        return self.version < 10

    def node(self, name: str) -> Node | None:
        """The layer of that name (a Result never wins over a layer of the same name)."""
        found = None
        for n in self.nodes:
            if n.name == name and (found is None or found.type == "Result"):
                found = n
        return found

    def consumers(self) -> dict[tuple[int, int], list[tuple[Node, int]]]:
        """(id(producer node), output index) -> [(consumer, input index)], in file order."""
        out: dict[tuple[int, int], list[tuple[Node, int]]] = {}
        for n in self.nodes:
            for i, src in enumerate(n.sources):
                if src is not None:
                    out.setdefault((id(src[0]), src[1]), []).append((n, i))
        return out

    def check_order(self) -> None:
        """Raise what :meth:`order` raises for a cycle; quick where layers follow their producers, as in most files."""
        before: set[int] = set()
        for n in self.nodes:
            for source in n.sources:
                if source is not None and id(source[0]) not in before:
                    self.order()
                    return
            before.add(id(n))

    def order(self) -> list[Node]:
        """Layers so that each follows its producers: the original's order, a reversed depth-first post-order from the inputs.

        Roots are taken in file order, consumers output by output and by name, as the original kept them. A cycle raises ModelError.
        """
        users = self._users()
        entered: set[int] = set()
        finished: set[int] = set()
        post: list[Node] = []
        for root in self.nodes:
            if any(root.sources):
                continue
            entered.add(id(root))
            path, left = [root], [iter(users[id(root)])]
            while path:
                for user in left[-1]:
                    key = id(user)
                    if key not in entered:
                        entered.add(key)
                        path.append(user)
                        left.append(iter(users[key]))
                        break
                    if key not in finished:
                        raise self._cycle(user)
                else:
                    node = path.pop()
                    left.pop()
                    post.append(node)
                    finished.add(id(node))
        if len(post) < len(self.nodes):
            raise self._cycle(self._on_cycle(next(n for n in self.nodes if id(n) not in finished)))
        return post[::-1]

    def _users(self) -> dict[int, list[Node]]:
        """id(node) -> its consumers, each once."""
        edges: dict[int, list[tuple[int, str, int, Node]]] = {id(n): [] for n in self.nodes}
        for place, n in enumerate(self.nodes):
            for src in n.sources:
                if src is not None:
                    edges[id(src[0])].append((src[1], n.name, place, n))
        return {
            k: [row[3] for row in rows] if len(rows) < 2 else list({row[2]: row[3] for row in sorted(rows, key=lambda r: r[:3])}.values())
            for k, rows in edges.items()
        }

    @staticmethod
    def _on_cycle(node: Node) -> Node:
        """A layer of the cycle that feeds ``node``, which no root reaches."""
        seen: set[int] = set()
        while id(node) not in seen:
            seen.add(id(node))
            node = next(s[0] for s in node.sources if s is not None)
        return node

    def _cycle(self, node: Node) -> ModelError:
        where = f"{self.source}: " if self.source else ""
        return ModelError(f"{where}layer {node.name} is part of a cycle: its input depends on its own output")
