# SPDX-License-Identifier: Apache-2.0
"""GridSample against a loop over the places."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest
from layers import random, run_one


def pixel(image: np.ndarray, y: int, x: int) -> float:
    h, w = image.shape
    return float(image[y, x]) if 0 <= y < h and 0 <= x < w else 0.0


def place(value: float, size: int, align: bool) -> float:
    return (value + 1) / 2 * (size - 1) if align else ((value + 1) * size - 1) / 2


def sampled(image: np.ndarray, gy: float, gx: float, mode: str, align: bool) -> float:
    """One place of one channel, zeros outside."""
    y, x = place(gy, image.shape[0], align), place(gx, image.shape[1], align)
    if mode == "nearest":
        return pixel(image, round(y), round(x))
    y0, x0 = math.floor(y), math.floor(x)
    corners = [(y0, x0), (y0, x0 + 1), (y0 + 1, x0), (y0 + 1, x0 + 1)]
    return sum(pixel(image, cy, cx) * (1 - abs(y - cy)) * (1 - abs(x - cx)) for cy, cx in corners)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("align", [True, False])
def test_places_are_read(mode: str, align: bool) -> None:
    data, grid = random(2, 3, 5, 7, seed=1), random(2, 4, 6, 2, seed=2, low=-1.3, high=1.3)
    got = run_one("GridSample", [data, grid], {"mode": mode, "align_corners": align, "padding_mode": "zeros"}, version="opset9")
    want = np.empty((2, 3, 4, 6), np.float32)
    for n, c, i, j in np.ndindex(*want.shape):
        want[n, c, i, j] = sampled(data[n, c], float(grid[n, i, j, 1]), float(grid[n, i, j, 0]), mode, align)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_border_repeats_the_last_pixels() -> None:
    data = random(1, 1, 3, 3)
    grid = np.array([[[[-9, -9], [9, 9], [-9, 9]]]], np.float32)
    got = run_one("GridSample", [data, grid], {"mode": "bilinear", "padding_mode": "border", "align_corners": True}, version="opset9")
    np.testing.assert_allclose(got.ravel(), [data[0, 0, 0, 0], data[0, 0, 2, 2], data[0, 0, 2, 0]], rtol=1e-6)


@pytest.mark.parametrize("path", corpus.cases("opset/GridSample"))
def test_corpus(path: str) -> None:
    corpus.check(path)
