# SPDX-License-Identifier: Apache-2.0
"""Mask-RCNN layers of ONNX: kinds GenerateProposals and ROIDetections; prior grids and best regions of other kinds. Rules: IR 7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, expect_dtype, integer, number, numbers, tensor
from ie_ctypes.model.ops.boxes import MAX_LOG_SIZE, best_first, refine, suppress
from ie_ctypes.model.ops.introsort import partial_order
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _proposals_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    expect_dtype(types, ("float32",))
    info, anchors, deltas, scores = (tensor(types, i) for i in range(4))
    if len(scores.shape) != 4 or len(deltas.shape) != 4:
        raise ValueError(f"deltas {list(deltas.shape)} and scores {list(scores.shape)}: expected [N, 4*A, H, W] and [N, A, H, W]")
    n, a, h, w = scores.shape
    if deltas.shape != (n, 4 * a, h, w) or anchors.shape != (h * w * a, 4):
        raise ValueError(
            f"deltas {list(deltas.shape)}, anchors {list(anchors.shape)}: "
            f"expected {[n, 4 * a, h, w]} and {[h * w * a, 4]} for scores {list(scores.shape)}"
        )
    if len(info.shape) != 2 or info.shape[0] != n or info.shape[1] < 3:
        raise ValueError(f"the image descriptions are {list(info.shape)}, expected [{n}, 3 or 4]")
    before, rows = integer(attrs, "pre_nms_count"), integer(attrs, "post_nms_count")
    if before < 1 or rows < 1:
        raise ValueError(f"pre_nms_count is {before} and post_nms_count is {rows}, expected at least 1")
    return [TensorType("float32", (n * rows, 4)), TensorType("float32", (n * rows,)), TensorType("int32", (n,))]


@kind("GenerateProposals", _proposals_type)
def generate_proposals(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Boxes and scores of all images one after the other, then zeros; how many each image has."""
    info, anchors, deltas, scores = (array(arrays, i) for i in range(4))
    n, a, h, w = scores.shape
    rows, extra = integer(attrs, "post_nms_count"), np.float32(integer(attrs, "extra"))
    rois, found, counts = np.zeros((n * rows, 4), np.float32), np.zeros(n * rows, np.float32), np.zeros(n, np.int32)
    used = 0
    for i in range(n):
        ends = np.array([info[i, 1], info[i, 0]] * 2, np.float32)
        least = np.float32(number(attrs, "min_size")) * (info[i, [-1, 2]] if integer(attrs, "drop_small") else np.float32(1))
        moves = deltas[i].reshape(a, 4, h, w).transpose(2, 3, 0, 1).reshape(-1, 4)
        boxes = refine(anchors, moves, float(extra), MAX_LOG_SIZE)
        boxes[:, 2:] -= extra
        boxes = boxes.clip(0, ends - extra)
        score = scores[i].transpose(1, 2, 0).ravel()
        large = (boxes[:, 2:] - boxes[:, :2] + extra >= least).all(1)
        if integer(attrs, "drop_small"):
            order = partial_order(score, integer(attrs, "pre_nms_count"))
            order = order[large[order]]
        else:
            score = np.where(large, score, np.float32(0))
            order = partial_order(score, integer(attrs, "pre_nms_count"))
        kept = suppress(boxes, order, number(attrs, "nms_threshold"), integer(attrs, "nms_extra"), rows)
        counts[i] = len(kept)
        rois[used : used + len(kept)], found[used : used + len(kept)] = boxes[kept], score[kept]
        used += len(kept)
    return [rois, found, counts]


def _emit_proposals(layer: Layer, inputs: list[Value], *, extra: int, drop_small: int, nms_extra: int) -> list[Value]:
    """``drop_small``: too small boxes go, and the smallest size is multiplied by the scale of the image; else their score is 0."""
    return layer.emit_many(
        "GenerateProposals",
        inputs,
        min_size=layer.float("min_size"),
        nms_threshold=layer.float("nms_threshold"),
        pre_nms_count=layer.int("pre_nms_count"),
        post_nms_count=layer.int("post_nms_count"),
        extra=extra,
        drop_small=drop_small,
        nms_extra=nms_extra,
    )


