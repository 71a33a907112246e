# SPDX-License-Identifier: Apache-2.0
"""Kinds Proposal and SimplerNMS: anchors moved by deltas at every cell, the best kept after suppression. Rules: IR 6.4, 6.5."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, expect_dtype, integer, number, numbers, tensor
from ie_ctypes.model.ops.boxes import best_first, refine, suppress
from ie_ctypes.model.ops.introsort import partial_order
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _check(attrs: Attrs, types: Sequence[TensorType | None]) -> tuple[int, int]:
    """Images and rows of an image, when scores, deltas and image description fit together."""
    expect_dtype(types, ("float32",))
    scores, deltas, info = (tensor(types, i) for i in range(3))
    count, rows = len(numbers(attrs, "anchors")) // 4, integer(attrs, "post_nms_topn")
    if len(scores.shape) != 4 or scores.shape[1] != 2 * count:
        raise ValueError(f"scores are {list(scores.shape)}, expected [N, {2 * count}, H, W] for {count} anchors")
    n, _, h, w = scores.shape
    if deltas.shape != (n, 4 * count, h, w):
        raise ValueError(f"deltas are {list(deltas.shape)}, expected {[n, 4 * count, h, w]}")
    if info.size < 3:
        raise ValueError(f"the image description is {list(info.shape)}, expected height, width and scale")
    if rows < 1 or integer(attrs, "pre_nms_topn") < 1:
        raise ValueError(f"pre_nms_topn is {integer(attrs, 'pre_nms_topn')} and post_nms_topn is {rows}, expected at least 1")
    return n, rows


def _proposal_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    n, rows = _check(attrs, types)
    return [TensorType("float32", (n * rows, 5)), TensorType("float32", (n * rows,))]


def _cells(attrs: Attrs, scores: np.ndarray, deltas: np.ndarray, swap: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Anchors [K, 4] at their cells, deltas [K, 4] and foreground scores [K] of one image, in the order row, column, anchor."""
    anchors = np.array(numbers(attrs, "anchors"), np.float32).reshape(-1, 4)
    h, w = scores.shape[1:]
    rows, columns = np.mgrid[:h, :w].astype(np.float32) * np.float32(number(attrs, "feat_stride"))
    x, y = (rows, columns) if swap else (columns, rows)
    shift = np.stack([x, y, x, y], -1)[:, :, None]
    moves = deltas.reshape(len(anchors), 4, h, w).transpose(2, 3, 0, 1)
    foreground = scores[len(anchors) :].transpose(1, 2, 0)
    return (anchors + shift).reshape(-1, 4), moves.reshape(-1, 4), foreground.ravel()


