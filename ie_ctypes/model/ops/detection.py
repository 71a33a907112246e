# SPDX-License-Identifier: Apache-2.0
"""Kind DetectionOutput: boxes decoded from priors, non-maximum suppression, the best kept. Rules: IR 6.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, integer, number, tensor, text
from ie_ctypes.model.ops.boxes import suppress
from ie_ctypes.model.ops.introsort import falling_order
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

CENTER_SIZE = "caffe.PriorBoxParameter.CENTER_SIZE"
_LOWEST = -3.4028234663852886e38


def _detection_output_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    loc, conf, prior = (tensor(types, i) for i in range(3))
    classes = integer(attrs, "num_classes")
    if classes < 1 or len(loc.shape) != 2 or len(conf.shape) != 2 or len(prior.shape) != 3:
        raise ValueError(
            f"locations {list(loc.shape)}, confidences {list(conf.shape)}, priors {list(prior.shape)} and {classes} classes: "
            "expected [N, P*L*4], [N, P*C], [1 or N, 1 or 2, P*4 or P*5] and at least 1 class"
        )
    batch, count = loc.shape[0], prior.shape[2] // _prior_size(attrs)
    if not count or prior.shape[2] % _prior_size(attrs):
        raise ValueError(f"priors are {list(prior.shape)}, expected {_prior_size(attrs)} numbers each in the last axis")
    located = 1 if integer(attrs, "share_location") else classes
    rows = 1 if integer(attrs, "variance_encoded_in_target") else 2
    if loc.shape[1] != count * located * 4 or conf.shape != (batch, count * classes):
        raise ValueError(
            f"{count} priors, {classes} classes: locations are {list(loc.shape)}, expected {[batch, count * located * 4]}; "
            f"confidences are {list(conf.shape)}, expected {[batch, count * classes]}"
        )
    if prior.shape[0] not in (1, batch) or prior.shape[1] < rows:
        raise ValueError(f"priors are {list(prior.shape)}, expected 1 or {batch} images of {rows} rows")
    keep, top = integer(attrs, "keep_top_k"), integer(attrs, "top_k")
    kept = keep if keep > 0 else classes * (min(top, count) if top > 0 else count)
    return [TensorType("float32", (1, 1, batch * kept, 7))]


def _prior_size(attrs: Attrs) -> int:
    return 4 if integer(attrs, "normalized") else 5


def _priors(attrs: Attrs, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners [P, 4] and variances [P, 4] of one image; a list that is not normalised ends at batch id -1."""
    size = _prior_size(attrs)
    count = rows.shape[1] // size
    boxes = rows[0, : count * size].reshape(count, size)
    if size == 5:
        ends = np.flatnonzero(boxes[:, 0] == -1)
        boxes = boxes[: ends[0] if ends.size else count, 1:]
        scale = np.array([integer(attrs, "input_width"), integer(attrs, "input_height")] * 2, np.float32)
        boxes = boxes / scale
    if integer(attrs, "variance_encoded_in_target"):
        return boxes, np.ones_like(boxes)
    return boxes, rows[1, : count * 4].reshape(count, 4)[: len(boxes)]


def _decode(attrs: Attrs, priors: np.ndarray, variances: np.ndarray, loc: np.ndarray) -> np.ndarray:
    """Boxes [..., 4] from offsets of the same shape."""
    offset = loc * variances
    if text(attrs, "code_type") != CENTER_SIZE:
        return np.asarray(priors + offset)
    size = priors[..., 2:] - priors[..., :2]
    centre = (priors[..., :2] + priors[..., 2:]) / 2 + offset[..., :2] * size
    half = np.exp(offset[..., 2:]) * size / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def _best_first(scores: np.ndarray, candidates: np.ndarray, top: int) -> np.ndarray:
    order = candidates[np.argsort(-scores[candidates], kind="stable")]
    return order[:top] if top > -1 else order