@legacy("ExperimentalDetectronGenerateProposalsSingleImage")
@opset("ExperimentalDetectronGenerateProposalsSingleImage")
def single_image(layer: Layer) -> None:
    info, anchors, deltas, scores = (layer.float_input(i) for i in range(4))
    inputs = [layer.reshape(info, (1, info.type.size)), anchors, *(layer.reshape(v, (1, *v.shape)) for v in (deltas, scores))]
    outputs = _emit_proposals(layer, inputs, extra=1, drop_small=0, nms_extra=0)
    for i in range(min(len(layer.node.outputs), 2)):
        layer.set_output(i, outputs[i])


@opset("GenerateProposals")
def translate_generate_proposals(layer: Layer) -> None:
    info, anchors, deltas, scores = (layer.float_input(i) for i in range(4))
    extra = 0 if layer.bool("normalized", True) else 1
    inputs = [info, layer.reshape(anchors, (anchors.type.size // 4, 4)), deltas, scores]
    if layer.float("nms_eta", 1.0) != 1:
        raise layer.fail(f"nms_eta is {layer.float('nms_eta'):g}, expected 1")
    rois, found, counts = _emit_proposals(layer, inputs, extra=extra, drop_small=1, nms_extra=extra)
    layer.set_output(0, rois)
    layer.set_output(1, found)
    layer.set_output(2, layer.convert(counts, "int32" if layer.str("roi_num_type", "i64") == "i32" else "int64"))


@legacy("ExperimentalDetectronPriorGridGenerator")
@opset("ExperimentalDetectronPriorGridGenerator")
def prior_grid(layer: Layer) -> None:
    """Priors at the centre of every cell; the step is the image's size over the grid's unless it is given.

    The operation has as many rows as the feature map has cells, whatever the grid: the rest is cut off, or 0.
    """
    priors, feature, image = layer.float_input(0), layer.input(1), layer.input(2)
    if len(priors.shape) != 2 or priors.shape[1] != 4 or len(feature.shape) != 4 or len(image.shape) != 4:
        raise layer.fail(
            f"inputs are {[list(v.shape) for v in (priors, feature, image)]}, expected priors [A, 4], features and image of rank 4"
        )
    h, w = layer.int("h", 0) or feature.shape[2], layer.int("w", 0) or feature.shape[3]
    if h < 1 or w < 1:
        raise layer.fail(f"the grid is {h} by {w}, expected at least 1 by 1")
    step_y = layer.float("stride_y", 0.0) or image.shape[2] / h
    step_x = layer.float("stride_x", 0.0) or image.shape[3] / w
    y, x = (np.mgrid[:h, :w].astype(np.float32) + np.float32(0.5)) * np.array([step_y, step_x], np.float32)[:, None, None]
    grid = layer.value(np.stack([x, y, x, y], -1)[:, :, None], "grid")
    count = priors.shape[0]
    out = layer.emit("Binary", [layer.reshape(priors, (1, 1, count, 4)), grid], op="add")
    if not layer.legacy and (h, w) != feature.shape[2:]:
        rows = feature.shape[2] * feature.shape[3] * count
        out = layer.emit(
            "Slice", [layer.reshape(out, (h * w * count, 4))], begins=(0, 0), strides=(1, 1), lengths=(min(rows, h * w * count), 4)
        )
        out = layer.emit("Pad", [out], pads_begin=(0, 0), pads_end=(rows - out.shape[0], 0), mode="constant", value=0.0)
        h, w = feature.shape[2:]
    layer.set_output(0, layer.reshape(out, (h * w * count, 4) if layer.bool("flatten", True) else (h, w, count, 4)))


@legacy("ExperimentalDetectronTopKROIs")
@opset("ExperimentalDetectronTopKROIs")
def top_rois(layer: Layer) -> None:
    """The regions of the highest scores; zeros when there are fewer than asked for."""
    rois, scores, rows = layer.float_input(0), layer.float_input(1), layer.int("max_rois")
    if len(rois.shape) != 2 or rois.shape[1] != 4 or scores.type.size != rois.shape[0] or rows < 1:
        raise layer.fail(f"regions {list(rois.shape)}, scores {list(scores.shape)}, max_rois {rows}: expected [R, 4], [R] and at least 1")
    count = min(rows, rois.shape[0])
    scores = layer.reshape(scores, (rois.shape[0],))
    _, order = layer.emit_many("TopK", [scores], axis=0, k=count, mode="max", sort="value", index_dtype="int32")
    out = layer.emit("Gather", [rois, order], axis=0, batch_dims=0, wrap=0)
    if count < rows:
        out = layer.emit("Pad", [out], pads_begin=(0, 0), pads_end=(rows - count, 0), mode="constant", value=0.0)
    layer.set_output(0, out)


def _detections_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    expect_dtype(types, ("float32",))
    rois, deltas, scores, info = (tensor(types, i) for i in range(4))
    classes, rows, count = integer(attrs, "num_classes"), integer(attrs, "max_detections_per_image"), rois.shape[0] if rois.shape else 0
    if classes < 1 or rows < 1 or integer(attrs, "post_nms_count") < 0:
        raise ValueError(
            f"num_classes is {classes}, max_detections_per_image is {rows}, post_nms_count is {integer(attrs, 'post_nms_count')}"
        )
    if rois.shape != (count, 4) or deltas.shape != (count, 4 * classes) or scores.shape != (count, classes) or info.size < 2:
        raise ValueError(
            f"regions {list(rois.shape)}, deltas {list(deltas.shape)}, scores {list(scores.shape)}, image {list(info.shape)}: "
            f"expected [R, 4], [R, {4 * classes}], [R, {classes}] and height and width"
        )
    if len(numbers(attrs, "deltas_weights")) != 4 or 0 in numbers(attrs, "deltas_weights"):
        raise ValueError(f"deltas_weights are {list(numbers(attrs, 'deltas_weights'))}, expected 4 numbers that are not 0")
    return [TensorType("float32", (rows, 4)), TensorType("int32", (rows,)), TensorType("float32", (rows,))]


@kind("ROIDetections", _detections_type)
def roi_detections(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Boxes, classes and scores: class by class, the best of each; when there are too many, the best of all by falling score."""
    rois, deltas, scores, info = (array(arrays, i) for i in range(4))
    rows, classes = integer(attrs, "max_detections_per_image"), integer(attrs, "num_classes")
    ends = np.array([info.ravel()[1], info.ravel()[0]] * 2, np.float32) - np.float32(1)
    weights = np.array(numbers(attrs, "deltas_weights"), np.float32)
    real = (rois[:, 2:] - rois[:, :2] > 0).all(1)
    boxes, labels, found = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32)
    for c in range(1, classes):
        moved = refine(rois, deltas[:, 4 * c : 4 * c + 4] / weights, 1, number(attrs, "max_delta_log_wh"))
        moved[:, 2:] -= 1
        moved = moved.clip(0, ends if integer(attrs, "clip") else None)
        order = best_first(scores[:, c])
        order = order[(scores[order, c] > np.float32(number(attrs, "score_threshold"))) & real[order]]
        kept = suppress(moved, order, number(attrs, "nms_threshold"), 1, integer(attrs, "post_nms_count"))
        boxes, found = np.concatenate([boxes, moved[kept]]), np.concatenate([found, scores[kept, c]])
        labels = np.concatenate([labels, np.full(len(kept), c, np.int32)])
    if len(found) > rows:
        order = partial_order(found, rows)
        boxes, labels, found = boxes[order], labels[order], found[order]
    out = [np.zeros((rows, 4), np.float32), np.zeros(rows, np.int32), np.zeros(rows, np.float32)]
    for whole, part in zip(out, (boxes, labels, found), strict=True):
        whole[: len(part)] = part
    return out


@legacy("ExperimentalDetectronDetectionOutput")
@opset("ExperimentalDetectronDetectionOutput")
def detection_output(layer: Layer) -> None:
    """The legacy layer clips boxes to the image, the operation only at 0. Deltas are given for every class."""
    outputs = layer.emit_many(
        "ROIDetections",
        [layer.float_input(i) for i in range(4)],
        num_classes=layer.int("num_classes"),
        score_threshold=layer.float("score_threshold"),
        nms_threshold=layer.float("nms_threshold"),
        post_nms_count=layer.int("post_nms_count"),
        max_detections_per_image=layer.int("max_detections_per_image"),
        clip=int(layer.legacy),
        max_delta_log_wh=layer.float("max_delta_log_wh"),
        deltas_weights=layer.floats("deltas_weights"),
    )
    for i in range(min(len(layer.node.outputs), 3)):
        layer.set_output(i, outputs[i])
