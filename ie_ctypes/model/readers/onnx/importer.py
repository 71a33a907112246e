# SPDX-License-Identifier: Apache-2.0
"""An ONNX model as a graph of operation-set layers: inputs, nodes in order, outputs under ONNX's own names."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper, shape_inference

from ie_ctypes.errors import IEError, ModelError, NotImplementedIEError
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Graph, Node, Shape
from ie_ctypes.model.lowering import Lowering, Value, compute_dtype
from ie_ctypes.model.program import TensorType
from ie_ctypes.model.readers.onnx import registry
from ie_ctypes.model.readers.onnx.elements import ELEMENTS, precision_of
from ie_ctypes.model.readers.onnx.functions import bound, local_functions, standard_function
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import Item
from ie_ctypes.model.readers.onnx.scope import Scope, Tensor

MIN_OPSET = 6
MAX_DEPTH = 32  # of bodies within bodies


class Importer:
    """Conversion of one model."""

    def __init__(self, model: ModelProto, source: str, probe: tuple[int, int]):
        self.model = model
        self.source = source
        self.probe = probe  # what dynamic dimensions are taken as while layers are made: batches, others
        self.dynamic: dict[str, list[str | int]] = {}  # input with dynamic dimensions -> its shape in the file
        self.refused = False  # a layer cannot have the dimensions that were taken
        self.opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import}
        self._ranks: dict[str, int] | None = None
        self._depth = 0
        self.functions = local_functions(model)
        version = self.opsets.get("", MIN_OPSET)
        if version < MIN_OPSET:
            raise self._fault(f"the model uses operator set {version}, expected at least {MIN_OPSET}")

    def _fault(self, problem: str) -> ModelError:
        return ModelError(f"{self.source}: {problem}" if self.source else problem)

    def error(self, node: NodeProto, problem: str) -> ModelError:
        """The error for a node of the file."""
        name = node.name or next((o for o in node.output if o), "")
        return self._fault(f"node {name} of type {node.op_type}: {problem}")

    def run(self) -> Graph:
        """The whole model."""
        proto = self.model.graph
        scope = Scope(self, proto.name or "onnx")
        initial = {t.name for t in proto.initializer} | {t.values.name for t in proto.sparse_initializer}
        scope.names.update(v.name for v in (*proto.input, *proto.output))
        for info in proto.input:
            if info.name not in initial:
                scope.items[info.name] = self._input(scope, info)
        self.fill(scope, proto)
        for info in proto.output:
            self._output(scope, info.name)
        scope.prune()
        for node in scope.graph.nodes:
            for port, place in zip(node.inputs, node.sources, strict=True):
                if place is not None:
                    port.shape = place[0].outputs[place[1]].shape
        return scope.graph

    def fill(self, scope: Scope, proto: GraphProto) -> None:
        """The constants and nodes of an ONNX graph."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(f"bodies are nested deeper than {MAX_DEPTH}")
        for tensor in proto.initializer:
            scope.items[tensor.name] = self.tensor(scope, tensor, tensor.name)
        for sparse in proto.sparse_initializer:
            name = sparse.values.name
            scope.items[name] = scope.constant(name, dense(sparse), precision_of(sparse.values.data_type, f"tensor {name}"))
        for node in proto.node:
            self.convert(scope, node)
        self._depth -= 1

    def tensor(self, scope: Scope, proto: TensorProto, name: str) -> Tensor:
        """A constant of the file."""
        what = f"tensor {name}"
        precision = precision_of(proto.data_type, f"{self.source}: {what}" if self.source else what)
        try:
            array = numpy_helper.to_array(proto)
        except (ValueError, TypeError) as e:
            raise self._fault(f"{what} cannot be read: {e}") from None
        carried = proto.data_type if ELEMENTS.get(precision) != proto.data_type else 0
        return scope.constant(name, array, precision, carried)

    # -- inputs and outputs ----------------------------------------------------------------------------------------------
    def _input(self, scope: Scope, info: ValueInfoProto) -> Tensor:
        kind = info.type.WhichOneof("value")
        proto = info.type.optional_type.elem_type if kind == "optional_type" else info.type
        if proto.WhichOneof("value") != "tensor_type":
            raise self._fault(f"input {info.name} is a {kind}, only tensors are supported")
        tensor_type = proto.tensor_type
        precision = precision_of(tensor_type.elem_type, f"{self.source}: input {info.name}" if self.source else f"input {info.name}")
        if not tensor_type.HasField("shape"):
            raise self._fault(f"input {info.name} has no shape, not even a number of dimensions")
        dims = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else -1 for d in tensor_type.shape.dim]
        if -1 in dims:
            self.dynamic[info.name] = [d.dim_param or "?" if v < 0 else v for d, v in zip(tensor_type.shape.dim, dims, strict=True)]
            names = [d.dim_param for d in tensor_type.shape.dim]
            dims = [d if d >= 0 else self.probe[not self._is_batch(i, names[i])] for i, d in enumerate(dims)]
        scope.names.discard(info.name)
        value = Value(TensorType(compute_dtype(precision), tuple(dims)), info.name)
        tensor = scope.parameter(info.name, precision, tuple(dims), value)
        tensor.port.names = (info.name,)
        tensor.element = tensor_type.elem_type if ELEMENTS.get(precision) != tensor_type.elem_type else 0
        return tensor

    def _is_batch(self, place: int, name: str) -> bool:
        """True for the first dimension of an input and for those of the same name."""
        firsts = {v.type.tensor_type.shape.dim[0].dim_param for v in self.model.graph.input if v.type.tensor_type.shape.dim}
        return place == 0 or (bool(name) and name in firsts)

    def _output(self, scope: Scope, name: str) -> None:
        """A Result whose producer is called ``name``, as networks name outputs by their producers."""
        item = scope.lookup(name)
        if not isinstance(item, Tensor):
            raise self._fault(f"output {name} is not a tensor")
        taken = {id(s[0]) for n in scope.graph.nodes if n.type == "Result" for s in n.sources if s is not None}
        if item.node.type == "Parameter" or len(item.node.outputs) > 1 or id(item.node) in taken:
            item = self.same(scope, item, name)
        scope.names.discard(name)
        scope.rename(item.node, name)
        if name not in item.port.names:
            item.port.names = (*item.port.names, name)
        scope.result(item, f"{name}/sink_port_0")

    def same(self, scope: Scope, tensor: Tensor, name: str) -> Tensor:
        """A tensor under a layer of its own that changes nothing."""
        params = {"destination_type": BY_NAME[tensor.precision].element_type}
        copy = scope.add("Convert", f"{name}/copy", [tensor], params, precision=tensor.precision)[0]
        copy.element, copy.fixed = tensor.element, tensor.fixed
        return copy

    # -- nodes -----------------------------------------------------------------------------------------------------------
    def convert(self, scope: Scope, proto: NodeProto) -> None:
        """Add the layers of one node and give its outputs their names."""
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        version = self.opsets.get(domain, MIN_OPSET if not domain else 1)
        first = len(scope.graph.nodes)
        try:
            op = Op(scope, proto, version)
            function = self.functions.get((proto.domain, proto.op_type, getattr(proto, "overload", "")))
            converter = registry.find(domain, proto.op_type) if function is None else None
            if converter is None and function is None:
                function = standard_function(proto, version, op.items)
            if converter is not None:
                result = converter(op)
            elif function is not None:
                result = self._called(scope, function, proto, op.items)
            else:
                full = f"{domain}.{proto.op_type}" if domain else proto.op_type
                raise NotImplementedIEError(str(self.error(proto, f"the operator {full} is not supported")))
        except IEError as e:
            raise e if ": node " in f": {e}" else type(e)(str(self.error(proto, _plain(e, self.source)))) from None
        except (ValueError, ArithmeticError, IndexError, KeyError, TypeError, RuntimeError) as e:
            raise self.error(proto, str(e)) from e
        results = [result] if isinstance(result, Tensor) else list(result)
        names = list(proto.output)
        fresh = {id(n) for n in scope.graph.nodes[first:]}
        producers: set[int] = set()
        for name, item in zip(names, results, strict=False):
            if name:
                scope.items[name] = item
            if not isinstance(item, Tensor) or not name:
                continue
            if id(item.node) in fresh and id(item.node) not in producers:
                scope.rename(item.node, op.label if not producers else name)
            producers.add(id(item.node))
            item.port.names = (*item.port.names, name)
        for name in names[len(results) :]:
            if name:
                raise self.error(proto, f"output {name} is not supported")

    def _called(self, scope: Scope, function: FunctionProto, call: NodeProto, inputs: list[Item]) -> list[Item]:
        """The nodes of a function among those around its call; it sees its inputs only."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(f"functions are nested deeper than {MAX_DEPTH}, the last one is {function.name}")
        outside, parent, opsets = scope.items, scope.parent, self.opsets
        scope.items = dict.fromkeys(function.input, None) | dict(zip(function.input, inputs, strict=False))
        scope.parent = None
        self.opsets = opsets | {("" if o.domain == "ai.onnx" else o.domain): o.version for o in function.opset_import}
        try:
            for node in bound(function, call):
                self.convert(scope, node)
            return [scope.items.get(name) for name in function.output]
        finally:
            scope.items, scope.parent, self.opsets = outside, parent, opsets
            self._depth -= 1

    def infer(self, scope: Scope, node: Node) -> None:
        """Lower a layer. One that refuses dimensions that were only assumed is left to another probe, or to the reshape that follows."""
        if any(s is not None and (id(s[0]), s[1]) not in scope.lowering.values for s in node.sources):
            return
        try:
            scope.lowering.translate(node)
        except ModelError:
            if not self.dynamic:
                raise
            self.refused = True

    def inferred_rank(self, name: str) -> int | None:
        """Rank of a tensor by ONNX's own shape inference, which knows dynamic dimensions; None when it fails."""
        if self._ranks is None:
            self._ranks = {}
            try:
                todo: list[GraphProto] = [shape_inference.infer_shapes(self.model).graph]
            except (ValueError, RuntimeError):
                todo = []
            while todo:
                graph = todo.pop()
                for info in (*graph.value_info, *graph.output, *graph.input):
                    if info.type.tensor_type.HasField("shape"):
                        self._ranks[info.name] = len(info.type.tensor_type.shape.dim)
                todo += [a.g for n in graph.node for a in n.attribute if a.HasField("g")]
        return self._ranks.get(name)

    # -- bodies ----------------------------------------------------------------------------------------------------------
    def body(self, outer: Scope, proto: GraphProto, inputs: Sequence[tuple[str, Shape, object, int]]) -> tuple[Scope, list[Tensor]]:
        """A body graph: (precision, shape, lowering value or None, carried element) an input. Its scope, and the Parameters."""
        if len(inputs) != len(proto.input):
            raise self._fault(f"the body {proto.name} has {len(proto.input)} inputs, expected {len(inputs)}")
        scope = Scope(self, proto.name or "body", outer)
        parameters = []
        for info, (precision, shape, value, element) in zip(proto.input, inputs, strict=True):
            parameter = scope.parameter(info.name, precision, shape, value)  # type: ignore[arg-type]
            parameter.element = element
            scope.items[info.name] = parameter
            parameters.append(parameter)
        self.fill(scope, proto)
        return scope, parameters


