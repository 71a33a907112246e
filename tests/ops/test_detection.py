# SPDX-License-Identifier: Apache-2.0
"""DetectionOutput against a slow, separate implementation; ties, markers, faults; RegionYolo."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.ops.detection import CENTER_SIZE
from ie_ctypes.model.ops.introsort import falling_order
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import TensorType

DEFAULTS = {
    "num_classes": 3,
    "background_label_id": 0,
    "top_k": -1,
    "keep_top_k": -1,
    "variance_encoded_in_target": 0,
    "code_type": CENTER_SIZE,
    "share_location": 1,
    "nms_threshold": 0.45,
    "confidence_threshold": 0.3,
    "clip_before_nms": 0,
    "clip_after_nms": 0,
    "decrease_label_id": 0,
    "normalized": 1,
    "input_height": 1,
    "input_width": 1,
    "objectness_score": 0.0,
}


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = w * h if w > 0 and h > 0 else 0.0
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter) if inter else 0.0


def decode(p, v, t, centre):
    if not centre:
        return [p[k] + v[k] * t[k] for k in range(4)]
    w, h = p[2] - p[0], p[3] - p[1]
    cx, cy = (p[0] + p[2]) / 2 + v[0] * t[0] * w, (p[1] + p[3]) / 2 + v[1] * t[1] * h
    nw, nh = math.exp(v[2] * t[2]) * w, math.exp(v[3] * t[3]) * h
    return [cx - nw / 2, cy - nh / 2, cx + nw / 2, cy + nh / 2]


def slow(a, loc, conf, prior):
    """Detections [image, label, score, box] as the rule is told, one box at a time, for one prior row set."""
    count, classes = prior.shape[2] // 4, a["num_classes"]
    located = 1 if a["share_location"] else classes
    rows = []
    for n in range(len(loc)):
        kept = []
        for c in range(classes):
            if c == a["background_label_id"]:
                continue
            picked = []
            scores = [float(conf[n, p * classes + c]) for p in range(count)]
            found = sorted((-score, p) for p, score in enumerate(scores) if score > a["confidence_threshold"])
            for score, p in found[: a["top_k"] if a["top_k"] >= 0 else None]:
                at = (p * located + c % located) * 4
                box = decode(*prior[0, :, p * 4 : p * 4 + 4], loc[n, at : at + 4], a["code_type"] == CENTER_SIZE)
                box = [min(max(v, 0), 1) for v in box] if a["clip_before_nms"] else box
                if all(overlap(box, other) <= a["nms_threshold"] for _, _, other in picked):
                    picked.append((score, c, box))
            kept += picked
        if 0 <= a["keep_top_k"] < len(kept):
            kept = sorted(kept, key=lambda k: k[0])[: a["keep_top_k"]]
        rows += [[n, c, -score, *box] for score, c, box in sorted(kept, key=lambda k: (k[1], k[0]))]
    return np.array(rows)


def scene(priors=30, classes=3, located=1, images=2):
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 0.7, (priors, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.3, (priors, 2))], 1)
    prior = np.stack([boxes.ravel(), np.tile([0.1, 0.1, 0.2, 0.2], priors)])[None].astype(np.float32)
    conf = rng.dirichlet([1] * classes, (images, priors)).reshape(images, -1).astype(np.float32)
    return random(images, priors * located * 4, seed=6), conf, prior


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"top_k": 7},
        {"keep_top_k": 5},
        {"code_type": "caffe.PriorBoxParameter.CORNER", "nms_threshold": 0.1},
        {"share_location": 0, "background_label_id": 2},
        {"background_label_id": -1, "confidence_threshold": 0.6},
        {"clip_before_nms": 1, "top_k": 3, "keep_top_k": 4},
    ],
)
def test_reference_finds_what_the_rule_says(changes):
    attrs = DEFAULTS | changes
    loc, conf, prior = scene(located=1 if attrs["share_location"] else 3)
    (y,) = run_kind("DetectionOutput", [loc, conf, prior], **attrs)
    want = slow(attrs, loc, conf, prior)
    assert 0 < len(want) <= y.shape[2]
    np.testing.assert_allclose(y[0, 0, : len(want)], want, rtol=1e-4, atol=1e-5)
    if len(want) < y.shape[2]:
        assert y[0, 0, len(want)].tolist() == [-1, 0, 0, 0, 0, 0, 0]
        assert not y[0, 0, len(want) + 1 :].any()


def test_nothing_found_is_a_marker_only():
    (y,) = run_kind("DetectionOutput", scene(), **DEFAULTS | {"confidence_threshold": 2.0, "keep_top_k": 4})
    assert y.shape == (1, 1, 8, 7)
    assert y[0, 0, 0, 0] == -1
    assert not y[0, 0].ravel()[1:].any()


def test_decreased_labels_take_the_best_class_of_each_prior():
    loc, conf, prior = scene(images=1)
    attrs = DEFAULTS | {"decrease_label_id": 1, "nms_threshold": 1.0, "top_k": 10}
    (y,) = run_kind("DetectionOutput", [loc, conf, prior], **attrs)
    table = conf[0].reshape(-1, 3)
    best = sorted(((-max(row[1:]), p, int(np.argmax(row[1:]))) for p, row in enumerate(table) if max(row[1:]) >= 0.3))[:10]
    want = sorted((label, score) for score, _, label in best)
    rows = y[0, 0][: len(want)]
    assert [int(r[1]) for r in rows] == [label for label, _ in want]
    np.testing.assert_allclose(rows[:, 2], [-s for _, s in want], rtol=1e-6)


def test_variance_in_target_and_priors_in_pixels():
    loc, conf, prior = scene(images=1)
    encoded = loc * np.tile([0.1, 0.1, 0.2, 0.2], 30).astype(np.float32)
    want = run_kind("DetectionOutput", [loc, conf, prior], **DEFAULTS)[0]
    got = run_kind("DetectionOutput", [encoded, conf, prior[:, :1]], **DEFAULTS | {"variance_encoded_in_target": 1})[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    pixels = np.zeros((30, 5), np.float32)
    pixels[:, 1:] = prior[0, 0].reshape(30, 4) * [200, 100, 200, 100]
    pixels[12, 0] = -1  # the list ends here
    attrs = DEFAULTS | {"variance_encoded_in_target": 1, "normalized": 0, "input_width": 200, "input_height": 100}
    got = run_kind("DetectionOutput", [encoded, conf, pixels.reshape(1, 1, -1)], **attrs)[0]
    first = [encoded[:, :48], conf[:, :36], prior[:, :1, :48]]
    short = run_kind("DetectionOutput", first, **DEFAULTS | {"variance_encoded_in_target": 1})[0]
    rows = int(np.argmax(short[0, 0, :, 0] == -1))
    np.testing.assert_allclose(got[0, 0, :rows], short[0, 0, :rows], rtol=1e-4, atol=1e-5)
    assert got[0, 0, rows, 0] == -1


def test_refined_priors_equal_a_two_step_decode():
    loc, conf, prior = scene(images=1)
    arm = random(1, 120, seed=9)
    objectness = np.random.default_rng(3).uniform(0, 1, (1, 60)).astype(np.float32)
    got = run_kind("DetectionOutput", [loc, conf, prior, objectness, arm], **DEFAULTS | {"objectness_score": 0.4})[0]
    refined = prior.copy()
    for p in range(30):
        at = slice(p * 4, p * 4 + 4)
        refined[0, 0, at] = decode(*prior[0, :, at], arm[0, at], True)
    masked = conf.reshape(30, 3).copy()
    masked[objectness.reshape(30, 2)[:, 1] < 0.4] = [1, 0, 0]
    want = run_kind("DetectionOutput", [loc, masked.reshape(1, -1), refined], **DEFAULTS)[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_shapes_that_do_not_fit_are_refused():
    def refuse(match, *shapes, **changes):
        with pytest.raises(ValueError, match=match):
            KINDS["DetectionOutput"].infer(DEFAULTS | changes, [TensorType("float32", s) for s in shapes])

    refuse("locations are .1, 40., expected .1, 48.", (1, 40), (1, 36), (1, 2, 48))
    refuse("confidences are .1, 30., expected .1, 36.", (1, 48), (1, 30), (1, 2, 48))
    refuse("priors are .3, 2, 48., expected 1 or 1 images of 2 rows", (1, 48), (1, 36), (3, 2, 48))
    refuse("priors are .1, 1, 48.", (1, 48), (1, 36), (1, 1, 48))
    refuse("priors are .1, 2, 49., expected 4 numbers each", (1, 48), (1, 36), (1, 2, 49))
    refuse("priors are .1, 2, 0., expected 4 numbers each", (1, 0), (1, 0), (1, 2, 0))


def test_keep_decides_between_equal_scores_as_an_unstable_sort_does():
    """Distinct scores have one order; equal ones keep a valid one that does not depend on how many are kept."""
    rng = np.random.default_rng(2)
    distinct = rng.permutation(100).astype(np.float32)
    np.testing.assert_array_equal(falling_order(distinct, 20), np.argsort(-distinct)[:20])
    ties = rng.integers(0, 4, 100).astype(np.float32)
    order = falling_order(ties, 100)
    assert sorted(order.tolist()) == list(range(100))
    assert (np.diff(ties[order]) <= 0).all()
    np.testing.assert_array_equal(falling_order(ties, 30), order[:30])
    assert falling_order(np.ones(17, np.float32), 17).tolist() != list(range(17))
    assert falling_order(np.ones(16, np.float32), 16).tolist() == list(range(16))


@pytest.mark.parametrize("softmax", [True, False])
def test_region_yolo_activates_each_anchor(softmax):
    classes, anchors = 3, 2
    x = random(2, anchors * 8, 3, 2)
    params = {"classes": classes, "coords": 4, "num": anchors if softmax else 9, "do_softmax": int(softmax), "axis": 1, "end_axis": 3}
    y = run_one("RegionYolo", [x], params | ({} if softmax else {"mask": "0,3"}))
    assert y.shape == ((2, x[0].size) if softmax else x.shape)
    cells, got = x.reshape(2, anchors, 8, 6).astype(np.float64), y.reshape(2, anchors, 8, 6)
    logistic = 1 / (1 + np.exp(-cells))
    np.testing.assert_allclose(got[:, :, :2], logistic[:, :, :2], rtol=1e-5)
    np.testing.assert_array_equal(got[:, :, 2:4], x.reshape(2, anchors, 8, 6)[:, :, 2:4])
    np.testing.assert_allclose(got[:, :, 4], logistic[:, :, 4], rtol=1e-5)
    exponents = np.exp(cells[:, :, 5:])
    np.testing.assert_allclose(got[:, :, 5:], exponents / exponents.sum(2, keepdims=True) if softmax else logistic[:, :, 5:], rtol=1e-5)
    with pytest.raises(ModelError, match=r"is not \[N, C, H, W\] with"):
        run_one("RegionYolo", [x], params | {"classes": 4, "mask": "0,3"})


TYPES = ("legacy/DetectionOutput", "legacy/RegionYolo", "legacy/Net", "opset/DetectionOutput", "opset/RegionYolo")


@pytest.mark.parametrize("path", corpus.cases(*TYPES))
def test_corpus(path):
    corpus.check(path)
