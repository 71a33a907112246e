# SPDX-License-Identifier: Apache-2.0
"""Kind Unary: elementwise functions of one input, and the activation layers made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, Attrs, array, expect_dtype, number, tensor, text
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

INTEGER_OPS = ("abs", "neg", "sign", "relu", "clamp")

_Function = Callable[[np.ndarray, float, float, float], np.ndarray]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _erf(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x)).astype(x.dtype)


def _hsigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(np.maximum(x + 3, 0), 6) / 6)


def _elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _clamp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    if x.dtype.kind == "i":  # the limits tighten to integers of the type
        info = np.iinfo(x.dtype)
        low = math.ceil(max(low, info.min))
        high = math.floor(min(high, info.max))
    return np.asarray(np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high)))


def _relu(x: np.ndarray, alpha: float) -> np.ndarray:
    if not alpha:
        return np.asarray(np.maximum(x, x.dtype.type(0)))
    return np.where(x > 0, x, (alpha * x).astype(x.dtype))


def _power(x: np.ndarray, power: float, scale: float, shift: float) -> np.ndarray:
    y = np.asarray(x * scale + shift)
    return y if power == 1 else np.power(y, np.full_like(y, power))  # numpy's root, which one number 0.5 stands for, has no -inf


def _gated(x: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """``x * gate``, 0 where a gate is shut against -inf."""
    return np.asarray(np.where((x == -np.inf) & (gate == 0), x.dtype.type(-0.0), x * gate))


def _softsign(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _plain(function: Callable[[np.ndarray], np.ndarray]) -> _Function:
    return lambda x, a, b, c: function(x)


#: op -> f(x, alpha, beta, gamma)
FUNCTIONS: dict[str, _Function] = {
    "relu": lambda x, a, b, c: _relu(x, a),
    "elu": lambda x, a, b, c: _elu(x, a),
    "clamp": lambda x, a, b, c: _clamp(x, a, b),
    "swish": lambda x, a, b, c: _gated(x, _sigmoid(a * x)),
    "hard_sigmoid": lambda x, a, b, c: np.clip(a * x + b, 0, 1),
    "selu": lambda x, a, b, c: c * _elu(x, a),
    "power": _power,
    "sigmoid": _plain(_sigmoid),
    "tanh": _plain(np.tanh),
    "exp": _plain(np.exp),
    "log": _plain(np.log),
    "abs": _plain(np.abs),
    "neg": _plain(np.negative),
    "sqrt": _plain(np.sqrt),
    "square": _plain(np.square),
    "reciprocal": _plain(lambda x: 1 / x),
    "sign": _plain(np.sign),
    "binary_sign": _plain(lambda x: np.where(x > 0, 1.0, -1.0)),
    "floor": _plain(np.floor),
    "ceil": _plain(np.ceil),
    "round_even": _plain(np.rint),
    "round_away": _plain(lambda x: np.trunc(x + np.copysign(np.float64(0.5), x))),
    "erf": _plain(_erf),
    "sin": _plain(np.sin),
    "cos": _plain(np.cos),
    "tan": _plain(np.tan),
    "asin": _plain(np.arcsin),
    "acos": _plain(np.arccos),
    "atan": _plain(np.arctan),
    "sinh": _plain(np.sinh),
    "cosh": _plain(np.cosh),
    "asinh": _plain(np.arcsinh),
    "acosh": _plain(np.arccosh),
    "atanh": _plain(np.arctanh),
    "softplus": _plain(_softplus),
    "softsign": _plain(_softsign),
    "mish": _plain(lambda x: _gated(x, np.tanh(_softplus(x)))),
    "hswish": _plain(lambda x: x * _hsigmoid(x)),
    "hsigmoid": _plain(_hsigmoid),
    "gelu": _plain(lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))),
    "gelu_tanh": _plain(_gelu_tanh),
    "not": _plain(np.logical_not),
}


def infer_unary(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape and type."""
    op = text(attrs, "op")
    if op not in FUNCTIONS:
        raise ValueError(f"unary operation {op!r} is unknown")
    expect_dtype(inputs, ("bool",) if op == "not" else NUMBERS if op in INTEGER_OPS else ("float32",))
    return [tensor(inputs, 0)]


