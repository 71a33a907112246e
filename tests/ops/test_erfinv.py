# SPDX-License-Identifier: Apache-2.0
"""ErfInv against the quantiles of the normal distribution."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from layers import run_one


def test_inverse_of_the_error_function():
    x = np.array([0.0, 1e-6, -0.3, 0.5, 0.9, -0.99, 0.9966, 0.9999, -0.999999], np.float32)
    want = [NormalDist().inv_cdf((float(v) + 1) / 2) / 2**0.5 for v in x]
    np.testing.assert_allclose(run_one("ErfInv", [x], version="opset17"), want, rtol=2e-6, atol=1e-9)


def test_edges():
    y = run_one("ErfInv", [np.array([1, -1, 1.5, -2, np.nan], np.float32)], version="opset17")
    np.testing.assert_array_equal(y, [np.inf, -np.inf, np.nan, np.nan, np.nan])