def _plain(error: IEError, source: str) -> str:
    text = str(error)
    return text.removeprefix(f"{source}: ") if source else text


def dense(proto: object) -> np.ndarray:
    """The full array of a sparse tensor, whose indices are flat or one row an element."""
    values = numpy_helper.to_array(proto.values)  # type: ignore[attr-defined]
    indices = numpy_helper.to_array(proto.indices)  # type: ignore[attr-defined]
    array = np.zeros(tuple(proto.dims), values.dtype)  # type: ignore[attr-defined]
    if indices.ndim == 1:
        array.reshape(-1)[indices] = values
    else:
        array[tuple(indices.T)] = values
    return array


#: Sizes of dynamic dimensions (batches, others), one pair after the other, until every layer accepts them. Users see the first.
PROBES = ((1, 1), (1, 64), (1, 224), (1, 512), (16, 64), (64, 64), (512, 512))


def import_model(model: ModelProto, source: str) -> Graph:
    """The graph of a model, its dynamic dimensions set to 1 with a warning.

    Some layers cannot have such sizes; then the shapes behind them stay unknown until a reshape.
    """
    faults: list[IEError] = []
    best: tuple[Importer, Graph] | None = None
    for probe in PROBES:
        importer = Importer(model, source, probe)
        try:
            graph = importer.run()
        except IEError as e:
            if not importer.refused:
                raise
            faults.append(e)
            continue
        best = best or (importer, graph)
        if not importer.refused:
            best = (importer, graph)
            break
    if best is None:
        raise faults[0]
    importer, graph = best
    _announce(importer, graph)
    return graph