@kind("Unary", infer_unary)
def unary(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``f(x)`` in the input's type; domain errors give NaN or infinity as IEEE says."""
    x = array(inputs, 0)
    with np.errstate(all="ignore"):
        y = FUNCTIONS[text(attrs, "op")](x, *(number(attrs, n, 0.0) for n in ("alpha", "beta", "gamma")))
    return [y.astype(x.dtype, copy=False)]


# -- translators -------------------------------------------------------------------------------------------------------------


def emit_unary(layer: Layer, x: Value, op: str, alpha: float = 0.0, beta: float = 0.0, gamma: float = 0.0) -> Value:
    """A Unary node in the type of ``x``: types that the operation does not take go through one that it takes and back.

    Integers come back from floating point as the nearest ones, as the original's CPU device stores them.
    """
    if op in INTEGER_OPS:
        work = x.dtype if x.dtype in NUMBERS else "int32"
    elif op == "not":
        work = "bool"
    else:
        work = "float32"
    y = layer.emit("Unary", [layer.convert(x, work)], op=op, alpha=alpha, beta=beta, gamma=gamma)
    if work == "float32" and x.dtype in NUMBERS:
        return layer.emit("Convert", [y], dtype=x.dtype, round="nearest") if x.dtype != work else y
    return layer.convert(y, x.dtype)


# Layers without attributes: legacy types and operations of IR v10/v11.
_SIMPLE = {
    "abs": ("Abs", "Abs"),
    "acos": ("Acos", "Acos"),
    "acosh": ("Acosh", "Acosh"),
    "asin": ("Asin", "Asin"),
    "asinh": ("Asinh", "Asinh"),
    "atan": ("Atan", "Atan"),
    "atanh": ("Atanh", "Atanh"),
    "ceil": ("Ceil Ceiling", "Ceiling"),
    "cos": ("Cos", "Cos"),
    "cosh": ("Cosh", "Cosh"),
    "erf": ("Erf", "Erf"),
    "exp": ("Exp", "Exp"),
    "floor": ("Floor", "Floor"),
    "hsigmoid": ("", "HSigmoid"),
    "hswish": ("HSwish", "HSwish"),
    "log": ("Log", "Log"),
    "mish": ("Mish", "Mish"),
    "neg": ("Neg Negative", "Negative"),
    "reciprocal": ("Reciprocal", ""),
    "sigmoid": ("Sigmoid Logistic", "Sigmoid"),
    "sign": ("Sign", "Sign"),
    "sin": ("Sin", "Sin"),
    "sinh": ("Sinh", "Sinh"),
    "softplus": ("SoftPlus", "SoftPlus"),
    "softsign": ("SoftSign", "SoftSign"),
    "sqrt": ("Sqrt", "Sqrt"),
    "square": ("Square", ""),
    "tan": ("Tan", "Tan"),
    "tanh": ("TanH", "Tanh"),
}


def _register_simple() -> None:
    for op, (legacy_types, opset_types) in _SIMPLE.items():

        def translate(layer: Layer, op: str = op) -> None:
            x = layer.input(0)
            exact = op in ("ceil", "floor") and x.dtype != "float32"
            layer.set_output(0, x if exact else emit_unary(layer, x, op))

        legacy(*legacy_types.split())(translate)
        opset(*opset_types.split())(translate)


_register_simple()


@opset("ReLU")
def relu_opset(layer: Layer) -> None:
    layer.set_output(0, emit_unary(layer, layer.input(0), "relu"))


@legacy("ReLU")
def relu(layer: Layer) -> None:
    x = layer.input(0)
    if layer.has_input(1):
        layer.set_output(0, layer.emit("Binary", [layer.convert(x, "float32"), layer.float_input(1)], op="prelu"))
    else:
        layer.set_output(0, emit_unary(layer, x, "relu", layer.float("negative_slope", 0.0)))


@legacy("Clamp", "ReLU6")
@opset("Clamp")
def clamp(layer: Layer) -> None:
    six = layer.type.lower() == "relu6"
    low = layer.float("min", 0.0) if six else layer.float("min")
    high = layer.float("max", layer.float("n", 6.0)) if six else layer.float("max")
    if low > high:
        raise layer.fail(f"attribute 'min' is {low:g}, above 'max' {high:g}")
    layer.set_output(0, emit_unary(layer, layer.input(0), "clamp", low, high))


@legacy("ELU")
@opset("Elu")
def elu(layer: Layer) -> None:
    layer.set_output(0, emit_unary(layer, layer.input(0), "elu", layer.float("alpha", 1.0)))


@legacy("PReLU")
def prelu(layer: Layer) -> None:
    """Slopes from the ``weights`` blob: one value, or one for each channel (axis 1)."""
    x = layer.float_input(0)
    slope = layer.blob("weights")
    if slope is None:
        raise layer.fail("blob 'weights' is missing")
    layer.set_output(0, layer.emit("Binary", [x, channel_shape(layer, slope, x)], op="prelu"))


@opset("PReLU")
def prelu_opset(layer: Layer) -> None:
    """A slope of rank 1 with C values lies along axis 1; any other broadcasts as numpy does."""
    x, slope = layer.input(0), layer.convert(layer.input(1), layer.input(0).dtype)
    if len(slope.shape) == 1 and len(x.shape) > 1 and slope.shape[0] == x.shape[1]:
        slope = channel_shape(layer, slope, x)
    layer.set_output(0, layer.emit("Binary", [x, slope], op="prelu"))


def channel_shape(layer: Layer, value: Value, x: Value) -> Value:
    """``value``, of 1 or C elements, shaped to broadcast along axis 1 of ``x`` (axis 0 when ``x`` has rank 1)."""
    axis = min(1, len(x.shape) - 1)
    channels = x.shape[axis] if x.shape else 1
    if value.type.size not in (1, channels):
        raise layer.fail(f"{value.name} has {value.type.size} values, expected 1 or {channels} for input shape {list(x.shape)}")
    shape = [1] * len(x.shape)
    if shape:
        shape[axis] = value.type.size
    return value if list(value.shape) == shape else layer.emit("Reshape", [value], shape=tuple(shape))


@legacy("Selu")
def selu(layer: Layer) -> None:
    alpha = layer.float("alpha", 0.0) or 1.67326324
    gamma = layer.float("gamma", 0.0) or 1.05070098
    layer.set_output(0, emit_unary(layer, layer.float_input(0), "selu", alpha, 0.0, gamma))


@opset("Selu")
def selu_opset(layer: Layer) -> None:
    alpha, gamma = (layer.scalar_input(i) for i in (1, 2))
    layer.set_output(0, emit_unary(layer, layer.input(0), "selu", alpha, 0.0, gamma))


@legacy("HardSigmoid")
def hard_sigmoid(layer: Layer) -> None:
    """An ``alpha`` or ``beta`` of 0 means the default, as in the original."""
    alpha = layer.float("alpha", 0.0) or 0.2
    beta = layer.float("beta", 0.0) or 0.5
    layer.set_output(0, emit_unary(layer, layer.float_input(0), "hard_sigmoid", alpha, beta))


@opset("HardSigmoid")
def hard_sigmoid_opset(layer: Layer) -> None:
    alpha, beta = (layer.scalar_input(i) for i in (1, 2))
    layer.set_output(0, emit_unary(layer, layer.input(0), "hard_sigmoid", alpha, beta))


@legacy("GELU")
@opset("Gelu")
def gelu(layer: Layer) -> None:
    mode = layer.str("approximation_mode", "erf").lower()
    if mode not in ("erf", "tanh"):
        raise layer.fail(f"attribute 'approximation_mode' is {mode!r}, expected 'erf' or 'tanh'")
    layer.set_output(0, emit_unary(layer, layer.input(0), "gelu" if mode == "erf" else "gelu_tanh"))


@legacy("Swish")
def swish(layer: Layer) -> None:
    layer.set_output(0, emit_unary(layer, layer.input(0), "swish", layer.float("alpha", 1.0)))


@opset("Swish")
def swish_opset(layer: Layer) -> None:
    """The factor is a constant nearly always; a computed one becomes two nodes."""
    x = layer.input(0)
    if not layer.has_input(1) or layer.input(1).is_const:
        layer.set_output(0, emit_unary(layer, x, "swish", layer.scalar_input(1) if layer.has_input(1) else 1.0))
        return
    work = layer.convert(x, "float32")
    scaled = layer.emit("Binary", [work, layer.float_input(1)], op="mul")
    y = layer.emit("Binary", [work, layer.emit("Unary", [scaled], op="sigmoid")], op="mul")
    layer.set_output(0, layer.convert(y, x.dtype))


@opset("Round")
def round_(layer: Layer) -> None:
    mode = layer.str("mode", "half_to_even").lower()
    if mode not in ("half_to_even", "half_away_from_zero"):
        raise layer.fail(f"attribute 'mode' is {mode!r}, expected 'half_to_even' or 'half_away_from_zero'")
    x = layer.input(0)
    op = "round_even" if mode == "half_to_even" else "round_away"
    layer.set_output(0, x if x.dtype != "float32" else emit_unary(layer, x, op))


@legacy("Power")
def power(layer: Layer) -> None:
    """``(shift + scale * x) ** power``."""
    exponent, scale, shift = layer.float("power", 1.0), layer.float("scale", 1.0), layer.float("shift", 0.0)
    layer.set_output(0, emit_unary(layer, layer.float_input(0), "power", exponent, scale, shift))


@legacy("Not")
def logical_not(layer: Layer) -> None:
    """1 where the input is 0, else 0, in the input's type."""
    layer.set_output(0, emit_unary(layer, layer.input(0), "not"))


@opset("LogicalNot")
def logical_not_opset(layer: Layer) -> None:
    layer.set_output(0, layer.emit("Unary", [layer.convert(layer.input(0), "bool")], op="not"))


# What the reader leaves as Activation; relu, prelu, clamp, elu, sigmoid and tanh were renamed there.
_ACTIVATION = ("exp", "not", "square", "abs", "sqrt", "gelu", "swish", "sigmoid", "tanh", "logistic")


@legacy("Activation")
def activation(layer: Layer) -> None:
    name = layer.str("type").lower()
    x = layer.input(0)
    if name == "linear":
        y = emit_unary(layer, x, "power", 1.0, layer.float("alpha", 1.0), layer.float("beta", 0.0))
    elif name == "bounded_relu":
        y = emit_unary(layer, x, "clamp", 0.0, layer.float("alpha"))
    elif name == "soft_relu":
        y = emit_unary(layer, x, "softplus")
    elif name == "swish":
        y = emit_unary(layer, x, "swish", layer.float("alpha", 1.0))
    elif name in _ACTIVATION:
        y = emit_unary(layer, x, "sigmoid" if name == "logistic" else name)
    else:
        raise layer.fail(f"unsupported activation type {name!r}")
    layer.set_output(0, y)
