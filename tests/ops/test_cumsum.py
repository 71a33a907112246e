# SPDX-License-Identifier: Apache-2.0
"""CumSum against plain loops."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_sums_up_to_a_position(axis, exclusive, reverse, dtype):
    x = (random(2, 3, 4) * 9).astype(dtype)
    params = {"exclusive": str(exclusive).lower(), "reverse": str(reverse).lower()}
    precision = {"float32": "FP32", "int32": "I32", "int64": "I64"}[dtype]
    y = run_one("CumSum", [x, np.array(axis)], params, version="opset3", constants=[1], result=precision)
    flipped = np.moveaxis(x, axis, 0)[:: -1 if reverse else 1]
    want = np.zeros_like(flipped)
    for i in range(len(flipped)):
        want[i] = flipped[: i if exclusive else i + 1].sum(0)
    np.testing.assert_allclose(y, np.moveaxis(want[:: -1 if reverse else 1], 0, axis), rtol=1e-5, atol=1e-5)


def test_without_an_axis_it_is_the_first():
    x = random(2, 3)
    np.testing.assert_allclose(run_one("CumSum", [x], version="opset3"), x.cumsum(0), rtol=1e-6)
    with pytest.raises(ModelError, match="axis is 2"):
        run_one("CumSum", [x, np.array(2)], version="opset3", constants=[1])


@pytest.mark.parametrize("path", corpus.cases("opset/CumSum"))
def test_corpus(path):
    corpus.check(path)
