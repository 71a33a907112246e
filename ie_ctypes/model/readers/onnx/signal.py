# SPDX-License-Identifier: Apache-2.0
"""Signal operators: DFT, STFT and the Mel matrix, as matrix products with tables that lowering computes once."""

from __future__ import annotations

import math

import numpy as np

from ie_ctypes.model.readers.onnx.elements import precision_of
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor


def _line(op: Op, count: Tensor) -> Tensor:
    """0, 1, ... of I64; ``count`` has one element."""
    return op.make("Range", op.constant(0), op.reshape(count, []), op.constant(1), output_type="i64", precision="I64")


def _tables(op: Op, rows: Tensor, columns: Tensor, period: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    """cos and sin of 2 pi r c / period, [rows, columns].

    Integers pick the quadrant and the angle within it, so that zeros and ones are exact and large products lose nothing.
    """
    product = op.mul(op.unsqueeze(_line(op, rows), [1]), op.unsqueeze(_line(op, columns), [0]))
    quarters = op.mul(op.make("FloorMod", product, period), 4)
    quadrant, rest = op.div(quarters, period), op.convert(op.make("FloorMod", quarters, period), precision)
    angle = op.div(op.mul(rest, math.pi / 2), op.convert(period, precision))
    values = [op.make("Cos", angle), op.make("Sin", angle)]
    values += [op.make("Negative", v) for v in values]
    cosine, sine = (0, 3, 2, 1), (1, 0, 3, 2)  # cos, -sin, -cos, sin and sin, cos, -sin, -cos by quadrant
    return _chosen(op, quadrant, [values[i] for i in cosine]), _chosen(op, quadrant, [values[i] for i in sine])


def _chosen(op: Op, index: Tensor, values: list[Tensor]) -> Tensor:
    """``values[index]``, element by element."""
    y = values[-1]
    for i in range(len(values) - 2, -1, -1):
        y = op.select(op.make("Equal", index, i), values[i], y)
    return y


def _along_last(op: Op, x: Tensor, table: Tensor) -> Tensor:
    return op.make("MatMul", x, table, transpose_a=False, transpose_b=False)


@onnx_op("DFT")
def dft(op: Op) -> Tensor:
    """Fourier transform along an axis of [..., 1 or 2]; the last axis holds real and imaginary parts."""
    x = op.input(0)
    rank = op.rank(x)
    given = op.int("axis", 1) if op.opset < 20 else op.const_ints(2)[0] if op.has_input(2) else -2
    axis = op.wrap(given, rank)
    inverse, onesided = bool(op.int("inverse", 0)), bool(op.int("onesided", 0))
    if x.value is None:
        raise op.fail("the size of the last axis is unknown")
    complex_input = x.value.shape[-1] == 2
    parts = [op.squeeze(t, [-1]) for t in (op.split(x, rank - 1, 2) if complex_input else [x])]
    order = [i for i in range(rank - 1) if i != axis] + [axis]
    parts = [op.transpose(t, order) for t in parts]
    period = op.size(parts[0], -1)
    if op.has_input(1) and not (onesided and inverse):
        wanted = op.reshape(op.convert(op.input(1), "I64"), [1])
        tail = op.concat([op.constant([0] * (rank - 2)), op.sub(wanted, period)], 0) if rank > 2 else op.sub(wanted, period)
        zeros = op.constant([0] * (rank - 1))
        parts = [op.make("Pad", t, zeros, tail, pad_mode="constant") for t in parts]
        period = wanted
    if onesided and inverse:
        return op.transpose(_real_inverse(op, parts, x.precision), [*(order.index(i) for i in range(rank - 1)), rank - 1])
    bins = op.add(op.div(period, 2), 1) if onesided else period
    cosine, sine = _tables(op, period, bins, period, x.precision)
    sign = 1.0 if inverse else -1.0
    real, imaginary = _along_last(op, parts[0], cosine), op.mul(_along_last(op, parts[0], sine), sign)
    if complex_input:
        real = op.sub(real, op.mul(_along_last(op, parts[1], sine), sign))
        imaginary = op.add(imaginary, _along_last(op, parts[1], cosine))
    y = op.concat([op.unsqueeze(t, [-1]) for t in (real, imaginary)], rank - 1)
    if inverse:
        y = op.div(y, op.convert(period, x.precision))
    return op.transpose(y, [*(order.index(i) for i in range(rank - 1)), rank - 1])


def _real_inverse(op: Op, parts: list[Tensor], precision: str) -> Tensor:
    """The real signal [..., n, 1] of half a spectrum: bins between the first and the last count twice."""
    if len(parts) < 2:
        raise op.fail("half a spectrum must have real and imaginary parts")
    bins = op.size(parts[0], -1)
    period = op.reshape(op.convert(op.input(1), "I64"), [1]) if op.has_input(1) else op.mul(op.sub(bins, 1), 2)
    if op.has_input(1):
        bins = op.add(op.div(period, 2), 1)
        limits = [op.constant([v]) for v in (0, 1, -1)]
        parts = [op.make("Slice", t, limits[0], bins, limits[1], limits[2]) for t in parts]
    cosine, sine = _tables(op, bins, period, period, precision)
    line = _line(op, bins)
    single = op.make("LogicalOr", op.make("Equal", line, 0), op.make("Equal", op.mul(line, 2), period))
    weight = op.unsqueeze(op.select(single, op.constant(1, precision), 2), [1])
    y = op.sub(_along_last(op, parts[0], op.mul(cosine, weight)), _along_last(op, parts[1], op.mul(sine, weight)))
    return op.unsqueeze(op.div(y, op.convert(period, precision)), [-1])


@onnx_op("STFT")
def stft(op: Op) -> Tensor:
    """[batch, samples, 1] to [batch, frames, bins, 2]: a convolution with windowed waves."""
    signal, step, window, length = op.input(0), op.const_ints(1)[0], op.optional(2), op.optional(3)
    if op.rank(signal) == 3:
        if signal.value is not None and signal.value.shape[2] != 1:
            raise op.fail("complex signals are not supported")
        signal = op.squeeze(signal, [2])
    if length is None and window is None:
        raise op.fail("there is neither a window nor a frame length")
    period = op.reshape(op.convert(length, "I64"), [1]) if length is not None else op.size(window, 0)  # type: ignore[arg-type]
    bins = op.add(op.div(period, 2), 1) if op.int("onesided", 1) else period
    cosine, sine = _tables(op, bins, period, period, signal.precision)
    waves = op.concat([cosine, op.make("Negative", sine)], 0)
    if window is not None:
        waves = op.mul(waves, window)
    zero = [0]
    y = op.make(
        "Convolution",
        op.unsqueeze(signal, [1]),
        op.unsqueeze(waves, [1]),
        strides=[step],
        dilations=[1],
        pads_begin=zero,
        pads_end=zero,
        auto_pad="explicit",
    )
    frames = op.transpose(y, (0, 2, 1))
    real, imaginary = op.split(frames, 2, 2)
    return op.concat([op.unsqueeze(t, [-1]) for t in (real, imaginary)], 3)


@onnx_op("MelWeightMatrix")
def mel_weight_matrix(op: Op) -> Tensor:
    """Triangles over the bins of a spectrum, one a Mel band, as the standard's formula has them; all inputs are constants."""
    bands, size, rate = (op.const_ints(i)[0] for i in range(3))
    low, high = (float(op.const(i).ravel()[0]) for i in (3, 4))
    bins = size // 2 + 1
    edges = 2595 * np.log10(1 + np.array([low, high]) / 700)
    places = edges[0] + np.arange(bands + 2) * (edges[1] - edges[0]) / (bands + 2)
    at = ((size + 1) * (700 * (10 ** (places / 2595) - 1)) // rate).astype(np.int64)
    table = np.zeros((bins, bands), np.float32)
    for i in range(bands):
        first, middle, last = (int(v) for v in at[i : i + 3])
        rise, fall = middle - first, last - middle
        if rise == 0:
            table[middle, i] = 1
        for j in range(first, middle + 1 if rise else first):
            table[j, i] = (j - first) / rise
        for j in range(middle, last):
            table[j, i] = (last - j) / fall
    return op.constant(table, precision_of(op.int("output_datatype", 1), "output_datatype"))