@kind("Proposal", _proposal_type)
def proposal(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Rows [image, x0, y0, x1, y1] and their scores; after the last row of an image one with image -1, then zeros."""
    scores, deltas, info = (array(arrays, i) for i in range(3))
    n, rows = len(scores), integer(attrs, "post_nms_topn")
    rois, kept_scores = np.zeros((n * rows, 5), np.float32), np.zeros(n * rows, np.float32)
    tf, extra = bool(integer(attrs, "tensorflow")), np.float32(0 if integer(attrs, "tensorflow") else 1)
    info = info.ravel()
    height, width = (info[1], info[0]) if tf else (info[0], info[1])
    ends = np.array([width, height, width, height], np.float32)
    least = np.float32(number(attrs, "min_size")) * np.array([info[3] if info.size > 3 else info[2], info[2]], np.float32)
    scale = np.array([number(attrs, "box_coordinate_scale")] * 2 + [number(attrs, "box_size_scale")] * 2, np.float32)
    for i in range(n):
        boxes, moves, found = _cells(attrs, scores[i], deltas[i], tf)
        if tf:
            boxes = boxes.clip(0, ends)
        boxes = refine(boxes, moves / scale, extra)
        if integer(attrs, "clip_before_nms"):
            boxes = boxes.clip(0, ends - extra)
        found = np.where((boxes[:, 2:] - boxes[:, :2] + extra >= least).all(1), found, np.float32(0))
        kept = suppress(boxes, partial_order(found, integer(attrs, "pre_nms_topn")), number(attrs, "nms_thresh"), extra, rows)
        boxes = boxes[kept]
        if integer(attrs, "clip_after_nms"):
            boxes = boxes.clip(0, ends)
        if integer(attrs, "normalize"):
            boxes = boxes / ends
        first, last = i * rows, i * rows + len(kept)
        rois[first:last, 0], rois[first:last, 1:], kept_scores[first:last] = i, boxes, found[kept]
        if len(kept) < rows:
            rois[last, 0] = -1
    return [rois, kept_scores]


def _simpler_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    n, rows = _check(attrs, types)
    if n != 1:
        raise ValueError(f"there are {n} images, expected 1")
    return [TensorType("float32", (rows, 5))]


@kind("SimplerNMS", _simpler_type)
def simpler_nms(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Rows [0, x0, y0, x1, y1]: boxes at least as large as the smallest allowed, the later of equal scores first."""
    scores, deltas, info = (array(arrays, i) for i in range(3))
    rows = integer(attrs, "post_nms_topn")
    out = np.zeros((rows, 5), np.float32)
    height, width, scale = info.ravel()[:3]
    boxes, moves, found = _cells(attrs, scores[0], deltas[0], False)
    boxes = refine(boxes, moves, 1).clip(0, np.array([width, height, width, height], np.float32) - np.float32(1))
    size = np.trunc(boxes[:, 2:] - boxes[:, :2]) + 1
    valid = np.flatnonzero((size >= integer(attrs, "min_size") * np.trunc(scale)).all(1))
    later_first = valid[::-1]
    order = later_first[best_first(found[later_first], integer(attrs, "pre_nms_topn"))]
    order = order[found[order] > 0]
    kept = suppress(boxes, order, number(attrs, "nms_thresh"), 1, rows)
    out[: len(kept), 1:] = boxes[kept]
    return [out]


def make_anchors(base: int, ratios: Sequence[float], scales: Sequence[float], tensorflow: bool) -> tuple[float, ...]:
    """Corners of the anchors of cell 0, ratio by ratio, each scale; TensorFlow's are not rounded and lie around 0."""
    extra = 0.0 if tensorflow else 1.0
    centre = 0.5 * (base - extra) - (0.5 * base if tensorflow else 0.0)
    corners: list[float] = []
    for ratio in ratios:
        w = math.sqrt(base * base / ratio)
        w = w if tensorflow else math.floor(w + 0.5)
        h = w * ratio if tensorflow else math.floor(w * ratio + 0.5)
        for scale in scales:
            x, y = 0.5 * (w * scale - extra), 0.5 * (h * scale - extra)
            corners += [centre - x, centre - y, centre + x, centre + y]
    return tuple(corners)


@legacy("Proposal")
@opset("Proposal")
def translate_proposal(layer: Layer) -> None:
    framework = layer.str("framework", "")
    if framework not in ("", "caffe", "tensorflow"):
        raise layer.fail(f"framework is {framework!r}, expected tensorflow or nothing")
    base, ratios = layer.int("base_size"), layer.floats("ratio")
    if base < 1 or not all(r > 0 and math.isfinite(r) for r in ratios):
        raise layer.fail(f"base_size is {base} and ratio is {list(ratios)}, expected positive numbers")
    tf = framework == "tensorflow"
    outputs = layer.emit_many(
        "Proposal",
        [layer.float_input(i) for i in range(3)],
        anchors=make_anchors(base, ratios, layer.floats("scale"), tf),
        tensorflow=int(tf),
        feat_stride=layer.int("feat_stride"),
        min_size=layer.int("min_size"),
        pre_nms_topn=layer.int("pre_nms_topn"),
        post_nms_topn=layer.int("post_nms_topn"),
        nms_thresh=layer.float("nms_thresh"),
        box_coordinate_scale=layer.float("box_coordinate_scale", 1.0),
        box_size_scale=layer.float("box_size_scale", 1.0),
        normalize=int(layer.bool("normalize", False)),
        clip_before_nms=int(layer.bool("clip_before_nms", True)),
        clip_after_nms=int(layer.bool("clip_after_nms", False)),
    )
    for i in range(min(len(layer.node.outputs), 2)):
        layer.set_output(i, outputs[i])


@legacy("SimplerNMS")
def translate_simpler_nms(layer: Layer) -> None:
    """The inputs come in any order of scores and deltas; the one with more channels is the deltas."""
    scores, deltas = layer.float_input(0), layer.float_input(1)
    if len(scores.shape) == len(deltas.shape) == 4 and scores.shape[1] > deltas.shape[1]:
        scores, deltas = deltas, scores
    out = layer.emit(
        "SimplerNMS",
        [scores, deltas, layer.float_input(2)],
        anchors=make_anchors(16, (0.5, 1.0, 2.0), layer.floats("scale", ()), False),
        feat_stride=layer.int("feat_stride"),
        min_size=layer.int("min_bbox_size"),
        pre_nms_topn=layer.int("pre_nms_topn"),
        post_nms_topn=layer.int("post_nms_topn"),
        nms_thresh=layer.float("iou_threshold"),
    )
    layer.set_output(0, out)
