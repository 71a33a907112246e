# SPDX-License-Identifier: Apache-2.0
"""Graph -> Program: every layer is translated to runtime kinds, shapes are inferred, constants are folded on demand.

A translator (``model/ops/<family>.py``) receives a :class:`Layer`: it reads attributes and input values, calls ``emit`` for each
runtime node and sets the layer's outputs. A :class:`Value` whose inputs are all constant is itself constant; its array is
computed by the kind's numpy reference the first time somebody asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ie_ctypes.errors import IEError, ModelError
from ie_ctypes.model.definitions import NONE, CustomLayers
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Blob, Graph, Node
from ie_ctypes.model.ops.registry import KINDS, Translator, custom_kind, find_translator
from ie_ctypes.model.program import DTYPES, AttrValue, Program, ProgramNode, Shape, Tensor, TensorType, Text
from ie_ctypes.model.sizes import TrueSize, carried
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model import custom
    from ie_ctypes.model.calibration import Calibration

MAX_ELEMENTS = 1 << 40  # of one tensor: beyond any memory, and far from overflow of 64-bit sizes


class Value:
    """A tensor while lowering: its type, and its array when it is constant."""

    __slots__ = ("_data", "_folded", "_thunk", "name", "step", "true_sizes", "type")

    def __init__(
        self,
        type: TensorType,
        name: str,
        data: np.ndarray | None = None,
        thunk: Callable[[], np.ndarray] | None = None,
        folded: Step | None = None,
    ):
        self.type = type
        self.name = name
        self.step: Step | None = None  # the node that makes it; None for inputs and constants
        self.true_sizes: tuple[TrueSize, ...] = ()  # of a value whose shape is an upper bound
        self._data = data
        self._thunk = thunk  # reads the constant
        self._folded = folded  # computes the constant

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def is_const(self) -> bool:
        return self._data is not None or self._thunk is not None or self._folded is not None

    @property
    def data(self) -> np.ndarray:
        """The constant's array, read-only by agreement."""
        if self._data is None and self._thunk is not None:
            self._data, self._thunk = self._thunk(), None
        elif self._data is None and self._folded is not None:
            self._fold(self._folded)
        if self._data is None:
            raise ValueError(f"{self.name} is not a constant")
        return self._data

    @staticmethod
    def _fold(wanted: Step) -> None:
        """Compute a step of constants and, first, those that it needs; chains of any length."""
        todo = [wanted]
        while todo:
            step = todo[-1]
            missing = [v._folded for v in step.inputs if v is not None and v._folded is not None]
            todo += missing
            if missing:
                continue
            todo.pop()
            if step.outputs[0]._folded is None:
                continue
            try:
                with np.errstate(all="ignore"):
                    arrays = KINDS[step.kind].reference(step.attrs, [None if v is None else v.data for v in step.inputs])
            except (ValueError, IndexError, MemoryError) as e:
                raise ModelError(f"layer {step.layer} of type {step.layer_type}: {e}") from None
            for v, array in zip(step.outputs, arrays, strict=True):
                v._data, v._folded = np.asarray(array).astype(v.dtype, copy=False), None


class Step(Record, eq=False):
    """A runtime node while lowering."""

    kind: str
    name: str
    layer: str
    layer_type: str
    inputs: tuple[Value | None, ...]
    attrs: Mapping[str, AttrValue]
    outputs: list[Value]
    custom: custom.CustomCall | None

    def __init__(self, kind: str, name: str, layer: str, layer_type: str, inputs: tuple[Value | None, ...], attrs: Mapping[str, AttrValue]):
        self.kind = kind
        self.name = name
        self.layer = layer
        self.layer_type = layer_type
        self.inputs = inputs
        self.attrs = attrs
        self.outputs = []
        self.custom = None


