# SPDX-License-Identifier: Apache-2.0
"""NonMaxSuppression, MatrixNms and MulticlassNms against slow, separate implementations; rows, defaults, faults."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest
from layers import run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError

NMS = {"center": 0, "sort": 1, "rows": 12, "equal": 1, "index_dtype": "int32"}
MULTI = {
    "sort": "score", "sort_result_across_batch": 0, "index_dtype": "int32", "score_threshold": 0.2, "nms_top_k": -1, "keep_top_k": -1,
    "background_class": -1, "normalized": 1,
}  # fmt: skip


def scene(images=2, classes=2, count=6, seed=0):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 0.4, (images, count, 2)), rng.uniform(0.2, 0.5, (images, count, 2))
    scores = rng.permutation(images * classes * count).reshape(images, classes, count) / (images * classes * count)
    return np.concatenate([corner, corner + size], -1).astype(np.float32), scores.astype(np.float32)


def iou(a, b, extra=0.0):
    w = min(a[2], b[2]) - max(a[0], b[0]) + extra
    h = min(a[3], b[3]) - max(a[1], b[1]) + extra
    inter = max(w, 0) * max(h, 0)
    area = [(v[2] - v[0] + extra) * (v[3] - v[1] + extra) for v in (a, b)]
    return inter / (area[0] + area[1] - inter)


def slow_nms(boxes, scores, most, threshold, least, sigma=0.0):
    """Rows (image, class, box, score): the best waiting box is compared with all kept ones until nothing lowers its score."""
    rows = []
    for n, c in np.ndindex(scores.shape[:2]):
        waiting, kept = {i: float(s) for i, s in enumerate(scores[n, c]) if s > least}, []
        while waiting and len(kept) < most:
            best = max(waiting, key=lambda i: waiting[i])
            kept.append((n, c, best, waiting.pop(best)))
            for i in list(waiting):
                value = iou(boxes[n, i], boxes[n, best])
                if sigma:
                    waiting[i] *= math.exp(-value * value / 2 / sigma)
                if waiting[i] <= least or (not sigma and value >= threshold):
                    del waiting[i]
        rows += kept
    return sorted(rows, key=lambda r: -r[3])


def numbers(most, threshold, least, sigma=0.0):
    return [np.array([most], np.int64), *(np.array([v], np.float32) for v in (threshold, least, sigma))]


@pytest.mark.parametrize("sigma", [0.0, 0.4])
@pytest.mark.parametrize("most", [1, 3, 6])
def test_boxes_are_those_of_the_rule(sigma, most):
    boxes, scores = scene()
    index, found, count = run_kind("NonMaxSuppression", [boxes, scores, *numbers(most, 0.3, 0.25, sigma)], **NMS)
    want = slow_nms(boxes, scores, most, 0.3, 0.25, sigma)[:12]
    assert count.tolist() == [len(want)]
    assert index[: len(want)].tolist() == [list(r[:3]) for r in want]
    np.testing.assert_allclose(found[: len(want)], [[r[0], r[1], r[3]] for r in want], rtol=1e-5)
    assert (index[len(want) :] == -1).all()
    assert (found[len(want) :] == -1).all()


def test_without_sorting_classes_follow_each_other():
    boxes, scores = scene()
    index, _, count = run_kind("NonMaxSuppression", [boxes, scores, *numbers(2, 0.5, 0.1)], **NMS | {"sort": 0})
    groups = index[: int(count[0]), :2].tolist()
    assert groups == sorted(groups)


def test_centres_and_turned_corners_mean_the_same_boxes():
    boxes, scores = scene()
    want = run_kind("NonMaxSuppression", [boxes, scores, *numbers(4, 0.3, 0.0)], **NMS)
    turned = run_kind("NonMaxSuppression", [boxes[..., [2, 3, 0, 1]], scores, *numbers(4, 0.3, 0.0)], **NMS)
    centre = np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)
    centred = run_kind("NonMaxSuppression", [centre, scores, *numbers(4, 0.3, 0.0)], **NMS | {"center": 1})
    for other in (turned, centred):
        np.testing.assert_array_equal(want[0], other[0])


@pytest.mark.parametrize(("version", "rows"), [(1, 6), (3, 6), (4, 12), (5, 12), (9, 12)])
def test_rows_of_the_operation(version, rows):
    """Up to opset3 the boxes of an image limit the rows; later all images and classes count."""
    inputs = [*scene(), *numbers(3, 0.5, 0.1)[:3]]
    outputs = run_layer(
        "NonMaxSuppression", inputs, {"box_encoding": "corner"}, version=f"opset{version}", constants=(2, 3, 4),
        outputs=3 if version >= 5 else 1, result="I64",
    )  # fmt: skip
    assert outputs[0].shape == (rows, 3)


def test_legacy_layer_keeps_the_best_of_each_class_even_when_none_is_asked_for():
    boxes, scores = scene()
    inputs = [boxes, scores, np.array([0], np.int32)]
    out = run_one("NonMaxSuppression", inputs, {"center_point_box": "0"}, constants=(2,), result="I32")
    best = sorted(((scores[n, c].max(), n, c, int(scores[n, c].argmax())) for n in range(2) for c in range(2)), reverse=True)
    assert out.tolist() == [list(b[1:]) for b in best]


def slow_matrix(boxes, scores, gaussian, least=0.2, last=0.0):
    """(class, score, box) of one image in float64."""
    rows = []
    for c, row in enumerate(scores):
        order = sorted((i for i in range(len(row)) if row[i] > least), key=lambda i: -row[i])
        for k, i in enumerate(order):
            decay = 1.0
            for j, other in enumerate(order[:k]):
                worst = max((iou(boxes[other], boxes[m]) for m in order[:j]), default=0.0)
                value = iou(boxes[i], boxes[other])
                decay = min(decay, math.exp((worst**2 - value**2) * 2) if gaussian else (1 - value) / (1 - worst))
            if row[i] * decay > last:
                rows.append((c, row[i] * decay, i))
    return sorted(rows, key=lambda r: -r[1])


@pytest.mark.parametrize("decay", ["linear", "gaussian"])
def test_matrix_nms_scores(decay):
    boxes, scores = scene(images=1)
    attrs = MULTI | {"decay_function": decay, "gaussian_sigma": 2.0, "post_threshold": 0.3}
    out, index, count = run_kind("MatrixNms", [boxes, scores], **attrs)
    want = slow_matrix(boxes[0], scores[0], decay == "gaussian", last=0.3)
    assert count.tolist() == [len(want)]
    assert out.shape == (12, 6)
    np.testing.assert_allclose(out[: len(want), :2], [r[:2] for r in want], rtol=1e-5)
    assert index[: len(want), 0].tolist() == [r[2] for r in want]
    np.testing.assert_array_equal(out[: len(want), 2:], boxes[0][[r[2] for r in want]])


@pytest.mark.parametrize("normalized", [0, 1])
def test_multiclass_nms_suppresses_within_a_class(normalized):
    boxes, scores = scene(images=1)
    attrs = MULTI | {"iou_threshold": 0.4, "nms_eta": 1.0, "normalized": normalized}
    out, index, _ = run_kind("MulticlassNms", [boxes, scores], **attrs)
    want = []
    for c, row in enumerate(scores[0]):
        kept = []
        for i in sorted((i for i in range(6) if row[i] > 0.2), key=lambda i: -row[i]):
            if all(iou(boxes[0, i], boxes[0, k], 1 - normalized) < 0.4 for k in kept):
                kept.append(i)
        want += [(row[i], c, i) for i in kept]
    want.sort(reverse=True)
    got = [(s, int(c), int(i)) for (c, s), (i,) in zip(out[:, :2], index, strict=True) if i >= 0]
    assert got == want


def test_threshold_shrinks_with_each_box_kept():
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 7], [20, 0, 30, 10], [20, 0, 30, 6]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7, 0.6]]], np.float32)
    for eta, kept in ((1.0, [0, 1, 2, 3]), (0.8, [0, 2])):
        index = run_kind("MulticlassNms", [boxes, scores], **MULTI | {"iou_threshold": 0.71, "nms_eta": eta})[1]
        assert [i for i in index[:, 0].tolist() if i >= 0] == kept


def test_shares_of_images_and_the_background():
    boxes, scores = scene(images=2, classes=3, count=4)
    attrs = MULTI | {"iou_threshold": 1.1, "nms_eta": 1.0, "background_class": 0, "score_threshold": -1.0, "nms_top_k": 2}
    out, index, count = run_kind("MulticlassNms", [boxes, scores], **attrs)
    assert out.shape == (12, 6)
    assert count.tolist() == [4, 4]
    assert (index[8:] == -1).all()
    assert 0 not in out[:8, 0]
    assert index[:4].max() < 4 <= index[4:8].min()


def test_sorting_across_images_exchanges_rows():
    boxes, scores = scene(images=2, count=3)
    attrs = MULTI | {"iou_threshold": 1.1, "nms_eta": 1.0, "sort_result_across_batch": 1, "score_threshold": -1.0}
    out = run_kind("MulticlassNms", [boxes, scores], **attrs)[0]
    assert out[:, 1].tolist() == sorted(scores.ravel().tolist(), reverse=True)
    by_class = run_kind("MulticlassNms", [boxes, scores], **attrs | {"sort": "classid"})[0]
    assert by_class[:, 0].tolist() == [0] * 6 + [1] * 6


def test_matrix_nms_of_one_image_is_sorted_by_score_even_by_class():
    """The original sorts by class only across images."""
    params = {"sort_result_type": "classid", "gaussian_sigma": 2, "decay_function": "linear", "keep_top_k": -1, "nms_top_k": -1}
    boxes, scores = np.array([[[0, 0, 1, 1], [2, 2, 3, 3]]], np.float32), np.array([[[0.9, 0.1], [0.5, 0.6]]], np.float32)
    (rows, *_) = run_layer("MatrixNms", [boxes, scores], params, version="opset8", outputs=3)
    np.testing.assert_array_equal(rows[:, 0], [0, 1, 1, 0])
    (rows, *_) = run_layer("MatrixNms", [boxes, scores], params | {"sort_result_across_batch": True}, version="opset8", outputs=3)
    np.testing.assert_array_equal(rows[:, 0], [0, 0, 1, 1])


def test_a_score_at_the_threshold_counts_only_for_multiclass_nms():
    boxes, scores = np.array([[[0, 0, 1, 1], [2, 2, 3, 3]]], np.float32), np.array([[[0.5, 0.25]]], np.float32)
    for kind, params, count in (("MulticlassNms", {"iou_threshold": 0.5}, 2), ("MatrixNms", {"decay_function": "linear"}, 1)):
        (*_, counts) = run_layer(kind, [boxes, scores], {"score_threshold": 0.25, **params}, version="opset8", outputs=3)
        assert counts.tolist() == [count]


def test_counted_regions_are_named_by_region_and_class():
    boxes, scores = scene(images=2, classes=1, count=5)
    out, index, count = run_kind(
        "MulticlassNms", [boxes, scores[:, 0], np.array([2, 3], np.int32)], **MULTI, iou_threshold=1.1, nms_eta=1.0
    )
    kept = scores[:, 0] >= np.float32(0.2)
    assert count.tolist() == [int(kept[:, :2].sum()), int(kept[:, 2:].sum())]
    for (c, score), (i,) in zip(out[:, :2], index, strict=True):
        if i >= 0:
            assert (i % 2, scores[i % 2, 0, i // 2]) == (c, score)


@pytest.mark.parametrize(
    ("kind", "shapes", "attrs", "message"),
    [
        ("NonMaxSuppression", [(2, 6, 4), (2, 2, 5)], NMS, "scores are float32"),
        ("NonMaxSuppression", [(2, 6, 3), (2, 2, 6)], NMS, "expected \\[B, N, 4\\]"),
        ("NonMaxSuppression", [(2, 6, 4), (2, 2, 6), None, (2,)], NMS, "input 3"),
        ("MatrixNms", [(2, 6, 4), (2, 2, 6)], MULTI | {"sort": "best"}, "sort is 'best'"),
        ("MulticlassNms", [(2, 6, 4), (2, 6)], MULTI, "expected \\[N, B, 4\\]"),
    ],
)
def test_faults(kind, shapes, attrs, message):
    inputs = [None if s is None else np.zeros(s, np.float32) for s in shapes]
    with pytest.raises(ValueError, match=message):
        run_kind(kind, inputs, **attrs)


def test_unknown_box_encoding_names_the_layer():
    with pytest.raises(ModelError, match="layer out of type NonMaxSuppression: box_encoding is 'corners'"):
        run_layer("NonMaxSuppression", scene(), {"box_encoding": "corners"}, version="opset9", outputs=3)


@pytest.mark.parametrize(
    "path", corpus.cases("legacy/NonMaxSuppression", "opset/NonMaxSuppression", "opset/MatrixNms", "opset/MulticlassNms")
)
def test_recorded(path):
    corpus.check(path)


def turned(boxes, most=9, threshold=0.3, clockwise=True):
    """Rows of the one class of one image."""
    boxes = np.array([boxes], np.float32)
    scores = np.linspace(0.9, 0.5, boxes.shape[1], dtype=np.float32)[None, None]
    inputs = [boxes, scores, np.array(most), np.float32(threshold), np.float32(0.1)]
    params = {"clockwise": clockwise, "output_type": "i32"}
    rows, _, count = run_layer("NMSRotated", inputs, params, version="opset13", constants=[2, 3, 4], outputs=3, result="I32")
    return rows[: int(count[0]), 2].tolist()


def test_turned_boxes_that_are_not_turned():
    boxes = [[0, 0, 4, 2, 0], [1, 0, 4, 2, 0], [0, 1.5, 4, 2, 0]]  # overlaps with the first: 3/5 and 1/7
    assert turned(boxes, threshold=0.61) == [0, 1, 2]
    assert turned(boxes, threshold=0.59) == [0, 2]
    assert turned(boxes, threshold=0.1) == [0]
    assert turned(boxes, most=1, threshold=0.61) == [0]


def test_squares_turned_by_an_eighth_share_an_octagon():
    octagon = 2 * (math.sqrt(2) - 1)
    share = octagon / (2 - octagon)
    boxes = [[5, 5, 1, 1, 0], [5, 5, 1, 1, math.pi / 4]]
    assert turned(boxes, threshold=share + 1e-4) == [0, 1]
    assert turned(boxes, threshold=share - 1e-4) == [0]


def test_direction_of_angles():
    boxes = [[0, 0, 8, 1, math.pi / 4], [2, 2, 8, 1, math.pi / 4]]  # y points down: clockwise they are on one line
    assert turned(boxes) == [0]
    assert turned(boxes, clockwise=False) == [0, 1]


def test_turned_boxes_without_area_overlap_nothing():
    assert turned([[0, 0, 4, 4, 0], [0, 0, 0, 4, 0], [0, 0, 4, -1, 1]], threshold=0.01) == [0, 1, 2]
