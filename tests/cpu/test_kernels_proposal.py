# SPDX-License-Identifier: Apache-2.0
"""CPU kernels Proposal, SimplerNMS, GenerateProposals and ROIDetections."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, node

from ie_ctypes.model.ops.proposal import make_anchors


def proposal_inputs(seed: int, images: int, anchors: int, info: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, (images, 2 * anchors, 5, 6)).astype(np.float32)
    return [scores, 0.5 * floats(rng, images, 4 * anchors, 5, 6), np.array([[80, 96, 1.5, 2][:info]], np.float32)]


def proposal_attrs(tensorflow: int) -> dict[str, object]:
    return {
        "anchors": make_anchors(16, (0.5, 1.0, 2.0), (1.0, 2.0), bool(tensorflow)), "tensorflow": tensorflow, "feat_stride": 16,
        "min_size": 16, "pre_nms_topn": 100, "post_nms_topn": 20, "nms_thresh": 0.6, "box_coordinate_scale": 1.0, "box_size_scale": 1.0,
        "normalize": 0, "clip_before_nms": 1, "clip_after_nms": 0,
    }  # fmt: skip


@pytest.mark.parametrize("tensorflow", [0, 1])
@pytest.mark.parametrize(
    "changes",
    [{}, {"pre_nms_topn": 1000, "post_nms_topn": 150}, {"normalize": 1, "clip_after_nms": 1, "clip_before_nms": 0}, {"min_size": 60},
     {"box_coordinate_scale": 10.0, "box_size_scale": 5.0, "nms_thresh": 0.2}],
)  # fmt: skip
def test_proposal(isa: str, tensorflow: int, changes: dict[str, object]) -> None:
    inputs = proposal_inputs(1, 3, 6, 3 + tensorflow)
    node("Proposal", inputs, rtol=1e-4, atol=1e-3, **{**proposal_attrs(tensorflow), **changes})


@pytest.mark.parametrize("least", [0, 30, 1000])
def test_simpler_nms_prefers_the_later_of_equal_scores(isa: str, least: int) -> None:
    scores, deltas, info = proposal_inputs(2, 1, 6, 3)
    scores = np.round(scores * 4) / 4 - np.float32(0.25)
    attrs = {k: proposal_attrs(0)[k] for k in ("anchors", "feat_stride", "pre_nms_topn", "post_nms_topn", "nms_thresh")}
    (out,) = node("SimplerNMS", [scores, deltas, info], rtol=1e-4, atol=1e-3, min_size=least, **attrs)
    assert out.any() == (least < 1000)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("drop", [0, 1])
@pytest.mark.parametrize("least", [0.0, 20.0])
def test_generate_proposals(isa: str, extra: int, drop: int, least: float) -> None:
    rng = np.random.default_rng(3)
    anchors = np.concatenate([rng.uniform(0, 50, (60, 2)), rng.uniform(30, 90, (60, 2))], 1).astype(np.float32)
    info = np.array([[64, 80, 1.5, 2], [60, 60, 0.5, 0.7]], np.float32)
    scores = rng.uniform(0, 1, (2, 3, 4, 5)).astype(np.float32)
    node(
        "GenerateProposals", [info, anchors, floats(rng, 2, 12, 4, 5), scores], rtol=1e-4, atol=1e-3, min_size=least, nms_threshold=0.5,
        pre_nms_count=50, post_nms_count=20, extra=extra, nms_extra=extra, drop_small=drop,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [4, 100])
@pytest.mark.parametrize("clip", [0, 1])
def test_roi_detections(isa: str, rows: int, clip: int) -> None:
    rng = np.random.default_rng(4)
    rois = np.concatenate([rng.uniform(0, 40, (9, 2)), rng.uniform(30, 80, (9, 2))], 1).astype(np.float32)
    scores = np.round(rng.uniform(0, 1, (9, 4)) * 8).astype(np.float32) / 8
    node(
        "ROIDetections", [rois, floats(rng, 9, 16), scores, np.array([[60, 70, 1]], np.float32)], rtol=1e-4, atol=1e-3, num_classes=4,
        post_nms_count=5, max_detections_per_image=rows, score_threshold=0.2, nms_threshold=0.5, max_delta_log_wh=2.0,
        deltas_weights=(10.0, 10.0, 5.0, 5.0), clip=clip,
    )  # fmt: skip
