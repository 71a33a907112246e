# SPDX-License-Identifier: Apache-2.0
"""Pooling operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from ie_ctypes.model.readers.onnx.convolution import window
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor


def _attributes(op: Op) -> dict[str, Any]:
    kernel = op.ints("kernel_shape")
    rounding = "ceil_torch" if op.int("ceil_mode", 0) else "floor"
    return window(op, len(kernel)) | {"kernel": kernel, "rounding_type": rounding}


def _version(op: Op, version: str = "opset8") -> str:
    """ONNX's way of rounding up came late to the operation sets."""
    return "opset14" if op.int("ceil_mode", 0) else version


@onnx_op("MaxPool")
def max_pool(op: Op) -> list[Tensor]:
    """The second output are indices of the flattened input; in column-major order of an image with ``storage_order``."""
    x = op.input(0)
    outputs = op.make_many("MaxPool", x, **_attributes(op), index_element_type="i64", axis=0, outputs=2, version=_version(op))
    indices = outputs[1]
    indices.precision = indices.port.precision = "I64"
    if op.has_output(1) and op.int("storage_order", 0):
        plane = [op.squeeze(op.size(x, a), [0]) for a in (-2, -1)]
        area = op.mul(plane[0], plane[1])
        inside = op.make("Mod", indices, area)
        turned = op.add(op.mul(op.make("Mod", inside, plane[1]), plane[0]), op.div(inside, plane[1]))
        outputs[1] = op.add(op.sub(indices, inside), turned)
    return outputs


@onnx_op("AveragePool")
def average_pool(op: Op) -> Tensor:
    attributes = _attributes(op)
    dilations = attributes.pop("dilations")
    if any(d != 1 for d in dilations):
        return _dilated_average(op)
    attributes["exclude-pad"] = not op.int("count_include_pad", 0)
    return op.make("AvgPool", op.input(0), version=_version(op, "opset1"), **attributes)


def window_sum(op: Op, x: Tensor, padded: bool = False) -> Tensor:
    """Sum over every window: a convolution with ones of each channel alone. ``padded``: ``x`` has its padding already.

    With ``ceil_mode`` the last axes are as much longer as one more window could need.
    """
    kernel = op.ints("kernel_shape")
    attributes = window(op, len(kernel))
    if padded:
        attributes |= {"pads_begin": [0] * len(kernel), "pads_end": [0] * len(kernel)}
    if op.int("ceil_mode", 0):
        ends = zip(attributes["pads_end"], attributes["strides"], strict=True)
        attributes["pads_end"] = [end + stride - 1 for end, stride in ends]
    spatial = op.slice(op.shape_of(x), 0, 2, 9)
    planes = op.reshape(x, op.concat([op.constant([-1, 1]), spatial], 0))
    sums = op.make("Convolution", planes, op.constant(np.ones((1, 1, *kernel)), x.precision), **attributes)
    lead = op.slice(op.shape_of(x), 0, 0, 2)
    return op.reshape(sums, op.concat([lead, op.slice(op.shape_of(sums), 0, 2, 9)], 0))


def _dilated_average(op: Op) -> Tensor:
    """Sums over counts: a window counts its elements in the input, or in the padded input."""
    x = op.input(0)
    ones = op.broadcast(op.constant(1, x.precision), op.shape_of(x))
    included = bool(op.int("count_include_pad", 0))
    if included:
        pads = op.ints("pads", (0,) * 2 * len(op.ints("kernel_shape")))
        begin, end = ([0, 0, *half] for half in (pads[: len(pads) // 2], pads[len(pads) // 2 :]))
        ones = op.make("Pad", ones, np.array(begin), np.array(end), op.constant(1, x.precision), pad_mode="constant")
    return op.div(window_sum(op, x), window_sum(op, ones, padded=included))


@onnx_op("LpPool")
def lp_pool(op: Op) -> Tensor:
    """(sum of |x|^p)^(1/p) over windows."""
    x, p = op.make("Abs", op.input(0)), op.int("p", 2)
    return op.make("Power", window_sum(op, op.make("Power", x, p)), 1 / p)


def _spatial(op: Op) -> list[int]:
    return list(range(2, op.rank(op.input(0))))


@onnx_op("GlobalAveragePool")
def global_average_pool(op: Op) -> Tensor:
    return op.reduce("ReduceMean", op.input(0), _spatial(op))


@onnx_op("GlobalMaxPool")
def global_max_pool(op: Op) -> Tensor:
    return op.reduce("ReduceMax", op.input(0), _spatial(op))


@onnx_op("GlobalLpPool")
def global_lp_pool(op: Op) -> Tensor:
    x, p = op.make("Abs", op.input(0)), op.int("p", 2)
    return op.make("Power", op.reduce("ReduceSum", op.make("Power", x, p), _spatial(op)), 1 / p)


@onnx_op("MaxRoiPool")
def max_roi_pool(op: Op) -> Tensor:
    scale = op.float("spatial_scale", 1.0)
    return op.make("ROIPooling", op.input(0), op.input(1), output_size=op.ints("pooled_shape"), method="max", spatial_scale=scale)


@onnx_op("MaxUnpool")
def max_unpool(op: Op) -> Tensor:
    """Values put back at the flat indices that MaxPool gave, zeros elsewhere."""
    x, indices = op.input(0), op.input(1)
    kernel = op.ints("kernel_shape")
    spatial = len(kernel)
    pads, strides = op.ints("pads", (0,) * 2 * spatial), op.ints("strides", (1,) * spatial)
    lead, inner = (op.slice(op.shape_of(x), 0, a, b) for a, b in ((0, 2), (2, 9)))
    grown = [k - s - pads[i] - pads[i + spatial] for i, (k, s) in enumerate(zip(kernel, strides, strict=True))]
    own = op.concat([lead, op.add(op.mul(inner, op.constant(strides)), op.constant(grown))], 0)
    shape = op.convert(op.input(2), "I64") if op.has_input(2) else own
    flat = op.make("Broadcast", op.constant(0, x.precision), op.reduce("ReduceProd", own, [0]), mode="numpy")
    flat = op.make("ScatterElementsUpdate", flat, op.reshape(indices, [-1]), op.reshape(x, [-1]), op.constant(0), version="opset3")
    y = op.reshape(flat, own)
    if not op.has_input(2):
        return y
    return op.make("Pad", y, op.make("Multiply", shape, 0), op.sub(shape, own), pad_mode="constant")
