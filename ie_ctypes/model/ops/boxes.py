# SPDX-License-Identifier: Apache-2.0
"""Boxes [x0, y0, x1, y1] as the detection references use them: overlap, suppression, refinement by deltas."""

from __future__ import annotations

from typing import cast

import numpy as np

MAX_LOG_SIZE = float(np.float32(np.log(1000.0 / 16.0)))  # the Detectron layers let no box grow by more


def overlap(box: np.ndarray, others: np.ndarray, extra: float = 0.0, *, near: bool = False) -> np.ndarray:
    """Intersection over union of one box [4] with others [K, 4]; 0 when they are apart.

    ``extra`` is 1 when corners are pixels that belong to the box; then ``near`` says that boxes less than a pixel apart overlap too.
    """
    side = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    apart = (side < (-extra if near else 0)).any(1)
    inter = np.where(apart, np.float32(0), (side[:, 0] + np.float32(extra)) * (side[:, 1] + np.float32(extra)))
    size, sizes = box[2:] - box[:2] + np.float32(extra), others[:, 2:] - others[:, :2] + np.float32(extra)
    union = size[0] * size[1] + sizes[:, 0] * sizes[:, 1] - inter
    found: np.ndarray = np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)
    return found


def rotated_overlap(a: np.ndarray, b: np.ndarray, direction: int) -> np.float32:
    """Intersection over union of two boxes [x of the centre, y of the centre, width, height, angle]; none without area."""
    if not (a[2:4] > 0).all() or not (b[2:4] > 0).all():
        return cast(np.float32, np.float32(0))
    corners = []
    for box in (a.astype(np.float64), b.astype(np.float64)):
        sine, cosine = np.sin(box[4] * direction), np.cos(box[4] * direction)
        x, y = np.array([-0.5, 0.5, 0.5, -0.5]) * box[2], np.array([-0.5, -0.5, 0.5, 0.5]) * box[3]
        corners.append(np.stack([x * cosine - y * sine, x * sine + y * cosine], 1) + box[:2] - a[:2].astype(np.float64))
    common, lines = list(corners[0]), corners[1]
    for start, end in zip(lines, np.roll(lines, -1, 0), strict=True):  # keep what lies on the inner side of each line of the other
        along = end - start
        sides = [along[0] * (p[1] - start[1]) - along[1] * (p[0] - start[0]) for p in common]
        kept = []
        for i, p in enumerate(common):
            now, after, then = sides[i], sides[(i + 1) % len(sides)], common[(i + 1) % len(common)]
            if now >= 0:
                kept.append(p)
            if (now >= 0) != (after >= 0):
                kept.append(p + now / (now - after) * (then - p))
        common = kept
    area = sum((p[0] * q[1] - q[0] * p[1] for p, q in zip(common, common[1:] + common[:1], strict=True)), 0.0)
    area = max(float(area), 0.0) / 2
    return cast(np.float32, np.float32(area / (float(a[2]) * float(a[3]) + float(b[2]) * float(b[3]) - area)))


def suppress(boxes: np.ndarray, order: np.ndarray, threshold: float, extra: float = 0.0, limit: int = -1) -> np.ndarray:
    """The indices of ``order``, best first, that overlap no better kept box by more than the threshold; ``limit`` of them (-1: all)."""
    kept: list[int] = []
    while order.size and len(kept) != limit:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[~(overlap(boxes[best], boxes[order], extra) > np.float32(threshold))]
    return np.array(kept, np.int64)


def best_first(scores: np.ndarray, count: int = -1) -> np.ndarray:
    """Indices by falling score, equal ones in their order; ``count`` of them (-1: all)."""
    order = np.argsort(-scores, kind="stable")
    return order if count < 0 else order[:count]


def refine(boxes: np.ndarray, deltas: np.ndarray, extra: float, limit: float | None = None) -> np.ndarray:
    """Boxes [..., 4] moved by deltas (dx, dy, log width, log height) relative to their size; logarithms up to ``limit``."""
    size = boxes[..., 2:] - boxes[..., :2] + np.float32(extra)
    centre = boxes[..., :2] + np.float32(0.5) * size + deltas[..., :2] * size
    growth = deltas[..., 2:] if limit is None else np.minimum(deltas[..., 2:], np.float32(limit))
    half = np.float32(0.5) * np.exp(growth) * size
    return np.concatenate([centre - half, centre + half], axis=-1)
