# SPDX-License-Identifier: Apache-2.0
"""Einsum against numpy's."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import IEError


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("ij->ji", [(3, 4)]),
        ("ii->i", [(4, 4)]),
        ("ij->", [(3, 4)]),
        ("i,j->ij", [(3,), (5,)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
        ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 2)]),
        ("ba,cb", [(3, 2), (4, 3)]),
    ],
)
def test_equation_is_numpys(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [random(*shape, seed=i) for i, shape in enumerate(shapes)]
    got = run_one("Einsum", arrays, {"equation": equation}, version="opset7")
    want = np.einsum(equation, *(a.astype(np.float64) for a in arrays))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("equation", "shape"), [("ijk->i", (3, 4)), ("i1->i", (3, 4)), ("ii->i", (3, 4))])
def test_equation_that_does_not_fit_is_refused(equation: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(IEError, match="out of type Einsum"):
        run_one("Einsum", [random(*shape)], {"equation": equation}, version="opset7")


@pytest.mark.parametrize("path", corpus.cases("opset/Einsum"))
def test_corpus(path: str) -> None:
    corpus.check(path)
