# SPDX-License-Identifier: Apache-2.0
"""Boxes [x0, y0, x1, y1] as the detection references use them: overlap, suppression, refinement by deltas."""

from __future__ import annotations

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
