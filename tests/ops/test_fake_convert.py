# SPDX-License-Identifier: Apache-2.0
"""FakeConvert against numbers written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from layers import run_one

from ie_ctypes.errors import ModelError

CASES = {
    # ties go to the even mantissa; 449 and above stay 448; the smallest number is 2^-9
    "f8e4m3": (
        [1.0, 1.0625, 1.1875, -17.0, 336.0, 449.0, 1e9, 2**-9, 2**-10, 1.5 * 2**-9],
        [1, 1, 1.25, -16, 320, 448, 448, 2**-9, 0, 2**-8],
    ),
    "f8e5m2": ([1.125, 1.375, -9.0, 60000.0, -1e9, 2**-16, 2**-17, 1.01 * 2**-17], [1, 1.5, -8, 57344, -57344, 2**-16, 0, 2**-16]),
}


@pytest.mark.parametrize("kind", CASES)
def test_rounding(kind):
    x, want = CASES[kind]
    y = run_one("FakeConvert", [np.array(x, np.float32), np.float32(1)], {"destination_type": kind}, version="opset13", constants=[1])
    np.testing.assert_array_equal(y, np.array(want, np.float32))


def test_scale_and_shift_of_each_channel():
    x = np.array([[1.0, 3.3], [1.0, 3.3]], np.float32)
    scale, shift = np.array([[1], [4]], np.float32), np.array([[0.25], [0]], np.float32)
    y = run_one("FakeConvert", [x, scale, shift], version="opset13", constants=[1, 2])
    np.testing.assert_allclose(y, [[1.0, 3.25], [1.0, 13 / 4]])


def test_other_types_are_refused():
    with pytest.raises(ModelError, match="'destination_type' is 'f4', expected one of f8e4m3, f8e5m2"):
        run_one("FakeConvert", [np.ones(2, np.float32), np.float32(1)], {"destination_type": "f4"}, version="opset13")
