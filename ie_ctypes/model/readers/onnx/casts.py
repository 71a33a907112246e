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


def cast(op: Op, x: Tensor, element: int, saturate: bool = True) -> Tensor:
    """``x`` in an ONNX element type."""
    if element == element_of(x):
        return x
    if element not in (*SMALL, *NARROW) and element not in ELEMENTS.values():
        raise op.fail(f"a cast to {type_name(element)} is not supported")
    precision = precision_of(element, "the target")
    if element in SMALL:
        y = round_small(op, x, element, saturate)
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


@onnx_op("BitCast")
def bit_cast(op: Op) -> Tensor:
    """The same bits as an integer type of the same width; other pairs have no layers."""
    x, element = op.input(0), op.int("to")
    precision = precision_of(element, "the target")
    old, new = BY_NAME[x.precision], BY_NAME[precision]
    if element not in ELEMENTS.values() or x.element or old.bits != new.bits or x.is_float != (precision in FLOATS) or precision == "BOOL":
        raise op.fail(f"reading {type_name(element_of(x))} as {type_name(element)} is not supported")
    return op.convert(x, precision)
