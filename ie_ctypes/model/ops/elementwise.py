# SPDX-License-Identifier: Apache-2.0
"""Kinds Binary and Select: elementwise functions with numpy broadcasting, and the layers made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.activation import channel_shape, emit_unary
from ie_ctypes.model.ops.attrs import NUMBERS, Attrs, array, broadcast, expect_dtype, tensor, text
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """True division; integers truncate toward zero, and a zero divisor gives 0."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    quotient = np.abs(a) // np.maximum(np.abs(b), 1) * np.sign(a) * np.sign(b)
    return np.where(b == 0, 0, quotient)


def _floor_divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.floor(a / b)) if a.dtype.kind == "f" else np.where(b == 0, 0, np.floor_divide(a, np.where(b == 0, 1, b)))


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return np.asarray(np.power(a, b))
    return np.asarray(np.trunc(np.power(a.astype(np.float64), b)))


ARITHMETIC: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "floor_div": _floor_divide,
    "max": np.maximum,
    "min": np.minimum,
    "pow": _power,
    "squared_diff": lambda a, b: np.square(a - b),
    "mod": np.fmod,
    "floor_mod": np.mod,
    "prelu": lambda a, b: np.where(a > 0, a, a * b),
}
COMPARISON: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
# A shift takes the lowest 5 or 6 bits of its count, as the processor does; to the right it keeps the sign.
BITWISE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "shift_left": lambda a, b: np.left_shift(a, b & (a.dtype.itemsize * 8 - 1)),
    "shift_right": lambda a, b: np.right_shift(a, b & (a.dtype.itemsize * 8 - 1)),
}
LOGICAL: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
FUNCTIONS = ARITHMETIC | BITWISE | COMPARISON | LOGICAL