# The runtime has one floating type; the wide and the narrow ones are computed in it.
_COMPUTE = {"float16": "float32", "float64": "float32", "uint64": "int64", "uint32": "int64", "int16": "int32", "uint16": "int32"}
_FILE_DTYPE = {
    "FP32": "float32", "FP16": "float32", "BF16": "float32", "FP64": "float32", "Q78": "float32", "I32": "int32", "I64": "int64",
    "U64": "int64", "U32": "int64", "I16": "int32", "U16": "int32", "U8": "uint8", "I8": "int8", "BOOL": "bool", "BIN": "uint8",
    "U4": "uint8", "I4": "int8",
}  # fmt: skip


def compute_dtype(precision: str) -> str:
    """Element type in which tensors of a file precision are computed; unknown and unspecified ones are float32."""
    return _FILE_DTYPE.get(precision, "float32")


_PACKED = {"BIN": 8, "U4": 2, "I4": 2}  # elements of a byte


def _unpack(blob: Blob) -> np.ndarray:
    """Packed elements as one byte each: 4-bit ones begin with the low bits of a byte, single bits with the highest."""
    octets = blob.data.view(np.uint8)
    if blob.precision == "BIN":
        return np.unpackbits(octets)
    halves = np.stack([octets & 15, octets >> 4], -1).ravel()
    return halves if blob.precision == "U4" else ((halves ^ 8).astype(np.int8) - np.int8(8))


def blob_size(blob: Blob) -> int:
    """Elements that a blob holds; packed precisions may have some to spare in the last byte."""
    return int(blob.data.size) * _PACKED.get(blob.precision, 1)


def constant_array(blob: Blob, shape: Shape | None = None) -> np.ndarray:
    """The array of a blob in its compute type, reshaped when a shape is given. float32, int32, int64 and bytes are not copied."""
    data = blob.data
    if blob.precision == "BF16":
        data = (data.astype(np.uint32) << 16).view(np.float32)
    elif blob.precision == "BOOL":
        data = data.view(np.uint8) != 0
    elif blob.precision in _PACKED:
        data = _unpack(blob)
        data = data if shape is None else data[: math.prod(shape)]
    dtype = compute_dtype(blob.precision)
    data = data.astype(dtype, copy=False)
    return data if shape is None else data.reshape(shape)


def contiguous(data: np.ndarray, dtype: str) -> np.ndarray:
    """The array as C takes it: in one piece, aligned, of that type and the machine's order of bytes. Itself when it is."""
    flags = data.flags
    if flags.c_contiguous and flags.aligned and data.dtype == np.dtype(dtype):
        return data
    return np.require(data, dtype, ["C_CONTIGUOUS", "ALIGNED"])


# Layer has methods named after builtin types; in annotations inside the class these stand for the types.
_Str: TypeAlias = str
_Int: TypeAlias = int
_Float: TypeAlias = float
_Bool: TypeAlias = bool
_Ints: TypeAlias = tuple[int, ...]
_Floats: TypeAlias = tuple[float, ...]