def _announce(importer: Importer, graph: Graph) -> None:
    """Show dynamic dimensions as 1, and shapes that do not follow from that as unknown."""
    for name, dims in importer.dynamic.items():
        node = graph.node(name)
        assert node is not None
        shape = tuple(1 if isinstance(d, str) else d for d in dims)
        node.outputs[0].shape = shape
        node.params["shape"] = ",".join(map(str, shape))
        text = f"input {name} has dynamic dimensions {dims}: they are set to 1, {list(shape)}; give others with reshape"
        warnings.warn(f"{importer.source}: {text}" if importer.source else text, stacklevel=6)
    if importer.dynamic and (importer.refused or importer.probe != PROBES[0]):
        _lower_again(importer, graph)


def _lower_again(importer: Importer, graph: Graph) -> None:
    """Shapes of all ports for the dimensions that are shown; -1 where they are unknown."""
    lowering = Lowering(graph)
    for node in graph.order():
        port = node.outputs[0] if node.outputs else None
        if node.type == "Parameter" and port is not None:
            lowering.values[id(node), 0] = Value(TensorType(compute_dtype(port.precision), port.shape), node.name)
        elif port is not None and all(s is None or (id(s[0]), s[1]) in lowering.values for s in node.sources):
            with contextlib.suppress(ModelError):
                lowering.translate(node)
        for i, out in enumerate(node.outputs):
            value = lowering.values.get((id(node), i))
            rank = len(out.shape) or next((r for n in out.names if (r := importer.inferred_rank(n)) is not None), 0)
            out.shape = value.shape if value is not None else (-1,) * rank
        for given, place in zip(node.inputs, node.sources, strict=True):
            if place is not None:
                given.shape = place[0].outputs[place[1]].shape