def infer_binary(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The broadcast shape; bool for comparisons and logic, else the inputs' type."""
    op = text(attrs, "op")
    if op not in FUNCTIONS:
        raise ValueError(f"binary operation {op!r} is unknown")
    a, b = tensor(inputs, 0), tensor(inputs, 1)
    dtype = expect_dtype([a, b], ("bool",) if op in LOGICAL else ("int32", "int64") if op in BITWISE else NUMBERS)
    return [TensorType("bool" if op in COMPARISON else dtype, broadcast(a.shape, b.shape))]


@kind("Binary", infer_binary)
def binary(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``f(a, b)``; integers wrap, and an integer remainder by zero is 0."""
    a, b = array(inputs, 0), array(inputs, 1)
    op = text(attrs, "op")
    with np.errstate(all="ignore"):
        y = FUNCTIONS[op](a, b)
    return [y if op in COMPARISON or op in LOGICAL else y.astype(a.dtype, copy=False)]


def infer_select(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The broadcast of all three shapes, in the type of ``a`` and ``b``."""
    cond, a, b = (tensor(inputs, i) for i in range(3))
    if cond.dtype != "bool":
        raise ValueError(f"condition is {cond.dtype}, expected bool")
    if a.dtype != b.dtype:
        raise ValueError(f"element types are {a.dtype} and {b.dtype}, expected the same")
    return [TensorType(a.dtype, broadcast(cond.shape, a.shape, b.shape))]


@kind("Select", infer_select)
def select(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``a`` where the condition is true, else ``b``."""
    return [np.where(array(inputs, 0), array(inputs, 1), array(inputs, 2))]


# -- translators -------------------------------------------------------------------------------------------------------------


def common_type(*values: Value) -> str:
    """The type that arithmetic on these values is done in: float32 when one is, else the wider integer, at least int32."""
    types = {v.dtype for v in values}
    return "float32" if "float32" in types else "int64" if "int64" in types else "int32"


def emit_binary(layer: Layer, op: str, a: Value, b: Value) -> Value:
    """A Binary node. Operands of two types meet in :func:`common_type`; those of one small type come back to it."""
    if op in LOGICAL:
        return layer.emit("Binary", [layer.convert(a, "bool"), layer.convert(b, "bool")], op=op)
    work = common_type(a, b)
    y = layer.emit("Binary", [layer.convert(a, work), layer.convert(b, work)], op=op)
    return layer.convert(y, a.dtype) if op not in COMPARISON and a.dtype == b.dtype else y


# legacy Eltwise operation -> Binary op; "mean" and "sum" with coefficients are composed
_ELTWISE = {
    "": "add",
    "sum": "add",
    "mul": "mul",
    "prod": "mul",
    "max": "max",
    "min": "min",
    "sub": "sub",
    "div": "div",
    "squared_diff": "squared_diff",
    "floor_mod": "floor_mod",
    "pow": "pow",
    **{name: name for name in COMPARISON},
    **{name: name for name in LOGICAL},
}
_FOLDED = ("add", "mul", "max", "min")


@legacy("Eltwise", "Mul", "Add", "Div")
def eltwise(layer: Layer) -> None:
    """One of the operations above over two inputs; sum, mul, max and min over any number."""
    alias = layer.type.lower()
    name = layer.str("operation", "sum").lower() if alias == "eltwise" else {"add": "sum"}.get(alias, alias)
    values = [layer.input(i) for i in range(len(layer.inputs))]
    if not values:
        raise layer.fail("the layer has no inputs")
    if name == "logical_not":
        layer.set_output(0, _as_file(layer, emit_unary(layer, layer.convert(values[0], "bool"), "not")))
        return
    if name != "mean" and name not in _ELTWISE:
        raise layer.fail(f"Unsupported element wise operation: {name}")
    op = "add" if name == "mean" else _ELTWISE[name]
    if len(values) < 2 or (len(values) > 2 and op not in _FOLDED):
        raise layer.fail(f"operation {name or 'sum'} has {len(values)} inputs, expected 2")
    coeff = layer.floats("coeff", ()) if op == "add" else ()
    if any(c != 1 for c in coeff):
        if len(coeff) != len(values):
            raise layer.fail(f"attribute 'coeff' has {len(coeff)} values, expected {len(values)}")
        values = [
            v if c == 1 else layer.emit("Binary", [layer.convert(v, "float32"), layer.scalar(c)], op="mul")
            for v, c in zip(values, coeff, strict=True)
        ]
    if op == "floor_mod" and all(v.dtype != "float32" for v in values):
        op = "mod"  # the original took the remainder of C for integers
    y = values[0]
    for v in values[1:]:
        y = emit_binary(layer, op, y, v)
    if name == "mean":
        y = layer.emit("Binary", [layer.convert(y, "float32"), layer.scalar(1 / len(values))], op="mul")
    layer.set_output(0, _as_file(layer, y))


def _as_file(layer: Layer, value: Value) -> Value:
    """Legacy truth values are numbers of the output's precision."""
    return layer.convert(value, layer.file_type(0).dtype) if value.dtype == "bool" else value


@legacy("ScaleShift")
def scale_shift(layer: Layer) -> None:
    """``x * weights[c] + biases[c]`` along axis 1 (axis 0 of a rank-1 input)."""
    y = layer.float_input(0)
    weights, biases = layer.blob("weights"), layer.blob("biases")
    if weights is None and biases is None:
        raise layer.fail("blobs 'weights' and 'biases' are both missing")
    if weights is not None:
        y = layer.emit("Binary", [y, channel_shape(layer, weights, y)], op="mul")
    if biases is not None:
        y = layer.emit("Binary", [y, channel_shape(layer, biases, y)], op="add")
    layer.set_output(0, y)


@legacy("PowerFile")
def power_file(layer: Layer) -> None:
    """Adds 1, 0, 0, 0, 1, 0, repeated over the flat tensor: the identity of affine grids (IR.md 4.5)."""
    x = layer.float_input(0)
    pattern = np.resize(np.array([1, 0, 0, 0, 1, 0], np.float32), x.type.size).reshape(x.shape)
    layer.set_output(0, layer.emit("Binary", [x, layer.value(pattern)], op="add"))


_OPSET = {
    "Add": "add",
    "Subtract": "sub",
    "Multiply": "mul",
    "Divide": "div",  # integers truncate on the original's CPU device, also with m_pythondiv
    "Maximum": "max",
    "Minimum": "min",
    "Power": "pow",
    "SquaredDifference": "squared_diff",
    "Mod": "mod",
    "FloorMod": "floor_mod",
    "Equal": "equal",
    "NotEqual": "not_equal",
    "Less": "less",
    "LessEqual": "less_equal",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "LogicalAnd": "logical_and",
    "LogicalOr": "logical_or",
    "LogicalXor": "logical_xor",
    "Xor": "logical_xor",
}


def operands(layer: Layer) -> tuple[Value, Value]:
    """Both inputs, aligned as ``auto_broadcast`` asks."""
    a, b = layer.input(0), layer.input(1)
    mode = layer.str("auto_broadcast", "numpy").lower()
    if mode in ("none", "explicit", ""):
        if a.shape != b.shape:
            raise layer.fail(f"shapes {list(a.shape)} and {list(b.shape)} differ and auto_broadcast is none")
    elif mode == "pdpd":
        axis = layer.int("axis", -1)
        axis = len(a.shape) - len(b.shape) if axis == -1 else axis
        if not 0 <= axis <= len(a.shape) - len(b.shape):
            raise layer.fail(f"attribute 'axis' is {axis}, expected 0..{len(a.shape) - len(b.shape)}")
        tail = len(a.shape) - len(b.shape) - axis
        if tail:
            b = layer.emit("Reshape", [b], shape=b.shape + (1,) * tail)
    elif mode != "numpy":
        raise layer.fail(f"attribute 'auto_broadcast' is {mode!r}, expected numpy, pdpd or none")
    return a, b


def _register_opset() -> None:
    for name, op in _OPSET.items():

        def translate(layer: Layer, op: str = op) -> None:
            a, b = operands(layer)
            layer.set_output(0, emit_binary(layer, op, a, b))

        opset(name)(translate)


_register_opset()


@legacy("Select")
@opset("Select")
def select_layer(layer: Layer) -> None:
    cond, a, b = (layer.input(i) for i in range(3))
    if a.dtype != b.dtype:
        work = common_type(a, b)
        a, b = layer.convert(a, work), layer.convert(b, work)
    layer.set_output(0, layer.emit("Select", [layer.convert(cond, "bool"), a, b]))