class Layer:
    """What a translator sees of one file layer."""

    def __init__(self, lowering: Lowering, node: Node, inputs: list[Value | None], label: _Str = ""):
        self.lowering = lowering
        self.label = label or node.name  # first part of the names of the runtime nodes
        self.node = node
        self.inputs = inputs
        self.outputs: dict[int, Value] = {}
        self._count = 0

    # -- reading ---------------------------------------------------------------------------------------------------------
    @property
    def name(self) -> _Str:
        return self.node.name

    @property
    def type(self) -> _Str:
        return self.node.type

    @property
    def legacy(self) -> _Bool:
        return self.lowering.graph.legacy

    def fail(self, text: _Str) -> ModelError:
        """The error for this layer: ``raise layer.fail("kernel is 0, expected >= 1")``."""
        return self.lowering.error(self.node, text)

    def has_input(self, index: _Int) -> _Bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: _Int) -> Value:
        """Input ``index``; a layer without it is an error."""
        if not self.has_input(index):
            raise self.fail(f"input {index} is missing, the layer has {len(self.inputs)}")
        value = self.inputs[index]
        assert value is not None
        return value

    def float_input(self, index: _Int) -> Value:
        """Input ``index`` as float32."""
        return self.convert(self.input(index), "float32")

    def scalar_input(self, index: _Int) -> _Float:
        """The number of a constant input of one element."""
        array = self.const(index)
        if array.size != 1:
            raise self.fail(f"input {index} has {array.size} elements, expected 1")
        return float(array.ravel()[0])

    def const(self, index: _Int) -> np.ndarray:
        """Array of a constant input; anything else is an error."""
        value = self.input(index)
        if not value.is_const:
            raise self.fail(f"input {index} must be a constant")
        return value.data

    def const_ints(self, index: _Int) -> list[_Int]:
        """Flat integers of a constant input (axes, shapes, orders)."""
        return [int(v) for v in np.asarray(self.const(index)).ravel()]

    def has(self, *names: _Str) -> _Bool:
        return any(n in self.node.params for n in names)

    def str(self, name: _Str, default: _Str | None = None) -> _Str:
        """Text attribute, stripped; without a default a missing one is an error."""
        text = self.node.params.get(name)
        if text is None:
            if default is None:
                raise self.fail(f"attribute {name!r} is missing")
            return default
        return text.strip()

    def _number(self, name: _Str, text: _Str, convert: Callable[[_Str], _Int | _Float]) -> _Int | _Float:
        try:
            return convert(text.strip())
        except (ValueError, OverflowError):
            what = "a number" if convert is float else "an integer"
            raise self.fail(f"attribute {name!r} is {text!r}, expected {what}") from None

    def int(self, name: _Str, default: _Int | None = None) -> _Int:
        """Integer attribute (``"3"`` or ``"3.0"``)."""
        if name not in self.node.params and default is not None:
            return default
        return int(self._number(name, self.str(name), _integer))

    def float(self, name: _Str, default: _Float | None = None) -> _Float:
        if name not in self.node.params and default is not None:
            return default
        return float(self._number(name, self.str(name), float))

    def bool(self, name: _Str, default: _Bool | None = None) -> _Bool:
        """``true``/``false`` in any case, or an integer (non-zero is true)."""
        if name not in self.node.params and default is not None:
            return default
        text = self.str(name).lower()
        if text in ("true", "false"):
            return text == "true"
        return self._number(name, text, _integer) != 0

    def ints(self, name: _Str, default: Sequence[_Int] | None = None) -> _Ints:
        """Comma separated integers; empty text is an empty tuple."""
        if name not in self.node.params and default is not None:
            return tuple(default)
        text = self.str(name)
        if len(text) < 19:  # none that 64 bits do not hold
            try:
                return tuple(map(int, text.split(",")))
            except ValueError:
                pass
        return tuple([int(self._number(name, t, _integer)) for t in text.split(",") if t.strip()])

    def floats(self, name: _Str, default: Sequence[_Float] | None = None) -> _Floats:
        if name not in self.node.params and default is not None:
            return tuple(default)
        return tuple(float(self._number(name, t, float)) for t in self.str(name).split(",") if t.strip())

    def axis(self, value: _Int, rank: _Int, name: _Str = "axis") -> _Int:
        """``value`` wrapped into 0..rank-1; out of range is an error."""
        if not -rank <= value < rank:
            raise self.fail(f"{name} is {value}, expected {-rank}..{rank - 1} for rank {rank}")
        return value % rank

    def blob(self, name: _Str, shape: Shape | None = None) -> Value | None:
        """Constant of a legacy blob in its compute type, flat or reshaped; None when the layer has none."""
        found = self.node.blobs.get(name)
        if found is None:
            return None
        size = blob_size(found)
        shape = (size,) if shape is None else shape
        count = math.prod(shape)
        if not count <= size < count + _PACKED.get(found.precision, 1):
            raise self.fail(f"blob {name!r} has {size} elements, expected {count} for shape {list(shape)}")
        value = TensorType(compute_dtype(found.precision), shape)
        return Value(value, f"{self.name}/{name}", thunk=lambda: constant_array(found, value.shape))

    def file_type(self, index: _Int = 0) -> TensorType:
        """Type of output ``index`` as the file gives it (for layers whose shape only the file knows)."""
        port = self.node.outputs[index]
        return TensorType(compute_dtype(port.precision or self.node.precision), port.shape)

    # -- writing ---------------------------------------------------------------------------------------------------------
    def value(self, array: np.ndarray, suffix: _Str = "const") -> Value:
        """A new constant."""
        array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        return Value(TensorType(array.dtype.name, array.shape), f"{self.name}/{suffix}", data=array)

    def emit(self, kind: _Str, inputs: Sequence[Value | None], **attrs: AttrValue) -> Value:
        """Add a runtime node with one output and return it."""
        return self._emit(kind, inputs, attrs)[0]

    def emit_many(self, kind: _Str, inputs: Sequence[Value | None], **attrs: AttrValue) -> list[Value]:
        """Add a runtime node and return its outputs."""
        return self._emit(kind, inputs, attrs)

    def _emit(self, kind: _Str, inputs: Sequence[Value | None], attrs: dict[_Str, AttrValue]) -> list[Value]:
        """A node of constants becomes constants."""
        rule = KINDS[kind]
        name = self.label if self._count == 0 else f"{self.label}/{kind.lower()}_{self._count}"
        self._count += 1
        try:
            types = rule.infer(attrs, [None if v is None else v.type for v in inputs])
        except (ValueError, IndexError, KeyError, ZeroDivisionError) as e:
            raise self.fail(str(e)) from None
        self._check_types(types, inputs)
        step = Step(kind, name, self.name, self.type, tuple(inputs), attrs)
        for v in inputs:
            if v is not None and not v.is_const:
                return self._add_step(step, types)
        step.outputs = [Value(t, f"{name}.{i}", folded=step) for i, t in enumerate(types)]
        return step.outputs

    def _check_types(self, types: Sequence[TensorType], inputs: Sequence[Value | None]) -> None:
        for t in types:
            if t.size > MAX_ELEMENTS:
                raise self.fail(f"output shape {list(t.shape)} has {t.size} elements, expected at most {MAX_ELEMENTS}")
            if min(t.shape, default=0) < 0:
                raise self.fail(f"output shape {list(t.shape)} is negative; inputs are {[list(v.shape) for v in inputs if v is not None]}")

    def emit_custom(self, definition: custom.CustomLayer) -> None:
        """Add the node of a layer that others define and set all outputs. It is never folded: what it does is not known."""
        from ie_ctypes.model import custom

        params = custom.Params(self.node.params)
        blobs = {name: constant_array(blob) for name, blob in self.node.blobs.items()}
        view = custom.LayerView(
            name=self.name,
            params=params,
            inputs=[
                None if v is None else custom.Input(shape=v.shape, dtype=v.dtype, data=v.data if v.is_const else None) for v in self.inputs
            ],
            blobs=blobs,
            outputs=[self.file_type(i) for i in range(len(self.node.outputs))],
            stale=any(v is not None and v.shape != port.shape for v, port in zip(self.inputs, self.node.inputs, strict=False)),
        )
        try:
            types = list(definition.infer(view))
        except Exception as e:
            raise self.fail(f"its shape function fails: {custom.error_text(e)}") from e
        if len(types) != len(self.node.outputs):
            raise self.fail(f"its shape function gave {len(types)} outputs, the layer has {len(self.node.outputs)}")
        self._check_types(types, self.inputs)
        for t in types:
            if t.dtype not in DTYPES:
                raise self.fail(f"its shape function gave the element type {t.dtype}, expected one of {', '.join(DTYPES)}")
        inputs = (*self.inputs, *(self.value(array, name) for name, array in blobs.items()))
        attrs: dict[str, AttrValue] = {name: Text(text) for name, text in params.items()}
        attrs.setdefault("blobs", ",".join(blobs))
        if definition.attributes is not None:
            try:
                attrs |= definition.attributes(view, types)
            except ValueError as e:
                raise self.fail(str(e)) from e
        constants = {i: given.data for i, given in enumerate(view.inputs) if given is not None and given.data is not None}
        step = Step(custom_kind(definition.type), self.label, self.name, self.type, inputs, attrs)
        if definition.compute is not None:
            step.custom = custom.CustomCall(definition, self.name, self.type, params, blobs, len(self.inputs), types, constants)
        for i, value in enumerate(self._add_step(step, types)):
            self.set_output(i, value)

    def _add_step(self, step: Step, types: Sequence[TensorType]) -> list[Value]:
        step.outputs = [Value(t, step.name if len(types) == 1 else f"{step.name}.{i}") for i, t in enumerate(types)]
        try:
            true_sizes = carried(step.kind, step.attrs, step.inputs, types)
        except ValueError as e:
            raise self.fail(str(e)) from None
        for out in step.outputs:
            out.step, out.true_sizes = step, true_sizes
        self.lowering.steps.append(step)
        return step.outputs

    def copy(self, value: Value) -> Value:
        """``value`` computed by a node of its own, also when it is a constant: network outputs need one."""
        step = Step("Reshape", f"{self.label}/copy", self.name, self.type, (value,), {"shape": value.shape})
        return self._add_step(step, [value.type])[0]

    def convert(self, value: Value, dtype: _Str) -> Value:
        """``value`` in another element type (truncating, as Convert does); itself when it already has it."""
        return value if value.dtype == dtype else self.emit("Convert", [value], dtype=dtype)

    def to_precision(self, value: Value, precision: _Str) -> Value:
        """``value`` converted to a file precision, in the type that computes it; 16-bit integers wrap to their range."""
        dtype = BY_NAME[precision].numpy
        if dtype in ("int16", "uint16") and precision != "BF16":
            value = self.convert(value, dtype)
        return self.convert(value, compute_dtype(precision))

    def reshape(self, value: Value, shape: Shape) -> Value:
        """``value`` in another shape of as many elements; itself when it already has it."""
        if value.shape == shape:
            return value
        wanted = TensorType(value.dtype, shape)
        if value.is_const and wanted.size == value.type.size:  # no node, no reference: a view
            self._count += 1
            return Value(wanted, f"{value.name}/reshape", thunk=lambda: value.data.reshape(shape))
        return self.emit("Reshape", [value], shape=shape)

    def cut(self, value: Value, axis: _Int, count: Value, *, strict: _Bool = False) -> Value:
        """Say that only the first ``count`` places of an axis are real; a constant keeps its size."""
        if not value.is_const:
            value.true_sizes = (*(s for s in value.true_sizes if s.axis != axis), TrueSize(axis, count, strict))
        return value

    def scalar(self, number: _Float) -> Value:
        """A float32 constant of rank 0."""
        return self.value(np.float32(number), f"scalar_{number:g}")

    def set_output(self, index: _Int, value: Value) -> None:
        self.outputs[index] = value


