# SPDX-License-Identifier: Apache-2.0
"""Col2Im against a loop over the patches; ExtractImagePatches has its recordings in test_rearrange."""

from __future__ import annotations

import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError


@pytest.mark.parametrize("lead", [(), (2,)])
@pytest.mark.parametrize(("strides", "dilations", "begins", "ends"), [((1, 1), (1, 1), (0, 0), (0, 0)), ((2, 1), (1, 2), (1, 0), (0, 2))])
def test_patches_are_added_up(lead, strides, dilations, begins, ends):
    size, kernel = (5, 6), (3, 2)
    axes = zip(size, begins, ends, kernel, dilations, strides, strict=True)
    count = [(n + b + e - (k - 1) * d - 1) // s + 1 for n, b, e, k, d, s in axes]
    x = random(*lead, 3 * 6, count[0] * count[1])
    params = {"strides": strides, "dilations": dilations, "pads_begin": begins, "pads_end": ends}
    text = {name: ",".join(map(str, values)) for name, values in params.items()}
    y = run_one("Col2Im", [x, np.array(size), np.array(kernel)], text, version="opset15", constants=[1, 2])
    want = np.zeros((*lead, 3, *size), np.float32)
    for c, i, j, oh, ow in np.ndindex(3, *kernel, *count):
        h, w = oh * strides[0] - begins[0] + i * dilations[0], ow * strides[1] - begins[1] + j * dilations[1]
        if 0 <= h < size[0] and 0 <= w < size[1]:
            want[..., c, h, w] += x[..., (c * 3 + i) * 2 + j, oh * count[1] + ow]
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match=r"the input has shape \[12, 8\], expected \[N, C\*4, 9\]"):
        run_one("Col2Im", [random(12, 8), np.array([4, 4]), np.array([2, 2])], version="opset15", constants=[1, 2])
