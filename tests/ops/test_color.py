# SPDX-License-Identifier: Apache-2.0
"""Video frames to interleaved channels."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError

Y, U, V = random(2, 4, 6, 1, low=0, high=255), *(random(2, 2, 3, 1, seed=s, low=0, high=255) for s in (1, 2))


def rgb():
    u, v = (np.repeat(np.repeat(p, 2, 1), 2, 2) - 128 for p in (U, V))
    light = 1.164 * (Y - 16)
    return np.clip(np.concatenate([light + 1.596 * v, light - 0.813 * v - 0.391 * u, light + 2.018 * u], 3), 0, 255)


FORMS = {
    "NV12": [[Y, np.concatenate([U, V], 3)], [np.concatenate([Y, np.stack([U, V], 3).reshape(2, 2, 6, 1)], 1)]],
    "I420": [[Y, U, V], [np.concatenate([Y.reshape(2, -1), U.reshape(2, -1), V.reshape(2, -1)], 1).reshape(2, 6, 6, 1)]],
}


@pytest.mark.parametrize("name", ["NV12", "I420"])
@pytest.mark.parametrize("planes", [0, 1])
def test_planes_become_channels(name, planes):
    inputs = FORMS[name][planes]
    np.testing.assert_allclose(run_one(f"{name}toRGB", inputs, version="opset8"), rgb(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(run_one(f"{name}toBGR", inputs, version="opset8"), rgb()[..., ::-1], rtol=1e-4, atol=1e-3)


def test_bytes_stay_bytes():
    y, u, v = (p.astype(np.uint8) for p in (Y, U, V))
    got = run_one("I420toRGB", [y, u, v], version="opset8", result="U8")
    assert got.dtype == np.uint8
    floating = run_one("I420toRGB", [p.astype(np.float32) for p in (y, u, v)], version="opset8")
    np.testing.assert_array_equal(got, np.rint(floating))


def test_planes_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="expected even sizes"):
        run_one("NV12toRGB", [Y[:, :3], FORMS["NV12"][0][1]], version="opset8")
    with pytest.raises(ModelError, match="colour plane has shape"):
        run_one("NV12toRGB", [Y, U], version="opset8")
    with pytest.raises(ModelError, match="expected one plane or 3"):
        run_one("I420toRGB", [Y, U], version="opset8")


@pytest.mark.parametrize("path", corpus.cases(*(f"opset/{n}to{c}" for n in ("NV12", "I420") for c in ("RGB", "BGR"))))
def test_corpus(path):
    corpus.check(path)
