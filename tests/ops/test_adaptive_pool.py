# SPDX-License-Identifier: Apache-2.0
"""AdaptiveAvgPool and AdaptiveMaxPool: windows, positions, ranks."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_layer, run_one

from ie_ctypes.errors import ModelError


@pytest.mark.parametrize(("spatial", "sizes"), [((7,), (3,)), ((4, 5), (6, 2)), ((3, 4, 5), (2, 4, 3))])
def test_windows_share_the_input_out(spatial, sizes):
    x = random(2, 3, *spatial)
    mean = run_one("AdaptiveAvgPool", [x, np.array(sizes)], version="opset8", constants=[1])
    top, at = run_layer("AdaptiveMaxPool", [x, np.array(sizes)], version="opset8", constants=[1], outputs=2)
    assert mean.shape == top.shape == at.shape == (2, 3, *sizes)
    for place in np.ndindex(*sizes):
        cut = tuple(slice(i * n // o, -((-(i + 1) * n) // o)) for i, n, o in zip(place, spatial, sizes, strict=True))
        window = x[(slice(None), slice(None), *cut)].reshape(2, 3, -1)
        where = (slice(None), slice(None), *place)
        np.testing.assert_allclose(mean[where], window.mean(-1), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(top[where], window.max(-1))
    np.testing.assert_array_equal(np.take_along_axis(x.reshape(2, 3, -1), at.reshape(2, 3, -1).astype(int), 2), top.reshape(2, 3, -1))


def test_the_first_of_equal_maxima_is_reported():
    x = np.ones((1, 1, 2, 3), np.float32)
    _, at = run_layer("AdaptiveMaxPool", [x, np.array([1, 1])], version="opset8", constants=[1], outputs=2)
    assert at.item() == 0


def test_sizes_are_checked():
    with pytest.raises(ModelError, match=r"sizes are \[2\], expected 2 values"):
        run_one("AdaptiveAvgPool", [random(1, 1, 3, 3), np.array([2])], version="opset8", constants=[1])


@pytest.mark.parametrize("path", corpus.cases("opset/AdaptiveAvgPool", "opset/AdaptiveMaxPool"))
def test_corpus(path):
    corpus.check(path)
