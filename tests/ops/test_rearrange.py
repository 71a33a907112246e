# SPDX-License-Identifier: Apache-2.0
"""Layers made of reshapes, transposes and gathers, against plain loops."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_one

from ie_ctypes.errors import ModelError

X = random(2, 12, 2, 3)


def test_blocks_on_every_axis_of_the_largest_rank():
    x = random(2, 2, 3, 2, 4)
    blocks, none = np.array([1, 2, 3, 2, 2]), np.zeros(5, np.int64)
    y = run_one("SpaceToBatch", [x, blocks, none, none], version="opset2", constants=[1, 2, 3])
    assert y.shape == (48, 1, 1, 1, 2)
    for n, i, j, k, m in np.ndindex(2, 2, 3, 2, 4):
        assert y[(((i * 3 + j) * 2 + k) * 2 + m % 2) * 2 + n, 0, 0, 0, m // 2] == x[n, i, j, k, m]
    np.testing.assert_array_equal(run_one("BatchToSpace", [y, blocks, none, none], version="opset2", constants=[1, 2, 3]), x)


@pytest.mark.parametrize("mode", ["blocks_first", "depth_first"])
def test_depth_to_space_places_blocks(mode):
    y = run_one("DepthToSpace", [X], {"block_size": 2, "mode": mode}, version="opset1")
    assert y.shape == (2, 3, 4, 6)
    for n, c, i, j in np.ndindex(y.shape):
        block = (i % 2) * 2 + j % 2
        assert y[n, c, i, j] == X[n, block * 3 + c if mode == "blocks_first" else c * 4 + block, i // 2, j // 2]
    back = run_one("SpaceToDepth", [y], {"block_size": 2, "mode": mode}, version="opset1")
    np.testing.assert_array_equal(back, X)


def test_depth_to_space_takes_any_number_of_axes():
    x = random(1, 16, 1, 2, 2)
    y = run_one("DepthToSpace", [x], {"block_size": 2, "mode": "depth_first"}, version="opset1")
    assert y.shape == (1, 2, 2, 4, 4)
    assert y[0, 1, 1, 0, 3] == x[0, 8 + 4 + 1, 0, 0, 1]
    np.testing.assert_array_equal(run_one("SpaceToDepth", [y], {"block_size": 2, "mode": "depth_first"}, version="opset1"), x)


def test_legacy_blocks_of_one_channel_and_the_way_back():
    x = X[:, :4]
    y = run_one("DepthToSpace", [x], {"block_size": 2})
    for n, _, i, j in np.ndindex(y.shape):
        assert y[n, 0, i, j] == x[n, (i % 2) * 2 + j % 2, i // 2, j // 2]
    np.testing.assert_array_equal(run_one("SpaceToDepth", [run_one("DepthToSpace", [X], {"block_size": 2})], {"block_size": 2}), X)


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="12 channels are not a multiple of 25"):
        run_one("DepthToSpace", [X], {"block_size": 5, "mode": "depth_first"}, version="opset1")
    with pytest.raises(ModelError, match="not a multiple of 2"):
        run_one("SpaceToDepth", [X], {"block_size": 2})
    with pytest.raises(ModelError, match="block_size is 0"):
        run_one("DepthToSpace", [X], {"block_size": 0})


def test_space_to_batch_and_back():
    x = random(2, 3, 5, 4)
    blocks, begin, end = (np.array(v) for v in ((1, 1, 2, 3), (0, 0, 1, 0), (0, 0, 0, 2)))
    y = run_one("SpaceToBatch", [x, blocks, begin, end], version="opset2", constants=[1, 2, 3])
    assert y.shape == (12, 3, 3, 2)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2)))
    for n, c, i, j in np.ndindex(y.shape):
        assert y[n, c, i, j] == padded[n % 2, c, i * 2 + n // 2 // 3, j * 3 + n // 2 % 3]
    back = run_one("BatchToSpace", [y, blocks, begin, end], version="opset2", constants=[1, 2, 3])
    np.testing.assert_array_equal(back, x)
    with pytest.raises(ModelError, match="not a multiple of the block sizes"):
        run_one("SpaceToBatch", [x, blocks, begin, 0 * end], version="opset2", constants=[1, 2, 3])
    with pytest.raises(ModelError, match="batch 2 is not a multiple of 6"):
        run_one("BatchToSpace", [x, blocks, begin, end], version="opset2", constants=[1, 2, 3])
    with pytest.raises(ModelError, match="do not fit an input of 4 axes"):
        run_one("SpaceToBatch", [x, blocks[1:], begin, end], version="opset2", constants=[1, 2, 3])


@pytest.mark.parametrize(("shift", "axes"), [([2], [1]), ([-1, 7], [0, -1]), ([3], [0, 1]), ([1, 1], [1, 1])])
def test_roll_is_numpys(shift, axes):
    x = random(3, 5, 2)
    got = run_one("Roll", [x, np.array(shift), np.array(axes)], version="opset7", constants=[1, 2])
    want = x
    for s, a in zip(shift * len(axes) if len(shift) == 1 else shift, axes, strict=True):
        want = np.roll(want, s, a)
    np.testing.assert_array_equal(got, want)


def test_shuffle_channels_interleaves_groups():
    y = run_one("ShuffleChannels", [X], {"axis": 1, "group": 3})
    for i in range(12):
        np.testing.assert_array_equal(y[:, i], X[:, (i % 3) * 4 + i // 3])
    with pytest.raises(ModelError, match="group is 5, axis 1 has size 12"):
        run_one("ShuffleChannels", [X], {"group": 5})


def test_reorg_yolo_follows_the_flat_index_rule():
    n, c, h, w, s = 2, 8, 4, 6, 2
    x = random(n, c, h, w)
    y = run_one("ReorgYolo", [x], {"stride": s}, version="opset2").reshape(n, c, h, w)
    for i, ic, ih, iw in np.ndindex(n, c, h, w):
        part, offset = ic % (c // (s * s)), ic // (c // (s * s))
        assert y[i, ic, ih, iw] == x[i].ravel()[(part * h * s + ih * s + offset // s) * w * s + iw * s + offset % s]
    with pytest.raises(ModelError, match="cannot be reorganised with stride 3"):
        run_one("ReorgYolo", [x], {"stride": 3})


@pytest.mark.parametrize("constant", [True, False])
def test_reverse_sequence_turns_the_valid_steps(constant):
    x, lengths = random(4, 3, 5), np.array([1, 5, 3], np.int32)
    y = run_one("ReverseSequence", [x, lengths], {"seq_axis": 2, "batch_axis": 1}, version="opset1", constants=[1] if constant else [])
    for n, k in enumerate(lengths):
        np.testing.assert_array_equal(y[:, n], np.concatenate([x[:, n, :k][:, ::-1], x[:, n, k:]], 1))


def test_reverse_sequence_refuses_too_long_lengths():
    with pytest.raises(ModelError, match="a length is 6, axis 2 has size 5"):
        run_one("ReverseSequence", [random(2, 2, 5), np.array([1, 6])], {"seq_axis": 2}, version="opset1", constants=[1])


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot_marks_the_class_and_nothing_when_outside(axis):
    classes = np.array([[0, 3], [2, 5]], np.int32)
    want = np.where(np.arange(4) == classes[..., None], 9, -1)
    want = np.moveaxis(want, -1, axis).astype(np.float32)
    consts = [np.array(4), np.array(9, np.float32), np.array(-1, np.float32)]
    got = run_one("OneHot", [classes, *consts], {"axis": axis}, version="opset1", constants=[1, 2, 3])
    np.testing.assert_array_equal(got, want)
    got = run_one("OneHot", [classes], {"axis": axis, "depth": 4, "on_value": 9, "off_value": -1})
    np.testing.assert_array_equal(got, want)


def test_gather_layers():
    x, indices = random(3, 4), np.array([2, -1, 7], np.int32)
    got = run_one("Gather", [x, indices], {"axis": 1})
    np.testing.assert_array_equal(got, np.stack([x[:, 2], 0 * x[:, 0], 0 * x[:, 0]], 1))
    got = run_one("Gather", [x, indices, np.array(1)], version="opset8", constants=[2])
    np.testing.assert_array_equal(got, np.stack([x[:, 2], x[:, 3], 0 * x[:, 0]], 1))
    got = run_one("Gather", [x, indices[None].repeat(3, 0), np.array(1)], {"batch_dims": 1}, version="opset7", constants=[2])
    np.testing.assert_array_equal(got, np.stack([x[:, 2], x[:, 3], 0 * x[:, 0]], 1))
    got = run_one("Gather", [x, indices.astype(np.float32)], {"axis": 1})
    np.testing.assert_array_equal(got[:, 0], x[:, 2])


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/{t}" for t in ("DepthToSpace", "Gather", "OneHot", "ReorgYolo", "ReverseSequence", "ShuffleChannels", "SpaceToDepth")),
        *(f"opset/{t}" for t in ("DepthToSpace", "Gather", "OneHot", "ReorgYolo", "ReverseSequence", "ShuffleChannels", "SpaceToDepth")),
        *(f"opset/{t}" for t in ("BatchToSpace", "Roll", "SpaceToBatch")),
    ),
)
def test_corpus(path):
    corpus.check(path)
