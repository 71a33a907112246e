# SPDX-License-Identifier: Apache-2.0
"""What a converter sees of one ONNX node: attributes, inputs, and short names for the layers that most converters add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, helper, numpy_helper

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Body
from ie_ctypes.model.readers.onnx.registry import Item
from ie_ctypes.model.readers.onnx.scope import Scope, Tensor

Operand: TypeAlias = Tensor | float | int

# Op has methods named after builtin types; in annotations inside the class these stand for the types.
_Int: TypeAlias = int
_Float: TypeAlias = float
_Str: TypeAlias = str


class Op:
    """One ONNX node being converted. ``opset`` is the version of its domain in the file."""

    def __init__(self, scope: Scope, proto: NodeProto, opset: _Int):
        self.scope = scope
        self.proto = proto
        self.opset = opset
        self.label = proto.name or next((o for o in proto.output if o), proto.op_type)
        self.attributes: dict[str, AttributeProto] = {a.name: a for a in proto.attribute}
        self.items: list[Item] = [scope.lookup(name) if name else None for name in proto.input]

    def fail(self, problem: _Str) -> ModelError:
        """The error for this node: ``raise op.fail("...")``."""
        return self.scope.importer.error(self.proto, problem)

    # -- inputs ----------------------------------------------------------------------------------------------------------
    @property
    def inputs(self) -> list[Tensor]:
        """All inputs; a missing one is an error."""
        return [self.input(i) for i in range(len(self.items))]

    def has_input(self, index: _Int) -> bool:
        return index < len(self.items) and self.items[index] is not None

    def input(self, index: _Int) -> Tensor:
        """Input ``index``, which must be a tensor."""
        item = self.items[index] if index < len(self.items) else None
        if item is None:
            raise self.fail(f"input {index} is missing")
        if isinstance(item, tuple):
            raise self.fail(f"input {index} is a sequence, expected a tensor")
        return item

    def optional(self, index: _Int) -> Tensor | None:
        """Input ``index``, or None when the node has none."""
        return self.input(index) if self.has_input(index) else None

    def sequence(self, index: _Int) -> tuple[Tensor, ...]:
        """Input ``index``, which must be a sequence."""
        item = self.items[index] if index < len(self.items) else None
        if not isinstance(item, tuple):
            raise self.fail(f"input {index} is not a sequence")
        return item

    def has_output(self, index: _Int) -> bool:
        return index < len(self.proto.output) and bool(self.proto.output[index])

    def known(self, tensor: Tensor) -> np.ndarray | None:
        """The numbers of a tensor that the file fixes; None for those that depend on inputs or on their shapes."""
        value = tensor.value
        return value.data if tensor.fixed and value is not None and value.is_const else None

    def const(self, index: _Int) -> np.ndarray:
        """The numbers of input ``index``, which the file must fix."""
        data = self.known(self.input(index))
        if data is None:
            raise self.fail(f"input {index} ({self.proto.input[index]}) must be a constant")
        return data

    def const_ints(self, index: _Int) -> list[_Int]:
        """Flat integers of a constant input."""
        return [int(v) for v in self.const(index).ravel()]

    def rank(self, tensor: Tensor) -> _Int:
        """Number of axes."""
        value = tensor.value
        if value is not None:
            return len(value.shape)
        for name in tensor.port.names:
            found = self.scope.importer.inferred_rank(name)
            if found is not None:
                return found
        raise self.fail("the rank of an input is unknown with dynamic dimensions set to 1")

    def axis(self, tensor: Tensor, default: _Int, name: _Str = "axis") -> _Int:
        """An axis attribute, wrapped into the rank of ``tensor``."""
        return self.wrap(self.int(name, default), self.rank(tensor), name)

    def wrap(self, axis: _Int, rank: _Int, name: _Str = "axis") -> _Int:
        """``axis`` counted from the front."""
        if not -rank <= axis < max(rank, 1):
            raise self.fail(f"{name} is {axis}, expected {-rank}..{rank - 1} for rank {rank}")
        return axis % rank if rank else 0

    # -- attributes ------------------------------------------------------------------------------------------------------
    def has(self, name: _Str) -> bool:
        return name in self.attributes

    def _attribute(self, name: _Str, default: Any, *kinds: _Int) -> Any:
        attribute = self.attributes.get(name)
        if attribute is None:
            if default is None:
                raise self.fail(f"attribute {name!r} is missing")
            return default
        if attribute.type not in kinds:
            raise self.fail(f"attribute {name!r} has type {AttributeProto.AttributeType.Name(attribute.type)}")
        return helper.get_attribute_value(attribute)

    def int(self, name: _Str, default: _Int | None = None) -> _Int:
        return int(self._attribute(name, default, AttributeProto.INT))

    def float(self, name: _Str, default: _Float | None = None) -> _Float:
        return float(self._attribute(name, default, AttributeProto.FLOAT, AttributeProto.INT))

    def str(self, name: _Str, default: _Str | None = None) -> _Str:
        value = self._attribute(name, default, AttributeProto.STRING)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def ints(self, name: _Str, default: Sequence[_Int] | None = None) -> list[_Int]:
        return [int(v) for v in self._attribute(name, default, AttributeProto.INTS)]

    def floats(self, name: _Str, default: Sequence[_Float] | None = None) -> list[_Float]:
        return [float(v) for v in self._attribute(name, default, AttributeProto.FLOATS)]

    def strs(self, name: _Str, default: Sequence[_Str] | None = None) -> list[_Str]:
        return [v.decode(errors="replace") if isinstance(v, bytes) else v for v in self._attribute(name, default, AttributeProto.STRINGS)]

    def array(self, name: _Str) -> tuple[np.ndarray, _Int]:
        """A tensor attribute and its ONNX element type."""
        proto = self._attribute(name, None, AttributeProto.TENSOR)
        return numpy_helper.to_array(proto), proto.data_type

    def graph(self, name: _Str) -> GraphProto:
        proto = self._attribute(name, None, AttributeProto.GRAPH)
        assert isinstance(proto, GraphProto)
        return proto

    # -- layers ----------------------------------------------------------------------------------------------------------
    def make(
        self, type: _Str, *inputs: Operand | np.ndarray, version: _Str = "", precision: _Str = "", element: _Int = 0, **params: Any
    ) -> Tensor:
        """A layer with one output. Numbers become constants of the first tensor's precision, arrays of integers I64 constants."""
        return self.make_many(type, *inputs, version=version, precision=precision, element=element, **params)[0]

    def make_many(
        self,
        type: _Str,
        *inputs: Operand | np.ndarray,
        outputs: _Int = 1,
        version: _Str = "",
        precision: _Str = "",
        precisions: Sequence[_Str] = (),
        element: _Int = 0,
        bodies: dict[_Str, Body] | None = None,
        **params: Any,
    ) -> list[Tensor]:
        """A layer with several outputs."""
        like = next((t for t in inputs if isinstance(t, Tensor)), None)
        tensors = [self._operand(v, like) for v in inputs]
        name = f"{self.label}/{type}"
        made = self.scope.add(
            type, name, tensors, params, outputs=outputs, version=version, precision=precision, precisions=precisions, bodies=bodies
        )
        for t in made:
            t.element = element
        return made

    def _operand(self, operand: Operand | np.ndarray, like: Tensor | None) -> Tensor:
        if isinstance(operand, Tensor):
            return operand
        array = np.asarray(operand)
        if not isinstance(operand, np.ndarray) and like is not None:
            return self.constant(array, like.precision)
        return self.constant(array, "I64" if array.dtype.kind in "iu" else "FP32")

    def constant(self, array: np.ndarray | Operand | Sequence[Any], precision: _Str = "I64", element: _Int = 0) -> Tensor:
        """A constant; integers are I64 unless told otherwise."""
        return self.scope.constant(f"{self.label}/const", np.asarray(array), precision, element)

    def convert(self, tensor: Tensor, precision: _Str, element: _Int = 0) -> Tensor:
        """``tensor`` in another precision; itself when it has it."""
        if tensor.precision == precision:
            return tensor
        target = BY_NAME[precision].element_type
        return self.make("Convert", tensor, destination_type=target, precision=precision, element=element)

    def as_float(self, tensor: Tensor) -> Tensor:
        """``tensor`` as it is when floating, else as FP32."""
        return tensor if tensor.is_float else self.convert(tensor, "FP32")

    def add(self, a: Tensor, b: Operand) -> Tensor:
        return self.make("Add", a, b)

    def sub(self, a: Tensor, b: Operand) -> Tensor:
        return self.make("Subtract", a, b)

    def mul(self, a: Tensor, b: Operand) -> Tensor:
        return self.make("Multiply", a, b)

    def div(self, a: Tensor, b: Operand) -> Tensor:
        return self.make("Divide", a, b)

    def shape_of(self, tensor: Tensor) -> Tensor:
        """Shape, [rank] of I64."""
        return self.make("ShapeOf", tensor, output_type="i64", precision="I64")

    def size(self, tensor: Tensor, axis: _Int) -> Tensor:
        """Size of an axis, [1] of I64."""
        return self.gather(self.shape_of(tensor), [axis])

    def gather(self, tensor: Tensor, indices: Sequence[_Int] | _Int | Tensor, axis: _Int = 0) -> Tensor:
        index = indices if isinstance(indices, Tensor) else self.constant(indices)
        return self.make("Gather", tensor, index, self.constant(axis))

    def reshape(self, tensor: Tensor, shape: Sequence[_Int] | Tensor, zero_copies: bool = False) -> Tensor:
        target = shape if isinstance(shape, Tensor) else self.constant(np.array(shape, np.int64))
        return self.make("Reshape", tensor, target, special_zero=zero_copies)

    def transpose(self, tensor: Tensor, order: Sequence[_Int]) -> Tensor:
        return self.make("Transpose", tensor, self.constant(np.array(order, np.int64)))

    def squeeze(self, tensor: Tensor, axes: Sequence[_Int]) -> Tensor:
        return self.make("Squeeze", tensor, self.constant(np.array(axes, np.int64)))

    def unsqueeze(self, tensor: Tensor, axes: Sequence[_Int]) -> Tensor:
        """``tensor`` with axes of 1 at these positions of the result; itself when there are none."""
        return self.make("Unsqueeze", tensor, self.constant(np.array(axes, np.int64))) if len(axes) else tensor

    def concat(self, tensors: Sequence[Tensor], axis: _Int) -> Tensor:
        return tensors[0] if len(tensors) == 1 else self.make("Concat", *tensors, axis=axis)

    def split(self, tensor: Tensor, axis: _Int, parts: _Int) -> list[Tensor]:
        """Equal parts."""
        return self.make_many("Split", tensor, self.constant(axis), num_splits=parts, outputs=parts)

    def broadcast(self, tensor: Tensor, shape: Tensor) -> Tensor:
        return self.make("Broadcast", tensor, shape, mode="numpy")

    def reduce(self, type: _Str, tensor: Tensor, axes: Sequence[_Int] | Tensor, keep: bool = True) -> Tensor:
        which = axes if isinstance(axes, Tensor) else self.constant(np.array(axes, np.int64))
        return self.make(type, tensor, which, keep_dims=keep)

    def select(self, cond: Tensor, a: Tensor, b: Operand) -> Tensor:
        """``a`` where ``cond``, else ``b``."""
        other = b if isinstance(b, Tensor) else self.constant(b, a.precision)
        return self.make("Select", cond, a, other, precision=a.precision)

    def slice(self, tensor: Tensor, axis: _Int, start: _Int, stop: _Int, step: _Int = 1) -> Tensor:
        """Half-open slice of one axis; limits beyond the ends mean the ends."""
        limits = [self.constant(np.array([v], np.int64)) for v in (start, stop, step, axis)]
        return self.make("Slice", tensor, *limits)
