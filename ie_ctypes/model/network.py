# SPDX-License-Identifier: Apache-2.0
"""A network as its user sees and changes it: inputs, outputs, shapes, batch; and its lowering for exactly the user's blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.errors import ModelError, NotFoundError, OutOfBoundsError, ParameterMismatchError
from ie_ctypes.model.definitions import NONE, CustomLayers
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Graph, Node, Port, PreProcess, Shape
from ie_ctypes.model.layouts import MEMORY_ORDER, default_layout, memory_shape
from ie_ctypes.model.lowering import Layer, Lowering, Value, compute_dtype
from ie_ctypes.model.program import OutputSize, Program, State, TensorType
from ie_ctypes.record import Record, replace

_LEGACY_INPUT = {"FP16": "FP32", "Q78": "I16"}
_OPSET_VIEW = {"FP16": "FP32", "BF16": "FP32", "FP64": "FP32", "I64": "I32", "U64": "I32", "U32": "I32", "BOOL": "U8"}
# Requests for these were answered with FP32 by the original's CPU device.
_FLOAT_OUTPUT = ("FP16", "U16", "BF16", "FP64")


class InputState(Record):
    """One network input. ``precision`` and ``layout`` are the user's; the mean of ``preprocess`` is subtracted by the program.

    ``divisors``, one a channel or none, divide after the mean; the scale of a file is not among them, as the original ignored it.
    """

    name: str
    node: Node
    precision: str
    layout: str
    preprocess: PreProcess | None = None
    divisors: tuple[float, ...] = ()

    @property
    def shape(self) -> Shape:
        """Logical shape (N, C, H, W), whatever the layout; -1 is an unknown dimension."""
        return self.node.outputs[0].shape


class OutputState(Record):
    """One network output: output ``port`` (an index) of layer ``node``."""

    name: str
    node: Node
    port: int
    precision: str
    layout: str

    @property
    def shape(self) -> Shape:
        """Logical shape, whatever the layout."""
        return self.node.outputs[self.port].shape


def is_input(node: Node) -> bool:
    """True for the layers that stand for network inputs."""
    return node.type.lower() in ("input", "parameter")


class Network:
    """The state that the API shows of a graph. ``inputs`` and ``outputs`` are dictionaries in the order of their names.

    Shapes are the file's until :meth:`reshape`, :meth:`set_batch` or :meth:`complete_shapes`; those write the inferred shapes to the
    graph's ports.
    """

    def __init__(self, graph: Graph):
        if graph.version >= 11:
            from ie_ctypes.model.old_api import restore_axis_order

            restore_axis_order(graph)
        self.graph = graph
        self.definitions: CustomLayers = NONE  # layer types that others define, for shapes and lowering
        found = {n.name: self._input_state(n) for n in graph.nodes if is_input(n)}
        self.inputs: dict[str, InputState] = dict(sorted(found.items()))
        self.outputs: dict[str, OutputState] = {}
        for node, port in self._file_outputs():
            self._add(node, port)
        if graph.preprocess is not None and self.inputs:
            self._preprocessed_input(graph.preprocess).preprocess = graph.preprocess

    # -- construction ----------------------------------------------------------------------------------------------------
    def _input_state(self, node: Node) -> InputState:
        given = node.outputs[0].precision or node.precision
        table = _LEGACY_INPUT if self.graph.legacy else _OPSET_VIEW
        if self.graph.version >= 11:
            from ie_ctypes.model.old_api import legacy_element_type

            old = legacy_element_type(node)
            given = old or given
            table = table if old or given != "FP16" else {}
        precision = table.get(given, given)
        return InputState(node.name, node, precision if precision in BY_NAME else "FP32", default_layout(len(node.outputs[0].shape)))

    def _file_outputs(self) -> list[tuple[Node, int]]:
        if not self.graph.legacy:
            return [s for n in self.graph.nodes if n.type == "Result" for s in n.sources if s is not None]
        used = self.graph.consumers()
        return [(n, i) for n in self.graph.nodes for i in range(len(n.outputs)) if (id(n), i) not in used]

    def _add(self, node: Node, port: int) -> None:
        name = node.output_name(port)
        if name in self.outputs:
            return
        given = node.outputs[port].precision or node.precision
        if self.graph.legacy:
            precision = given if given in ("FP32", "I32") else "FP32"
        else:
            precision = _OPSET_VIEW.get(given, given if given in BY_NAME else "FP32")
        layout = default_layout(len(node.outputs[port].shape))
        self.outputs[name] = OutputState(name, node, port, precision, layout)
        self.outputs = dict(sorted(self.outputs.items()))

    def _preprocessed_input(self, preprocess: PreProcess) -> InputState:
        if preprocess.reference:
            if preprocess.reference not in self.inputs:
                raise NotFoundError(f"pre-process name ref '{preprocess.reference}' refers to un-existing input")
            return self.inputs[preprocess.reference]
        inputs = list(self.inputs.values())
        return next((s for s in inputs if len(s.shape) == 4), inputs[0])

    def clone(self) -> Network:
        """A copy whose shapes and settings are its own; constants are shared."""
        graph = replace(self.graph, nodes=[])
        copies: dict[int, Node] = {}
        for n in self.graph.nodes:
            inputs = [Port(p.id, p.shape, p.precision, p.names, p.rt_info) for p in n.inputs]
            outputs = [Port(p.id, p.shape, p.precision, p.names, p.rt_info) for p in n.outputs]
            copies[id(n)] = Node(
                n.id, n.name, n.type, n.version, n.precision, n.params.copy(), inputs, outputs, [], n.blobs.copy(), n.bodies, n.rt_info,
                n.affinity,
            )  # fmt: skip
        for n in self.graph.nodes:
            copies[id(n)].sources = [None if s is None else (copies[id(s[0])], s[1]) for s in n.sources]
        graph.nodes = list(copies.values())
        twin = Network(graph)
        twin.definitions = self.definitions
        twin.inputs = {k: replace(s, node=copies[id(s.node)]) for k, s in self.inputs.items()}
        twin.outputs = {k: replace(s, node=copies[id(s.node)]) for k, s in self.outputs.items()}
        return twin

    # -- changes ---------------------------------------------------------------------------------------------------------
    @property
    def batch_size(self) -> int:
        """Dimension 0 of the first input; 1 when that has rank 0, 1 or 3; 0 for a network without inputs."""
        for state in self.inputs.values():
            return 1 if len(state.shape) in (0, 1, 3) else state.shape[0]
        return 0

    def set_batch(self, size: int) -> None:
        """Scale dimension 0 of every input by ``size / batch_size``, rounding up, and infer all shapes.

        Where that cannot work, inputs with the batch in dimension 1 only (sequence masks, [T, N]) are scaled there.
        """
        if size < 1:
            raise ParameterMismatchError(f"Invalid batch size {size}! Batch size should be positive integer value")
        for state in self.inputs.values():
            if len(state.shape) in (0, 1, 3):
                raise ParameterMismatchError(f"Cannot set batch for 1D/3D input {state.name} of shape {list(state.shape)}")
        old = self.batch_size
        if size == old:
            return
        scaled = {k: ((-(-s.shape[0] * size // old) if old > 0 else size), *s.shape[1:]) for k, s in self.inputs.items()}
        try:
            self.reshape(scaled)
        except ModelError:
            sequences: dict[str, tuple[int, ...]] = {
                k: (s.shape[0], size) for k, s in self.inputs.items() if len(s.shape) == 2 and s.shape[0] != old == s.shape[1]
            }
            if not sequences:
                raise
            self.reshape(scaled | sequences)

    def reshape(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Give inputs new shapes and infer all others; on an error everything stays as it was.

        Layers of unknown types keep the outputs of the file, as long as their inputs do not change.
        """
        for name, shape in shapes.items():
            if name not in self.inputs:
                raise NotFoundError(f"input {name!r} is not in the network, inputs are {', '.join(self.inputs)}")
            if len(shape) != len(self.inputs[name].shape):
                old = list(self.inputs[name].shape)
                raise ParameterMismatchError(f"Dims and format are inconsistent. Input {name} of shape {old} cannot become {list(shape)}")
            if min(shape, default=1) < 1:
                raise ParameterMismatchError(f"input {name}: shape {list(shape)} has a dimension below 1")
        from ie_ctypes.model.custom import UNKNOWN

        lowering = Lowering(self.graph, keeps_states=True, definitions=self.definitions, unknown=UNKNOWN)
        given: dict[tuple[int, int], Value] = {}
        for name, state in self.inputs.items():
            shape = tuple(int(d) for d in shapes.get(name, state.shape))
            given[id(state.node), 0] = Value(TensorType(self._file_dtype(state.node), self._known(name, shape)), name)
        lowering.run(given)
        self._write_shapes(lowering)

    @property
    def open_shapes(self) -> bool:
        """Whether the file leaves shapes open although those of all inputs are known."""
        if any(-1 in s.shape for s in self.inputs.values()):
            return False
        return any(-1 in p.shape for n in self.graph.nodes for p in n.outputs)

    def complete_shapes(self) -> None:
        """Infer the shapes that the file leaves open: sizes that depend on data have an upper bound."""
        if self.open_shapes:
            self.reshape({})

    def _write_shapes(self, lowering: Lowering) -> None:
        for node in self.graph.nodes:
            for i, port in enumerate(node.outputs):
                port.shape = lowering.values[id(node), i].shape
            for port, source in zip(node.inputs, node.sources, strict=True):
                if source is not None:
                    port.shape = lowering.values[id(source[0]), source[1]].shape
            if node.type == "Parameter" and "shape" in node.params:
                node.params["shape"] = ",".join(map(str, node.outputs[0].shape))

    def add_output(self, name: str, port: int = 0) -> None:
        """Make output ``port`` of a layer an output of the network; one that is already is left alone."""
        node = self.graph.node(name)
        if node is None:
            raise NotFoundError(f"Layer {name} not found in network")
        if not 0 <= port < len(node.outputs):
            raise OutOfBoundsError(f"layer {name}: port index {port} exceeds layer's outputs which is {len(node.outputs)}")
        if node.output_name(port) in self.outputs:
            return
        self._add(node, port)
        if not self.graph.legacy:
            unused = max(n.id for n in self.graph.nodes) + 1
            tensor = node.outputs[port]
            sink = Node(unused, f"{name}/sink_port_{port}", "Result", version="opset1", inputs=[Port(0, tensor.shape, tensor.precision)])
            sink.sources = [(node, port)]
            self.graph.nodes.append(sink)

    # -- lowering --------------------------------------------------------------------------------------------------------
    def _file_dtype(self, node: Node) -> str:
        """Type that the network computes an input in; legacy networks know float32 and int32 only."""
        precision = node.outputs[0].precision or node.precision
        return "float32" if self.graph.legacy and precision in ("U8", "I8", "I16", "U16", "BOOL") else compute_dtype(precision)

    def _known(self, name: str, shape: Shape) -> Shape:
        if any(d < 0 for d in shape):
            raise ParameterMismatchError(f"input {name} has the dynamic shape {list(shape)}: give it a full one with reshape first")
        return shape

    def lower(self, opaque: Sequence[Node] = ()) -> Program:
        """The program that takes and gives the user's blobs: their precision, and memory in the order of their layout.

        A blob of layout NHWC has the program shape (N, H, W, C). Inputs and outputs are in the order of the dictionaries. The outputs of
        ``opaque`` layers, which are not translated, become further inputs, of the shapes in the file.
        """
        lowering = Lowering(self.graph, keeps_states=True, definitions=self.definitions)
        given: dict[tuple[int, int], Value] = {}
        inputs: list[tuple[str, Value]] = []
        for name, state in self.inputs.items():
            dtype = _numpy_name(state.precision, name)
            entry = Value(TensorType(dtype, memory_shape(self._known(name, state.shape), state.layout)), name)
            inputs.append((name, entry))
            given[id(state.node), 0] = self._enter(lowering, state, entry)
        for node in opaque:
            for i, port in enumerate(node.outputs):
                dtype = compute_dtype(port.precision or node.precision)
                given[id(node), i] = Value(TensorType(dtype, self._known(node.name, port.shape)), node.output_name(i))
                inputs.append((node.output_name(i), given[id(node), i]))
        lowering.run(given)
        visible = len(inputs)
        for name, kept in lowering.states.items():
            inputs += [(f"{name}/{what}", v) for what, v in (("state", kept.entry), ("fresh", kept.fresh)) if v is not None]
        outputs: list[tuple[str, Value]] = []
        taken = {id(v) for _, v in inputs}
        for name, out in self.outputs.items():
            value = self._leave(lowering, out, lowering.value_of(out.node, out.port), taken)
            taken.add(id(value))
            outputs.append((name, value))
        states = self._states(lowering, visible, outputs, taken)
        sizes = self._sizes(lowering, outputs, taken)
        program = lowering.program(self.graph.name, inputs, outputs)
        program.states, program.sizes = states, sizes
        program.affinities = {n.name: n.affinity for n in self.graph.nodes if n.affinity}
        return program

    def _states(self, lowering: Lowering, place: int, outputs: list[tuple[str, Value]], taken: set[int]) -> list[State]:
        """Append the next values of the states to the outputs; ``place`` is the first state's among the inputs."""
        states: list[State] = []
        for name, kept in lowering.states.items():
            if kept.entry is None or kept.initial is None:  # stored, but never read
                continue
            value = kept.entry if kept.next is None else kept.next
            if value.type != kept.entry.type:
                is_, was = (f"{v.dtype} {list(v.shape)}" for v in (value, kept.entry))
                raise ModelError(f"state {name} is read as {was} and stored as {is_}")
            if value.is_const or id(value) in taken:
                value = Layer(lowering, self.graph.nodes[0], [], label=f"state_{name}").copy(value)
            taken.add(id(value))
            outputs.append((f"{name}/state", value))
            fresh = place + 1 if kept.fresh is not None else -1
            states.append(State(name, place, len(outputs) - 1, kept.initial, fresh))
            place += 1 if kept.fresh is None else 2
        return states

    def _sizes(self, lowering: Lowering, outputs: list[tuple[str, Value]], taken: set[int]) -> list[OutputSize]:
        """Append the counts of those network outputs whose shape is an upper bound."""
        sizes: list[OutputSize] = []
        places: dict[int, int] = {}
        for i, name in enumerate(self.outputs):
            for size in outputs[i][1].true_sizes:
                if id(size.count) not in places:
                    count = size.count
                    if count.is_const or id(count) in taken:
                        count = Layer(lowering, self.graph.nodes[0], [], label=f"size_{name}").copy(count)
                    places[id(size.count)] = len(outputs)
                    outputs.append((f"{name}/size{len(places) - 1 or ''}", count))
                sizes.append(OutputSize(i, size.axis, places[id(size.count)]))
        return sizes

    def _enter(self, lowering: Lowering, state: InputState, value: Value) -> Value:
        """From the user's blob to the tensor that the network computes with."""
        layer = Layer(lowering, state.node, [])
        preprocess = state.preprocess
        mean = preprocess is not None and len(state.shape) == 4 and any(c.mean or c.image is not None for c in preprocess.channels)
        value = layer.convert(value, "float32" if mean or state.divisors else self._file_dtype(state.node))
        order = MEMORY_ORDER.get(state.layout, ())
        if len(order) == len(value.shape) and order:
            value = layer.emit("Transpose", [value], order=tuple(order.index(i) for i in range(len(order))))
        if mean and preprocess is not None:
            value = layer.emit("Binary", [value, layer.value(_mean_array(layer, preprocess, state.shape), "mean")], op="sub")
        if state.divisors:
            scale = np.array(state.divisors, np.float32).reshape(1, -1, 1, 1)
            value = layer.emit("Binary", [value, layer.value(scale, "std_scale")], op="div")
        return layer.convert(value, self._file_dtype(state.node))

    def _leave(self, lowering: Lowering, state: OutputState, value: Value, taken: set[int]) -> Value:
        """From the computed tensor to the user's blob; a tensor that is an input, a constant or another output is copied."""
        layer = Layer(lowering, state.node, [], label=f"out_{state.name}")
        dtype = "float32" if state.precision in _FLOAT_OUTPUT else _numpy_name(state.precision, state.name)
        if value.dtype != dtype:
            value = layer.emit("Convert", [value], dtype=dtype, round="nearest")
        order = MEMORY_ORDER.get(state.layout, ())
        if len(order) == len(value.shape) and order:
            value = layer.emit("Transpose", [value], order=order)
        return layer.copy(value) if value.is_const or id(value) in taken else value


def _numpy_name(precision: str, name: str) -> str:
    if precision not in BY_NAME or precision in ("Q78", "BF16", "BIN", "U4", "I4"):
        raise ParameterMismatchError(f"The plugin does not support {precision} (input or output {name})")
    return BY_NAME[precision].numpy


def _mean_array(layer: Layer, preprocess: PreProcess, shape: Shape) -> np.ndarray:
    """Mean of every channel, [1, C, 1, 1], or mean images, [1, C, H, W]."""
    channels = preprocess.channels
    if len(channels) != shape[1]:
        raise layer.fail(f"pre-processing has {len(channels)} channels, the input has {shape[1]}")
    if not any(c.image is not None for c in channels):
        return np.array([c.mean or 0.0 for c in channels], np.float32).reshape(1, -1, 1, 1)
    planes = np.zeros((1, *shape[1:]), np.float32)
    for plane, c in zip(planes[0], channels, strict=True):
        if c.image is not None and c.image.shape != plane.shape:
            raise layer.fail(f"mean image has shape {list(c.image.shape)}, the input plane {list(plane.shape)}")
        plane[...] = c.image if c.image is not None else c.mean or 0.0
    return planes
