# SPDX-License-Identifier: Apache-2.0
"""Boxes and scores for the kinds that suppress."""

from __future__ import annotations

import numpy as np


def scene(seed: int, images: int, classes: int, count: int, span: float = 1.0) -> list[np.ndarray]:
    """Overlapping boxes with distinct scores."""
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 0.4 * span, (images, count, 2)), rng.uniform(0.2 * span, 0.5 * span, (images, count, 2))
    scores = rng.permutation(images * classes * count).reshape(images, classes, count) / (images * classes * count)
    return [np.concatenate([corner, corner + size], -1).astype(np.float32), scores.astype(np.float32)]


def number(value: float, dtype: str = "float32") -> np.ndarray:
    return np.array([value], dtype)
