# SPDX-License-Identifier: Apache-2.0
"""Cast, CastLike, and the small floating types, which travel as FP32 numbers that those types can hold."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.readers.onnx.elements import ELEMENTS, FLOATS, precision_of, type_name
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import Item, onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor
from ie_ctypes.record import Record

T = TensorProto


class _Small(Record, frozen=True):
    """A floating type of few bits: ``mantissa`` stored bits, smallest normal exponent, largest number, and what is beyond it."""

    mantissa: int
    lowest: int
    largest: float
    infinite: bool = False  # has infinities
    nan: bool = True


SMALL: dict[int, _Small] = {
    T.FLOAT8E4M3FN: _Small(3, -6, 448.0),
    T.FLOAT8E4M3FNUZ: _Small(3, -7, 240.0),
    T.FLOAT8E5M2: _Small(2, -14, 57344.0, infinite=True),
    T.FLOAT8E5M2FNUZ: _Small(2, -15, 57344.0),
}
if hasattr(T, "FLOAT4E2M1"):
    SMALL[T.FLOAT4E2M1] = _Small(1, 0, 6.0, nan=False)

#: The type that is a power of two and nothing else; None where the package does not know it.
_POWER = getattr(T, "FLOAT8E8M0", None)

#: Integer types of few bits: lowest and highest value.
NARROW: dict[int, tuple[int, int]] = {T.INT4: (-8, 7), T.UINT4: (0, 15)}
if hasattr(T, "INT2"):
    NARROW |= {T.INT2: (-2, 1), T.UINT2: (0, 3)}


def element_of(tensor: Tensor) -> int:
    """ONNX element type of a tensor."""
    return tensor.element or ELEMENTS[tensor.precision]


def round_small(op: Op, x: Tensor, element: int, saturate: bool) -> Tensor:
    """Numbers rounded, half to even, to those of a small floating type, as FP32."""
    small = SMALL[element]
    x = op.convert(x, "FP32")
    size = op.make("Abs", x)
    top = int(np.floor(np.log2(small.largest)))
    exponents = np.arange(small.lowest + 1, top + 1)
    # one step of the type around each number: the count of powers of two that it reaches picks it from a table
    reached = op.make("GreaterEqual", op.unsqueeze(size, [-1]), op.constant(np.exp2(exponents), "FP32"))
    index = op.reduce("ReduceSum", op.convert(reached, "I32"), [-1], keep=False)
    steps = op.constant(np.exp2(np.arange(small.lowest, top + 1) - small.mantissa), "FP32")
    step = op.gather(steps, index)
    rounded = op.mul(op.make("Round", op.div(x, step), mode="half_to_even"), step)
    limit = op.make("Clamp", rounded, min=-small.largest, max=small.largest)
    nan = op.make("NotEqual", x, x)
    if saturate or not small.nan:
        return op.select(nan, x if small.nan else op.mul(step, 0), limit)
    beyond = op.make("Greater", op.make("Abs", rounded), small.largest)
    over = op.mul(op.make("Sign", x), np.inf) if small.infinite else op.constant(np.nan, "FP32")
    return op.select(nan, x, op.select(beyond, over, limit))


def _floor_log2(op: Op, size: Tensor) -> Tensor:
    """The exponents of finite FP32 numbers that are not negative, as FP32: -126 to 127, or -127 for all that are smaller."""
    guess = op.make("Floor", op.mul(op.make("Log", size), float(np.log2(np.e))))
    guess = op.make("Minimum", op.make("Maximum", guess, -126.0), 127.0)
    power = op.gather(op.constant(np.exp2(np.arange(-126, 128)), "FP32"), op.convert(op.add(guess, 126.0), "I32"))
    above = op.convert(op.make("LessEqual", op.mul(power, 2.0), size), "FP32")  # the logarithm is rounded
    return op.sub(op.add(guess, above), op.convert(op.make("Greater", power, size), "FP32"))


def _round_to_power(op: Op, x: Tensor, saturate: bool) -> Tensor:
    """The power of two at or beside the size of each number, 2^-127 to 2^127, as FP32; NaN for what is not finite."""
    mode = op.str("round_mode", "up")
    if mode not in ("up", "down", "nearest"):
        raise op.fail(f"round_mode is {mode!r}, expected up, down or nearest")
    size = op.make("Abs", op.convert(x, "FP32"))
    finite = op.make("Less", size, np.inf)
    size = op.select(finite, size, 1.0)
    place = op.convert(op.add(_floor_log2(op, size), 127.0), "I32")
    if mode != "down":
        low = np.exp2(np.arange(-127, 128))
        low[0] = 0 if mode == "up" else low[0] / 1.5
        edge = op.gather(op.constant(low * (1 if mode == "up" else 1.5), "FP32"), place)
        normal = op.make("GreaterEqual" if mode == "nearest" else "Greater", size, edge)
        first = op.make("LogicalAnd", op.make("Equal", place, 0), op.make("Equal", size, edge))
        place = op.add(place, op.convert(op.make("LogicalAnd", normal, op.make("LogicalNot", first)), "I32"))
    powers = np.append(np.exp2(np.arange(-127, 128)), 2.0**127 if saturate else np.nan)
    return op.select(finite, op.gather(op.constant(powers, "FP32"), place), np.nan)


def cast(op: Op, x: Tensor, element: int, saturate: bool = True) -> Tensor:
    """``x`` in an ONNX element type."""
    if element == element_of(x):
        return x
    if element not in (*SMALL, *NARROW, _POWER) and element not in ELEMENTS.values():
        raise op.fail(f"a cast to {type_name(element)} is not supported")
    precision = precision_of(element, "the target")
    if element in SMALL or element == _POWER:
        y = round_small(op, x, element, saturate) if element in SMALL else _round_to_power(op, x, saturate)
        y.element = element
        return y
    if element in NARROW:
        low, high = NARROW[element]
        wide = op.convert(x, "I32")  # the fraction goes, then the low bits stay
        y = op.convert(op.add(op.make("FloorMod", op.sub(wide, low), high - low + 1), low), precision)
        y.element = element
        return y
    return op.convert(x, precision)


@onnx_op("Cast")
def cast_op(op: Op) -> Tensor:
    return cast(op, op.input(0), op.int("to"), bool(op.int("saturate", 1)))


@onnx_op("CastLike")
def cast_like(op: Op) -> Tensor:
    return cast(op, op.input(0), element_of(op.input(1)), bool(op.int("saturate", 1)))


@onnx_op("Identity")
def identity(op: Op) -> list[Item]:
    return [op.items[0]]


@onnx_op("Dropout")
def dropout(op: Op) -> list[Tensor]:
    """Inference: the data itself, and a mask of ones."""
    x = op.input(0)
    training = op.optional(2)
    if training is not None:
        flag, ratio = op.known(training), op.known(op.input(1)) if op.has_input(1) else np.float32(0.5)
        if flag is None or (flag.any() and (ratio is None or np.any(ratio != 0))):
            raise op.fail("training mode is not supported")
    if not op.has_output(1):
        return [x]
    kind = "BOOL" if op.opset >= 10 else x.precision
    return [x, op.broadcast(op.constant(1, kind), op.shape_of(x))]


#: Floating precisions: stored bits of the mantissa, bias of the exponent.
_BITS = {"FP16": (10, 15), "BF16": (7, 127), "FP32": (23, 127), "FP64": (52, 1023)}


def _bits_of(op: Op, x: Tensor, precision: str) -> Tensor:
    """The bits of floating numbers as integers; those of NaN are the plainest."""
    mantissa, bias = _BITS[x.precision]
    width = BY_NAME[precision].bits
    x = op.convert(x, "FP32")
    size = op.make("Abs", x)
    finite = op.make("Less", size, np.inf)
    size = op.select(finite, size, 0.0)
    exponent = op.make("Maximum", _floor_log2(op, size), 1.0 - bias)
    power = op.gather(op.constant(np.exp2(np.arange(1 - bias, 128)), "FP32"), op.convert(op.add(exponent, bias - 1.0), "I32"))
    steps = op.make("Round", op.mul(op.div(size, power), 2.0**mantissa), mode="half_to_even")
    bits = op.add(op.convert(steps, "I64"), op.mul(op.convert(op.add(exponent, bias - 1.0), "I64"), 1 << mantissa))
    infinity = (2 * bias + 1) << mantissa
    broken = op.select(op.make("Equal", x, x), op.constant(infinity), infinity | 1 << (mantissa - 1))
    bits = op.select(finite, bits, broken)
    below = op.make("Less", op.select(op.make("Equal", x, 0.0), op.make("Divide", op.constant(1.0, "FP32"), x), x), 0.0)
    top = (1 << (width - 1)) * (1 if precision.startswith("U") else -1)
    return op.convert(op.select(below, op.add(bits, top), bits), precision)


def _number_of(op: Op, x: Tensor, precision: str) -> Tensor:
    """The floating numbers that have the bits of these integers; FP64 as near as FP32 comes to them."""
    mantissa, bias = _BITS[precision]
    top = 1 << (BY_NAME[x.precision].bits - 1)
    unsigned = x.precision in ("U16", "U32")
    x = op.convert(x, "I64")
    negative = op.make("GreaterEqual", x, top) if unsigned else op.make("Less", x, 0)
    x = op.select(negative, op.sub(x, top if unsigned else -top), x)
    fraction = op.make("FloorMod", x, 1 << mantissa)
    place = op.div(op.sub(x, fraction), 1 << mantissa)
    with np.errstate(over="ignore", under="ignore"):
        powers = np.exp2(np.maximum(np.arange(2 * bias + 2), 1.0) - bias).astype(np.float32)
    powers[-1] = np.inf
    lead = op.convert(op.make("Greater", place, 0), "FP32")
    number = op.mul(op.add(op.mul(op.convert(fraction, "FP32"), 2.0**-mantissa), lead), op.gather(op.constant(powers, "FP32"), place))
    broken = op.make("LogicalAnd", op.make("Equal", place, 2 * bias + 1), op.make("Greater", fraction, 0))
    number = op.select(broken, op.constant(np.nan, "FP32"), number)
    return op.convert(op.mul(number, op.select(negative, op.constant(-1.0, "FP32"), 1.0)), precision)


@onnx_op("BitCast")
def bit_cast(op: Op) -> Tensor:
    """The same bits as another type of the same width. The bits of FP64 are not there to be read: it is computed in FP32."""
    x, element = op.input(0), op.int("to")
    precision = precision_of(element, "the target")
    old, new = BY_NAME[x.precision], BY_NAME[precision]
    known = element in ELEMENTS.values() and not x.element and old.bits == new.bits and new.name != "BOOL"
    if x.is_float == (precision in FLOATS):
        known = known and (not x.is_float or old == new)
    else:
        known = known and old.name != "FP64" and old.name != "U64"
    if not known:
        raise op.fail(f"reading {type_name(element_of(x))} as {type_name(element)} is not supported")
    if x.is_float == (precision in FLOATS):
        return op.convert(x, precision)
    return _bits_of(op, x, precision) if x.is_float else _number_of(op, x, precision)
