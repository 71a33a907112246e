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


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(("center", "length"), [(False, None), (True, None), (False, 30), (True, 9)])
def test_frames_become_the_signal_again(center, length, normalized):
    size, step, window = 9, 3, random(7, seed=1, low=0.1)
    frames = random(2, size // 2 + 1, 6, 2, seed=2)
    inputs = [frames, window, np.array(size), np.array(step)] + ([] if length is None else [np.array(length)])
    y = run_one("ISTFT", inputs, {"center": center, "normalized": normalized}, version="opset16", constants=range(2, len(inputs)))
    padded = np.pad(window, 1).astype(np.float64)
    real = np.fft.irfft(frames[..., 0] + 1j * frames[..., 1], size, 1) * (np.sqrt(size) if normalized else 1)
    total, weight = np.zeros((2, 5 * step + size)), np.zeros(5 * step + size)
    for t in range(6):
        total[:, t * step : t * step + size] += real[:, :, t] * padded
        weight[t * step : t * step + size] += padded**2
    want = (total / np.where(weight == 0, 1, weight))[:, size // 2 if center else 0 :]
    wanted_length = length or 5 * step + size - (2 * (size // 2) if center else 0)
    want = np.pad(want, ((0, 0), (0, wanted_length)))[:, :wanted_length]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)


def test_points_that_no_frame_has_are_refused():
    inputs = [random(4, 3, 2), random(8), np.array(8), np.array(2)]
    with pytest.raises(ModelError, match=r"points \[4, 3, 2\], window \[8\], frame size 8 and step 2"):
        run_one("ISTFT", inputs, {"center": False, "normalized": False}, version="opset16", constants=[2, 3])
