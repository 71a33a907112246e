# SPDX-License-Identifier: Apache-2.0
"""Proposal, SimplerNMS and the Mask-RCNN layers: boxes worked out by hand, orders of equal scores, padding, faults."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.ops.introsort import partial_order
from ie_ctypes.model.ops.proposal import make_anchors

PROPOSAL = {
    "base_size": "16", "feat_stride": "16", "min_size": "1", "pre_nms_topn": "100", "post_nms_topn": "5", "nms_thresh": "0.7",
    "scale": "1", "ratio": "1",
}  # fmt: skip
TIES = np.array([3, 1, 3, 0, 2, 3, 1, 0, 2, 2, 3, 0, 1, 1, 2, 3, 0, 0, 1, 2], np.float32)


def still(height=2, width=3, anchors=1, images=1):
    """Scores that rise from cell to cell, deltas that move nothing, and an image of 100 x 100."""
    plane = np.arange(anchors * height * width, dtype=np.float32).reshape(anchors, height, width) / 10 + np.float32(0.1)
    scores = np.tile(np.concatenate([1 - plane, plane])[None], (images, 1, 1, 1))
    return [scores, np.zeros((images, 4 * anchors, height, width), np.float32), np.array([[100, 100, 1]], np.float32)]


@pytest.mark.parametrize(
    ("keep", "order"),
    [
        (5, [0, 5, 10, 15, 2]),
        (12, [15, 2, 10, 5, 0, 19, 8, 4, 9, 14, 13, 12]),
        (20, [15, 5, 10, 2, 0, 4, 8, 9, 19, 14, 1, 18, 12, 6, 13, 7, 16, 3, 17, 11]),
    ],
)
def test_equal_scores_come_in_the_order_of_a_partial_sort(keep, order):
    """The orders are those of std::partial_sort of the GNU C++ library."""
    assert partial_order(TIES, keep).tolist() == order


def test_distinct_scores_are_simply_sorted():
    scores = random(50)
    assert partial_order(scores, 20).tolist() == np.argsort(-scores)[:20].tolist()
    assert partial_order(scores, 99).size == 50
    assert partial_order(scores, 0).size == 0


def test_anchors_of_caffe_and_tensorflow():
    assert make_anchors(16, [0.5, 1], [8], False) == (-84.0, -40.0, 99.0, 55.0, -56.0, -56.0, 71.0, 71.0)
    assert make_anchors(16, [1], [2, 4], True) == (-16.0, -16.0, 16.0, 16.0, -32.0, -32.0, 32.0, 32.0)


def test_boxes_without_deltas_are_the_anchors_of_the_best_cells():
    out = run_one("Proposal", still(), PROPOSAL)
    cells = [(x, y) for y in (1, 0) for x in (2, 1, 0)][:5]
    assert out.tolist() == [[0, 16 * x, 16 * y, 16 * x + 16, 16 * y + 16] for x, y in cells]


def test_rows_after_the_last_box_are_a_marker_and_zeros():
    out = run_one("Proposal", still(images=2), PROPOSAL | {"post_nms_topn": "8"})
    assert out[:, 0].tolist() == [0] * 6 + [-1, 0] + [1] * 6 + [-1, 0]
    assert not out[6:8, 1:].any()


def test_normalized_boxes_and_scores():
    boxes, scores = run_layer("Proposal", still(), PROPOSAL | {"normalize": "1"}, version="opset4", outputs=2)
    np.testing.assert_allclose(boxes[0, 1:], [0.32, 0.16, 0.48, 0.32], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.6, 0.5, 0.4, 0.3, 0.2], rtol=1e-6)


def test_deltas_move_and_grow():
    scores, deltas, info = still(1, 1)
    deltas[0, :, 0, 0] = [0.5, -0.25, np.log(2), 0]
    out = run_one("Proposal", [scores, deltas, info], PROPOSAL | {"clip_before_nms": "0"})
    np.testing.assert_allclose(out[0, 1:], [0, -4, 32, 12], atol=1e-5)


def test_tensorflow_exchanges_the_axes():
    scores, deltas, info = still(2, 3)
    info[0, :2] = 40, 1000
    out = run_one("Proposal", [scores, deltas, info], PROPOSAL | {"framework": "tensorflow"})
    assert out[0].tolist() == [0, 8, 24, 24, 40]


@pytest.mark.parametrize(("least", "kept"), [("17", 4), ("18", 0)])
def test_small_boxes_score_nothing(least, kept):
    """Boxes with a score of 0 still fill rows. A box ends a pixel after its anchor, so it is 17 wide."""
    scores, deltas, info = still(2, 2)
    outputs = run_layer("Proposal", [scores, deltas, info], PROPOSAL | {"min_size": least}, version="opset4", outputs=2)
    assert (outputs[1] > 0).sum() == kept
    assert (outputs[0][:4, 3] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratio": "0"}, "ratio is \\[0.0\\]"),
        ({"base_size": "0"}, "base_size is 0"),
        ({"framework": "torch"}, "framework is 'torch'"),
        ({"scale": "1,2"}, "expected \\[N, 4, H, W\\] for 2 anchors"),
        ({"post_nms_topn": "0"}, "post_nms_topn is 0"),
    ],
)
def test_faults_of_proposal(changes, message):
    with pytest.raises(ModelError, match=f"layer out of type Proposal: .*{message}"):
        run_one("Proposal", still(), PROPOSAL | changes)


SIMPLER = {"min_bbox_size": "1", "feat_stride": "16", "pre_nms_topn": "20", "post_nms_topn": "4", "iou_threshold": "0.7", "scale": "1"}


def test_simpler_nms_takes_its_inputs_in_any_order():
    inputs = still(2, 2, 3)
    want = run_one("SimplerNMS", inputs, SIMPLER)
    np.testing.assert_array_equal(run_one("SimplerNMS", [inputs[1], inputs[0], inputs[2]], SIMPLER), want)
    assert want.any()


def test_simpler_nms_prefers_later_boxes_and_drops_scores_of_zero():
    scores, deltas, info = still(1, 2, 3)
    scores[:] = 0
    scores[0, 3:, 0, 1] = 1
    out = run_one("SimplerNMS", [scores, deltas, info], SIMPLER | {"post_nms_topn": "6"})
    rows = out[out.any(1)]
    assert len(rows) == 3  # the others score nothing
    heights = (rows[:, 4] - rows[:, 2]).tolist()
    assert heights == sorted(heights, reverse=True)  # ratio 2, the last anchor, is the tallest


def test_image_size_of_simpler_nms_limits_boxes_by_whole_pixels():
    scores, deltas, info = still(1, 1, 3)
    info[0] = 12, 12, 1.9
    assert not run_one("SimplerNMS", [scores, deltas, info], SIMPLER | {"min_bbox_size": "13"}).any()
    assert run_one("SimplerNMS", [scores, deltas, info], SIMPLER | {"min_bbox_size": "12"}).any()


def generate_inputs(images=1):
    anchors = np.array([[0, 0, 9, 9], [20, 20, 24, 24], [40, 40, 59, 49], [0, 0, 9, 10]], np.float32)
    scores = np.tile(np.array([[[[0.5, 0.9, 0.7, 0.4]]]], np.float32), (images, 1, 1, 1))
    return [np.array([[64, 64, 1]] * images, np.float32), anchors, np.zeros((images, 4, 1, 4), np.float32), scores]


def test_single_image_proposals_keep_small_boxes_without_a_score():
    info, anchors, deltas, scores = generate_inputs()
    attrs = {"min_size": "6", "nms_threshold": "0.7", "pre_nms_count": "10", "post_nms_count": "5"}
    rois, found = run_layer("ExperimentalDetectronGenerateProposalsSingleImage", [info[0], anchors, deltas[0], scores[0]], attrs, outputs=2)
    np.testing.assert_allclose(found, [0.7, 0.5, 0, 0, 0], rtol=1e-6)
    assert rois[:4].tolist() == [[40, 40, 59, 49], [0, 0, 9, 9], [20, 20, 24, 24], [0, 0, 0, 0]]


@pytest.mark.parametrize(("scale", "kept"), [(1, [2, 0]), (2, [])])
def test_proposals_of_images_follow_each_other(scale, kept):
    """Too small boxes are dropped; the smallest size is in pixels of the image before scaling."""
    info, anchors, deltas, scores = generate_inputs(2)
    info[0, 2] = scale
    attrs = {"min_size": "6", "nms_threshold": "0.7", "pre_nms_count": "10", "post_nms_count": "3", "normalized": "false"}
    rois, found, counts = run_layer(
        "GenerateProposals", [info, anchors.reshape(1, 4, 1, 4), deltas, scores], attrs, version="opset9", outputs=3, result="I64"
    )
    assert counts.tolist() == [len(kept), 2]
    assert rois[: len(kept) + 2].tolist() == anchors[[*kept, 2, 0]].tolist()
    assert not found[len(kept) + 2 :].any()


def test_growth_is_limited():
    info, anchors, deltas, scores = generate_inputs()
    deltas[0, 2:] = 100
    info[:, :2] = 1e6
    attrs = {"min_size": 0.0, "nms_threshold": 1.0, "pre_nms_count": 4, "post_nms_count": 4, "extra": 0, "nms_extra": 0, "drop_small": 0}
    rois = run_kind("GenerateProposals", [info, anchors + np.float32(1e5), deltas, scores], **attrs)[0]
    np.testing.assert_allclose((rois[:, 2] - rois[:, 0]).max(), 19 * 62.5, rtol=1e-3)


def test_prior_grid_has_priors_at_every_centre():
    priors = np.array([[-1, -2, 1, 2], [0, 0, 0, 0]], np.float32)
    shapes = [np.zeros((1, 4, 2, 3), np.float32), np.zeros((1, 3, 20, 60), np.float32)]
    flat = run_one("ExperimentalDetectronPriorGridGenerator", [priors, *shapes], {"flatten": "1"})
    assert flat.shape == (12, 4)
    assert flat[2:4].tolist() == [[29, 3, 31, 7], [30, 5, 30, 5]]
    grid = run_one("ExperimentalDetectronPriorGridGenerator", [priors, *shapes], {"flatten": "0", "h": "1", "w": "2", "stride_x": "7"})
    assert grid.shape == (1, 2, 2, 4)
    assert grid[0, 1, 1].tolist() == [10.5, 10, 10.5, 10]


def test_best_regions_are_filled_up_with_zeros():
    rois, scores = random(3, 4), np.array([0.1, 0.9, 0.5], np.float32)
    two = run_one("ExperimentalDetectronTopKROIs", [rois, scores], {"max_rois": "2"})
    np.testing.assert_array_equal(two, rois[[1, 2]])
    four = run_one("ExperimentalDetectronTopKROIs", [rois, scores], {"max_rois": "4"})
    np.testing.assert_array_equal(four[:3], rois[[1, 2, 0]])
    assert not four[3].any()


DETECTIONS = {
    "score_threshold": "0.2", "nms_threshold": "0.5", "num_classes": "3", "post_nms_count": "10", "max_detections_per_image": "4",
    "class_agnostic_box_regression": "0", "max_delta_log_wh": "4", "deltas_weights": "10,10,5,5",
}  # fmt: skip


def detection_inputs():
    rois = np.array([[0, 0, 9, 9], [0, 0, 9, 10], [30, 30, 99, 49], [50, 50, 50, 60]], np.float32)
    scores = np.array([[0, 0.5, 0.3], [0, 0.6, 0.1], [0, 0.1, 0.9], [0, 0.9, 0.9]], np.float32)
    return [rois, np.zeros((4, 12), np.float32), scores, np.array([[40, 60, 1]], np.float32)]


def test_detections_are_clipped_by_the_legacy_layer_only():
    boxes, labels, scores = run_layer("ExperimentalDetectronDetectionOutput", detection_inputs(), DETECTIONS, outputs=3)
    assert labels.tolist() == [1, 2, 2, 0]  # by class; the empty region counts nowhere
    np.testing.assert_allclose(scores, [0.6, 0.9, 0.3, 0], rtol=1e-6)
    assert boxes[:3].tolist() == [[0, 0, 9, 10], [30, 30, 59, 39], [0, 0, 9, 9]]
    boxes = run_layer("ExperimentalDetectronDetectionOutput", detection_inputs(), DETECTIONS, outputs=3, version="opset6")[0]
    assert boxes[1].tolist() == [30, 30, 99, 49]


def test_the_best_detections_are_sorted_when_there_are_too_many():
    attrs = DETECTIONS | {"max_detections_per_image": "2"}
    _, labels, scores = run_layer("ExperimentalDetectronDetectionOutput", detection_inputs(), attrs, outputs=3)
    np.testing.assert_allclose(scores, [0.9, 0.6], rtol=1e-6)
    assert labels.tolist() == [2, 1]


def test_deltas_are_divided_by_their_weights():
    inputs = detection_inputs()
    inputs[1][2, 8:] = [1, 2, 5 * np.log(0.5), 0]
    boxes = run_layer("ExperimentalDetectronDetectionOutput", inputs, DETECTIONS, outputs=3, version="opset6")[0]
    np.testing.assert_allclose(boxes[1], [54.5, 34, 88.5, 53], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deltas_weights": "1,1,1"}, "deltas_weights are"),
        ({"num_classes": "4"}, "expected \\[R, 4\\]"),
        ({"deltas_weights": "1,0,1,1"}, "0"),
    ],
)
def test_faults_of_detections(changes, message):
    with pytest.raises(ModelError, match=f"layer out of type ExperimentalDetectronDetectionOutput: .*{message}"):
        run_layer("ExperimentalDetectronDetectionOutput", detection_inputs(), DETECTIONS | changes, outputs=3)


FAMILY = (
    "Proposal", "SimplerNMS", "ExperimentalDetectronDetectionOutput", "ExperimentalDetectronGenerateProposalsSingleImage",
    "ExperimentalDetectronPriorGridGenerator", "ExperimentalDetectronTopKROIs",
)  # fmt: skip


@pytest.mark.parametrize("path", corpus.cases(*(f"{d}/{t}" for d in ("legacy", "opset") for t in FAMILY)))
def test_recorded(path):
    corpus.check(path)
