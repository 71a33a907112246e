# SPDX-License-Identifier: Apache-2.0
"""Fourier transforms against numpy's."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError


def pairs(z):
    return np.stack([z.real, z.imag], -1)


def run(name, x, axes, sizes=None):
    inputs = [x, np.array(axes)] + ([] if sizes is None else [np.array(sizes)])
    return run_one(name, inputs, version="opset9", constants=list(range(1, len(inputs))))


X = random(3, 6, 5, 2)
Z = X[..., 0] + 1j * X[..., 1]


@pytest.mark.parametrize(("axes", "sizes"), [([1], None), ([-1], None), ([0, 2], None), ([2, 0], [4, -1]), ([1], [9])])
def test_transforms_of_pairs(axes, sizes):
    wrapped = [a % 3 for a in axes]
    points = None if sizes is None else [Z.shape[a] if n == -1 else n for a, n in zip(wrapped, sizes, strict=True)]
    np.testing.assert_allclose(run("DFT", X, axes, sizes), pairs(np.fft.fftn(Z, points, wrapped)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run("IDFT", X, axes, sizes), pairs(np.fft.ifftn(Z, points, wrapped)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("axes", "sizes"), [([1], None), ([0, 2], None), ([2, 1], [4, 7]), ([1], [1]), ([1], [2])])
def test_transforms_of_real_numbers_and_back(axes, sizes):
    real = X[..., 0]
    got = run("RDFT", real, axes, sizes)
    np.testing.assert_allclose(got, pairs(np.fft.rfftn(real, sizes, axes)), rtol=1e-4, atol=1e-5)
    want = np.fft.irfftn(Z, sizes, axes) if sizes != [1] else Z[:, :1].real
    np.testing.assert_allclose(run("IRDFT", X, axes, sizes), want, rtol=1e-4, atol=1e-5)


def test_axes_and_sizes_are_checked():
    with pytest.raises(ModelError, match="expected pairs"):
        run("DFT", X[..., 0], [0])
    with pytest.raises(ModelError, match="axes is 3"):
        run("DFT", X, [3])
    with pytest.raises(ModelError, match="each once"):
        run("DFT", X, [0, -3])
    with pytest.raises(ModelError, match="signal_size has 2 elements"):
        run("DFT", X, [0], [3, 3])
    with pytest.raises(ModelError, match="expected -1 or at least 1"):
        run("DFT", X, [0], [0])


@pytest.mark.parametrize("path", corpus.cases("opset/DFT", "opset/IDFT", "opset/RDFT", "opset/IRDFT"))
def test_corpus(path):
    corpus.check(path)


@pytest.mark.parametrize("points_first", [False, True])
def test_transforms_of_frames(points_first):
    x, window = random(2, 20), random(6, seed=1, low=0.1)
    inputs = [x, window, np.array(8), np.array(3)]
    y = run_one("STFT", inputs, {"transpose_frames": points_first}, version="opset15", constants=[2, 3])
    frames = np.stack([x[:, t : t + 8] for t in range(0, 13, 3)], 1) * np.pad(window, 1)
    want = np.fft.rfft(frames)
    want = want.transpose(0, 2, 1) if points_first else want
    np.testing.assert_allclose(y, np.stack([want.real, want.imag], -1), rtol=1e-4, atol=1e-5)


def test_frames_longer_than_the_signal_are_refused():
    with pytest.raises(ModelError, match=r"signal \[1, 4\], window \[3\], frame size 5"):
        run_one("STFT", [random(1, 4), random(3), np.array(5), np.array(1)], version="opset15", constants=[2, 3])
