# SPDX-License-Identifier: Apache-2.0
"""One ONNX graph, the main one or the body of an operator, while it becomes a graph of operation-set layers.

Every layer is lowered as soon as it is added, so that types, ranks and constants are known to whoever adds the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Body, Graph, Node, Port, Shape
from ie_ctypes.model.lowering import Lowering, Value, compute_dtype
from ie_ctypes.model.readers.onnx.elements import FLOATS, blob
from ie_ctypes.model.readers.onnx.registry import Item
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model.readers.onnx.importer import Importer

#: Operation set in which a type, as it is used here, first appeared; opset1 for the others.
VERSIONS = {
    "Acosh": "opset4", "Asinh": "opset4", "Atanh": "opset4", "Broadcast": "opset3", "CumSum": "opset3", "DeformableConvolution": "opset8",
    "Einsum": "opset7", "GRUSequence": "opset5", "Gather": "opset8", "GatherElements": "opset6", "GatherND": "opset8", "Gelu": "opset7",
    "HSigmoid": "opset5", "HSwish": "opset4", "If": "opset8", "Interpolate": "opset4", "LSTMSequence": "opset5", "LogSoftmax": "opset5",
    "Loop": "opset5", "MVN": "opset6", "MaxPool": "opset8", "Mish": "opset4", "NonZero": "opset3", "Pad": "opset12",
    "RNNSequence": "opset5", "Range": "opset4", "ReduceL1": "opset4", "ReduceL2": "opset4", "Round": "opset5",
    "ScatterElementsUpdate": "opset12", "ScatterNDUpdate": "opset15", "ShapeOf": "opset3", "Slice": "opset8", "SoftPlus": "opset4",
    "SoftSign": "opset9", "Softmax": "opset8", "Swish": "opset4", "TopK": "opset3", "GridSample": "opset9", "ROIAlign": "opset9",
    "NonMaxSuppression": "opset5", "DFT": "opset7", "IDFT": "opset7",
}  # fmt: skip


class Tensor(Record, eq=False):
    """Output ``index`` of a layer.

    ``fixed`` says that it follows from the constants of the file alone, whatever the input shapes are. ``element`` is the ONNX element
    type where ``precision`` only carries it. ``origin`` of a quantised tensor: what was quantised, scale, zero point, their axis.
    """

    scope: Scope
    node: Node
    index: int
    precision: str
    fixed: bool = False
    element: int = 0
    origin: tuple[Tensor, Tensor, Tensor | None, int] | None = None

    @property
    def value(self) -> Value | None:
        """What lowering knows; None behind a layer that does not take the shapes that were assumed."""
        return self.scope.lowering.values.get((id(self.node), self.index))

    @property
    def port(self) -> Port:
        return self.node.outputs[self.index]

    @property
    def is_float(self) -> bool:
        return self.precision in FLOATS


class Scope:
    """The layers so far, and the tensors by their ONNX names."""

    def __init__(self, importer: Importer, name: str, parent: Scope | None = None):
        self.importer = importer
        self.parent = parent
        self.graph = Graph(name=name, version=11, precision="UNSPECIFIED", source=importer.source)
        self.lowering = Lowering(self.graph)
        self.items: dict[str, Item] = {}
        self.captured: list[tuple[Tensor, Tensor]] = []  # (outer tensor, Parameter of this body)
        self.names: set[str] = set()

    # -- adding layers ---------------------------------------------------------------------------------------------------
    def unique(self, name: str) -> str:
        """``name``, with a number when it is taken."""
        candidate, n = name, 1
        while candidate in self.names:
            n += 1
            candidate = f"{name}_{n}"
        self.names.add(candidate)
        return candidate

    def rename(self, node: Node, name: str) -> None:
        """Call a layer ``name``, or that with a number."""
        if node.name != name:
            self.names.discard(node.name)
            node.name = self.unique(name)

    def parameter(self, name: str, precision: str, shape: Shape, value: Value | None = None) -> Tensor:
        """An input of the graph. ``value`` is what lowering shall take for it; without one its type is not known yet."""
        params = {"shape": ",".join(map(str, shape)), "element_type": BY_NAME[precision].element_type}
        node = self._node("Parameter", name, "opset1", [], params)
        node.outputs.append(Port(0, shape, precision))
        if value is not None:
            self.lowering.values[id(node), 0] = value
        return Tensor(self, node, 0, precision)

    def constant(self, name: str, array: np.ndarray, precision: str, element: int = 0) -> Tensor:
        """A Const of the values of ``array``, which are converted to ``precision``."""
        return self.constant_blob(name, blob(array, precision), array.shape, element)

    def constant_blob(self, name: str, data: object, shape: Shape, element: int = 0) -> Tensor:
        """A Const of a blob; the memory is shared."""
        precision = data.precision  # type: ignore[attr-defined]
        params = {"element_type": BY_NAME[precision].element_type, "shape": ",".join(map(str, shape))}
        node = self._node("Const", name, "opset1", [], params)
        node.blobs["custom"] = data  # type: ignore[assignment]
        node.outputs.append(Port(0, tuple(shape), precision))
        self.lowering.translate(node)
        return Tensor(self, node, 0, precision, True, element)

    def add(
        self,
        type: str,
        name: str,
        inputs: Sequence[Tensor],
        params: Mapping[str, object],
        *,
        outputs: int = 1,
        version: str = "",
        precision: str = "",
        precisions: Sequence[str] = (),
        bodies: Mapping[str, Body] | None = None,
    ) -> list[Tensor]:
        """Add a layer and lower it. ``precision`` or, one by one, ``precisions`` are those of the outputs where the inputs do not tell."""
        texts = {k: text(v) for k, v in params.items()}
        node = self._node(type, name, version or VERSIONS.get(type, "opset1"), inputs, texts)
        node.bodies.update(bodies or {})
        node.outputs = [Port(len(inputs) + i) for i in range(outputs)]
        fixed = bool(inputs) and all(t.fixed for t in inputs) and not bodies
        self.importer.infer(self, node)
        results = []
        for i, port in enumerate(node.outputs):
            value = self.lowering.values.get((id(node), i))
            port.shape = value.shape if value is not None else ()
            port.precision = precisions[i] if precisions else precision or _precision(value.dtype if value is not None else "", inputs)
            results.append(Tensor(self, node, i, port.precision, fixed))
        return results

    def _node(self, type: str, name: str, version: str, inputs: Sequence[Tensor], params: dict[str, str]) -> Node:
        node = Node(len(self.graph.nodes), self.unique(name), type, version, params=params)
        for i, t in enumerate(inputs):
            node.sources.append((t.node, t.index))
            node.inputs.append(Port(i, t.port.shape, t.precision))
        self.graph.nodes.append(node)
        return node

    def result(self, tensor: Tensor, name: str) -> Node:
        """Make a tensor an output of the graph."""
        return self._node("Result", name, "opset1", [tensor], {})

    # -- names -----------------------------------------------------------------------------------------------------------
    def lookup(self, name: str) -> Item:
        """The tensor of an ONNX name: of this graph, or captured from those around it. ModelError when there is none."""
        if name in self.items:
            return self.items[name]
        if self.parent is None:
            raise ModelError(f"tensor {name!r} is used before anything computes it")
        outer = self.parent.lookup(name)
        self.items[name] = tuple(self._capture(t, name) for t in outer) if isinstance(outer, tuple) else self._capture(outer, name)
        return self.items[name]

    def _capture(self, outer: Item, name: str) -> Tensor:
        if not isinstance(outer, Tensor):
            raise ModelError(f"{name!r} is not a tensor and cannot be used in a body")
        if outer.node.type == "Const":
            return self.constant_blob(name, outer.node.blobs["custom"], outer.port.shape, outer.element)
        inner = self.parameter(name, outer.precision, outer.port.shape, outer.value)
        inner.fixed, inner.element = outer.fixed, outer.element
        self.captured.append((outer, inner))
        return inner

    def prune(self) -> None:
        """Drop the layers that no output needs; inputs stay."""
        needed: set[int] = set()
        todo = [n for n in self.graph.nodes if n.type in ("Result", "Parameter")]
        while todo:
            node = todo.pop()
            if id(node) not in needed:
                needed.add(id(node))
                todo.extend(s[0] for s in node.sources if s is not None)
        self.graph.nodes = [n for n in self.graph.nodes if id(n) in needed]


def _precision(dtype: str, inputs: Sequence[Tensor]) -> str:
    """Precision of a result that lowering computes in ``dtype``: that of the first input which is computed so too."""
    for t in inputs:
        if compute_dtype(t.precision) == dtype:
            return t.precision
    plain = {"float32": "FP32", "int32": "I32", "int64": "I64", "uint8": "U8", "int8": "I8", "bool": "BOOL"}
    return plain.get(dtype) or (inputs[0].precision if inputs else "FP32")


def text(value: object) -> str:
    """An attribute as a file spells it."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return ",".join(text(v) for v in value)
    return str(value)
