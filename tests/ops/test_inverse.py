# SPDX-License-Identifier: Apache-2.0
"""Inverse matrices against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError

X = random(2, 3, 4, 4) + np.roll(np.eye(4, dtype=np.float32), 1, 0) * 5


def test_inverse_and_adjoint():
    want = np.linalg.inv(X.astype(np.float64))
    np.testing.assert_allclose(run_one("Inverse", [X], version="opset14"), want, rtol=1e-5, atol=1e-6)
    adjoint = run_one("Inverse", [X], {"adjoint": True}, version="opset14")
    np.testing.assert_allclose(adjoint, want.swapaxes(-1, -2), rtol=1e-5, atol=1e-6)


def test_only_square_matrices_have_one():
    with pytest.raises(ModelError, match=r"the input has shape \[2, 3\], expected square matrices"):
        run_one("Inverse", [random(2, 3)], version="opset14")
