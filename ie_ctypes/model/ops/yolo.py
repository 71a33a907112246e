# SPDX-License-Identifier: Apache-2.0
"""RegionYolo: logistic of centres and objectness, softmax or logistic of classes, of each anchor. Rule: IR 6.8."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ie_ctypes.model.ops.activation import emit_unary
from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.program import Shape

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


@legacy("RegionYolo")
@opset("RegionYolo")
def region_yolo(layer: Layer) -> None:
    x = layer.input(0)
    classes, coords, softmax = layer.int("classes"), layer.int("coords"), layer.bool("do_softmax", True)
    anchors = layer.int("num") if softmax else len(layer.ints("mask", ()))
    if len(x.shape) != 4 or coords < 2 or classes < 1 or x.shape[1] != anchors * (coords + 1 + classes):
        raise layer.fail(
            f"shape {list(x.shape)} is not [N, C, H, W] with {anchors} anchors of {coords} coordinates, objectness and {classes} classes"
        )
    n, _, h, w = x.shape
    cells = layer.emit("Reshape", [x], shape=(n, anchors, coords + 1 + classes, h * w))
    centre, size, objectness, scores = layer.emit_many("Split", [cells], axis=2, lengths=(2, coords - 2, 1, classes))
    scores = layer.emit("Softmax", [scores], axis=2) if softmax else emit_unary(layer, scores, "sigmoid")
    parts = [emit_unary(layer, centre, "sigmoid"), size, emit_unary(layer, objectness, "sigmoid"), scores]
    out = layer.emit("Concat", parts, axis=2)
    shape: Shape = x.shape
    if softmax:
        first, last = layer.axis(layer.int("axis", 1), 4), layer.axis(layer.int("end_axis", 1), 4, "end_axis")
        if last < first:
            raise layer.fail(f"end_axis is {last}, expected >= axis, which is {first}")
        shape = (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
    layer.set_output(0, layer.emit("Reshape", [out], shape=shape))