def _by_class(attrs: Attrs, conf: np.ndarray, boxes: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Caffe's rule: each class but the background on its own. (class, kept priors) in class order."""
    found = []
    for c in range(conf.shape[1]):
        if c == integer(attrs, "background_label_id"):
            continue
        candidates = np.flatnonzero(conf[:, c] > number(attrs, "confidence_threshold"))
        order = _best_first(conf[:, c], candidates, integer(attrs, "top_k"))
        found.append((c, suppress(boxes[:, c % boxes.shape[1]], order, number(attrs, "nms_threshold"))))
    return found


def _by_prior(attrs: Attrs, conf: np.ndarray, boxes: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """MXNet's rule: a prior counts for its best class only; top_k is over all classes."""
    if conf.shape[1] < 2:
        return []
    best = conf[:, 1:].argmax(1) + 1
    scores = conf[np.arange(len(conf)), best]
    order = _best_first(scores, np.flatnonzero(scores >= number(attrs, "confidence_threshold")), integer(attrs, "top_k"))
    threshold = number(attrs, "nms_threshold")
    return [(c, suppress(boxes[:, c % boxes.shape[1]], order[best[order] == c], threshold)) for c in range(1, conf.shape[1])]


@kind("DetectionOutput", _detection_output_type)
def detection_output(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Rows [image, label, score, x0, y0, x1, y1] by image, class and falling score; the row after the last has image -1."""
    loc, conf, prior = (array(arrays, i) for i in range(3))
    types = [None if a is None else TensorType("float32", a.shape) for a in arrays]
    out = np.zeros(_detection_output_type(attrs, types)[0].shape, np.float32)
    classes, keep = integer(attrs, "num_classes"), integer(attrs, "keep_top_k")
    decrease = integer(attrs, "decrease_label_id")
    used = 0
    for n in range(loc.shape[0]):
        priors, variances = _priors(attrs, prior[n if prior.shape[0] > 1 else 0])
        count = len(priors)
        scores = conf[n].reshape(-1, classes)[:count]
        if len(arrays) > 4 and arrays[3] is not None and arrays[4] is not None:
            arm_loc = arrays[4][n].reshape(-1, arrays[4].shape[1] // (conf.shape[1] // classes) // 4, 4)[:count, 0]
            priors = _decode(attrs, priors, variances, arm_loc)
            weak = arrays[3][n].reshape(-1, 2)[:count, 1] < number(attrs, "objectness_score")
            scores = np.where(weak[:, None], np.arange(classes) == integer(attrs, "background_label_id"), scores)
        offsets = loc[n].reshape(conf.shape[1] // classes, -1, 4)[:count]
        boxes = _decode(attrs, priors[:, None], variances[:, None], offsets)
        if integer(attrs, "clip_before_nms"):
            boxes = boxes.clip(0, 1)
        found = (_by_prior if decrease else _by_class)(attrs, scores, boxes)
        label = np.concatenate([np.full(len(kept), c) for c, kept in found]) if found else np.zeros(0, np.int64)
        index = np.concatenate([kept for _, kept in found]) if found else np.zeros(0, np.int64)
        score = scores[index, label]
        if -1 < keep < len(index):
            chosen = falling_order(score, keep)
            chosen = chosen[np.argsort(label[chosen], kind="stable")]
            label, index, score = label[chosen], index[chosen], score[chosen]
        corners = boxes[index, label % boxes.shape[1]]
        if integer(attrs, "clip_after_nms"):
            corners = corners.clip(0, 1)
        end = min(used + len(index), out.shape[2])
        fit = end - used
        out[0, 0, used:end] = np.column_stack([np.full(len(index), n), label - bool(decrease), score, corners])[:fit]
        used = end
    if used < out.shape[2]:
        out[0, 0, used, 0] = -1
    return [out]


def _emit(layer: Layer, classes: int, keep: int, *, normalized: bool, threshold: float) -> None:
    inputs = [layer.input(i) for i in range(3)]
    if layer.has_input(3) or layer.has_input(4):
        inputs += [layer.input(3), layer.input(4)]
    inputs = [layer.convert(v, "float32") for v in inputs]
    for i in (0, 1):  # old files leave out the Flatten
        if len(inputs[i].shape) > 2:
            inputs[i] = layer.emit("Reshape", [inputs[i]], shape=(inputs[i].shape[0], inputs[i].type.size // max(inputs[i].shape[0], 1)))
    decrease, background = layer.bool("decrease_label_id", False), layer.int("background_label_id", 0)
    if decrease and background != 0:
        raise layer.fail(f"background_label_id is {background}, decrease_label_id needs 0")
    out = layer.emit(
        "DetectionOutput",
        inputs,
        num_classes=classes,
        background_label_id=background,
        top_k=layer.int("top_k", -1),
        keep_top_k=keep,
        variance_encoded_in_target=int(layer.bool("variance_encoded_in_target", False)),
        code_type=layer.str("code_type", "caffe.PriorBoxParameter.CORNER"),
        share_location=int(layer.bool("share_location", True)),
        nms_threshold=layer.float("nms_threshold"),
        confidence_threshold=layer.float("confidence_threshold", threshold),
        clip_before_nms=int(layer.bool("clip_before_nms", False) or layer.bool("clip", False)),
        clip_after_nms=int(layer.bool("clip_after_nms", False)),
        decrease_label_id=int(decrease),
        normalized=int(layer.bool("normalized", normalized)),
        input_height=layer.int("input_height", 1),
        input_width=layer.int("input_width", 1),
        objectness_score=layer.float("objectness_score", 0.0),
    )
    layer.set_output(0, out)


@legacy("DetectionOutput")
def legacy_detection_output(layer: Layer) -> None:
    _emit(layer, layer.int("num_classes"), layer.int("keep_top_k", -1), normalized=True, threshold=_LOWEST)


@opset("DetectionOutput")
def opset_detection_output(layer: Layer) -> None:
    """``keep_top_k`` is a list, the first counts; the newer operation finds the number of classes itself."""
    keep = layer.ints("keep_top_k")
    if not keep:
        raise layer.fail("attribute 'keep_top_k' is empty")
    if layer.has("num_classes"):
        classes = layer.int("num_classes")
    else:
        priors = layer.input(2).shape[-1] // (4 if layer.bool("normalized", False) else 5)
        classes = layer.input(1).shape[-1] // max(priors, 1)
    _emit(layer, classes, keep[0], normalized=False, threshold=0.0)