def _integer(text: str) -> int:
    """``"3"`` or ``"3.0"``; what no 64 bits hold is an OverflowError."""
    try:
        number = int(text)
    except ValueError:
        real = float(text)
        number = int(real)
        if real != number:
            raise
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(text)
    return number


class StateValues(Record, eq=False):
    """A state while lowering. Without ``next`` it keeps its value."""

    entry: Value | None = None
    next: Value | None = None
    initial: np.ndarray | None = None
    fresh: Value | None = None


def _translate_custom(definition: custom.CustomLayer) -> Translator:
    return lambda layer: layer.emit_custom(definition)


class Lowering:
    """One pass over a graph. After ``run`` every (layer, output) has a Value and ``program`` can be taken.

    ``keeps_states``: who takes the program hands on the states too; elsewhere (bodies) layers with a state are an error.
    ``definitions`` are the layer types that others define, ``unknown`` serves layers of no known type; without it they are an error.
    """

    def __init__(
        self,
        graph: Graph,
        keeps_states: bool = False,
        definitions: CustomLayers = NONE,
        unknown: custom.CustomLayer | None = None,
    ):
        self.graph = graph
        self.definitions = definitions
        self.unknown = unknown
        self.keeps_states = keeps_states
        self.states: dict[str, StateValues] = {}
        self.steps: list[Step] = []
        self.values: dict[tuple[int, int], Value] = {}  # (id(node), output index)
        self._translators: dict[tuple[str, str], Translator] = {}  # by type and version, as far as they were needed
        self.calibration: Calibration | None = None
        if graph.statistics:
            from ie_ctypes.model.calibration import Calibration

            self.calibration = Calibration(self)

    def error(self, node: Node, text: str) -> ModelError:
        where = f"{self.graph.source}: " if self.graph.source else ""
        return ModelError(f"{where}layer {node.name} of type {node.type}: {text}")

    def run(self, given: Mapping[tuple[int, int], Value]) -> None:
        """Translate all layers. ``given``: values known beforehand, the network inputs among them."""
        self.values.update(given)
        partly = {node for node, _ in given}
        for node in self.graph.order():
            if node.type == "Result" or (id(node) in partly and all((id(node), i) in given for i in range(len(node.outputs)))):
                continue
            self.translate(node)

    def value_of(self, node: Node, port: int) -> Value:
        """What output *port* of a translated node is; ModelError when it is nothing, as of a Result that somebody reads."""
        value = self.values.get((id(node), port))
        if value is None:
            raise self.error(node, f"output {port} has no value, but is read")
        return value

    def _translator(self, node: Node) -> Translator:
        translator = find_translator(node.type, node.version, self.graph.legacy)
        definition = self.definitions.find(node.type, node.version, translator is not None)
        if translator is None and definition is None:
            definition = self.unknown
        if definition is not None:
            translator = _translate_custom(definition)
        if translator is None:
            raise self.error(node, f"unsupported primitive of type: {node.type} name: {node.name}")
        return translator

    def translate(self, node: Node) -> None:
        translator = self._translators.get((node.type, node.version))
        if translator is None:
            translator = self._translators[node.type, node.version] = self._translator(node)
        inputs = [None if s is None else self.value_of(*s) for s in node.sources]
        layer = Layer(self, self.calibration.apply(node, inputs) if self.calibration else node, inputs)
        try:
            translator(layer)
        except IEError:
            raise
        except (ValueError, ArithmeticError, IndexError, MemoryError) as e:  # values that no rule foresaw, e.g. a factor of nan
            raise self.error(node, str(e)) from e
        for i in range(len(node.outputs)):
            if i not in layer.outputs:
                raise self.error(node, f"the translator left output {i} unset")
            self.values[id(node), i] = layer.outputs[i]

    def program(self, name: str, inputs: Sequence[tuple[str, Value]], outputs: Sequence[tuple[str, Value]]) -> Program:
        """The steps that the outputs need, as a flat program; constants that only folded steps used are not computed."""
        needed: set[int] = set()
        todo = [v.step for _, v in outputs if v.step is not None]
        while todo:
            step = todo.pop()
            if id(step) in needed:
                continue
            needed.add(id(step))
            todo += [v.step for v in step.inputs if v is not None and v.step is not None]
        program = Program(name)
        index: dict[int, int] = {}
        names: set[str] = set()

        def unique(name: str) -> str:
            candidate, n = name, 1
            while candidate in names:
                n += 1
                candidate = f"{name}_{n}"
            names.add(candidate)
            return candidate

        def tensor(v: Value | None) -> int:
            if v is None:
                return -1
            if id(v) not in index:
                index[id(v)] = len(program.tensors)
                # a .bin gives no alignment, kernels need it
                data = contiguous(v.data, v.dtype) if v.is_const else None
                if data is not None and data.shape != v.shape:
                    data = data.reshape(v.shape)
                program.tensors.append(Tensor(v.name, v.type, data))
            return index[id(v)]

        for label, v in inputs:
            program.inputs.append(tensor(v))
            program.input_names.append(label)
        for step in self.steps:
            if id(step) in needed:
                ins, outs = tuple(map(tensor, step.inputs)), tuple(map(tensor, step.outputs))
                node = ProgramNode(step.kind, unique(step.name), step.layer, step.layer_type, ins, outs, step.attrs, step.custom)
                program.nodes.append(node)
        for label, v in outputs:
            program.outputs.append(tensor(v))
            program.output_names.append(label)
        return program
