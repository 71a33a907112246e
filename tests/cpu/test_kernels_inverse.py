# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Inverse."""

from __future__ import annotations

import numpy as np
from kernel_checks import floats, node


def test_matrices_that_need_row_exchanges(isa: str) -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 5, 17):
        x = floats(rng, 3, n, n) + np.roll(np.eye(n, dtype=np.float32), 1, 0) * 4
        node("Inverse", [x], rtol=1e-5, atol=1e-5)
