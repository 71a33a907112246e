# SPDX-License-Identifier: Apache-2.0
"""Inputs and attributes of DetectionOutput."""

from __future__ import annotations

import numpy as np
from kernel_checks import floats

CENTER = "caffe.PriorBoxParameter.CENTER_SIZE"
CORNER = "caffe.PriorBoxParameter.CORNER"


def problem(seed: int, n: int, priors: int, classes: int, *, shared: int = 1, encoded: int = 0, normalized: int = 1) -> list[np.ndarray]:
    """Locations, confidences and priors."""
    rng = np.random.default_rng(seed)
    corner = rng.random((priors, 2), np.float32) * np.float32(0.7)
    boxes = np.concatenate([corner, corner + rng.random((priors, 2), np.float32) * np.float32(0.3) + np.float32(0.05)], 1)
    if not normalized:
        boxes = np.concatenate([np.zeros((priors, 1), np.float32), boxes * np.float32(300)], 1)
        boxes[-3:, 0] = -1
    rows = [boxes.reshape(-1)]
    if not encoded:
        variances = np.tile(np.array([0.1, 0.1, 0.2, 0.2], np.float32), priors)
        rows.append(np.resize(variances, rows[0].size))
    locations = floats(rng, n, priors * (1 if shared else classes) * 4) * np.float32(0.5)
    scores = np.exp(2 * floats(rng, n, priors, classes))
    scores /= scores.sum(2, keepdims=True)
    return [locations, scores.reshape(n, -1).astype(np.float32), np.stack(rows)[None].astype(np.float32)]


def attrs(classes: int, **more: object) -> dict[str, object]:
    base: dict[str, object] = {
        "num_classes": classes,
        "background_label_id": 0,
        "top_k": 20,
        "keep_top_k": 15,
        "variance_encoded_in_target": 0,
        "code_type": CENTER,
        "share_location": 1,
        "nms_threshold": 0.45,
        "confidence_threshold": 0.1,
        "clip_before_nms": 0,
        "clip_after_nms": 0,
        "decrease_label_id": 0,
        "normalized": 1,
        "input_height": 300,
        "input_width": 300,
        "objectness_score": 0.0,
    }
    return base | more
