# SPDX-License-Identifier: Apache-2.0
"""Data movement kinds against plain loops, and what their shape rules refuse."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from layers import random, run_kind

from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import TensorType


def refuse(name, shapes, match, dtype="float32", **attrs):
    with pytest.raises(ValueError, match=match):
        KINDS[name].infer(attrs, [TensorType(dtype, s) for s in shapes])


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_split_undoes_concat_for_every_type(dtype):
    parts = [np.arange(2 * n * 3).reshape(2, n, 3).astype(dtype) for n in (1, 4, 0, 2)]
    (joined,) = run_kind("Concat", parts, axis=1)
    assert joined.shape == (2, 7, 3)
    for got, part in zip(run_kind("Split", [joined], axis=1, lengths=(1, 4, 0, 2)), parts, strict=True):
        np.testing.assert_array_equal(got, part)


def test_concat_refuses_other_sizes_types_and_axes():
    refuse("Concat", [(2, 3), (3, 3)], "input 1 is float32 .3, 3., incompatible", axis=1)
    refuse("Concat", [(2, 3), (2, 3)], "axis is 2, expected 0..1", axis=2)
    with pytest.raises(ValueError, match="incompatible"):
        KINDS["Concat"].infer({"axis": 0}, [TensorType("float32", (1,)), TensorType("int32", (1,))])


def test_split_refuses_lengths_that_do_not_add_up():
    refuse("Split", [(2, 6)], r"lengths \[2, 3\] do not add up to 6", axis=1, lengths=(2, 3))
    refuse("Split", [(2, 6)], "do not add up", axis=1, lengths=(7, -1))


def test_slice_reads_begin_plus_i_times_stride():
    x = random(5, 6, 4)
    begins, strides, lengths = (4, 1, 0), (-2, 2, 3), (3, 2, 2)
    (y,) = run_kind("Slice", [x], begins=begins, strides=strides, lengths=lengths)
    for at in product(*map(range, lengths)):
        assert y[at] == x[tuple(b + i * s for b, i, s in zip(begins, at, strides, strict=True))]


def test_slice_may_be_empty_and_may_not_leave_the_input():
    (y,) = run_kind("Slice", [random(3, 2)], begins=(0, 0), strides=(1, 1), lengths=(0, 2))
    assert y.shape == (0, 2)
    refuse("Slice", [(5,)], "leaves axis 0 of size 5", begins=(2,), strides=(2,), lengths=(3,))
    refuse("Slice", [(5,)], "leaves axis 0", begins=(1,), strides=(-1,), lengths=(3,))
    refuse("Slice", [(5,)], "stride of axis 0 is 0", begins=(1,), strides=(0,), lengths=(1,))
    refuse("Slice", [(5,)], "begins has 2 values, expected 1", begins=(1, 0), strides=(1,), lengths=(1,))


def test_transpose_tile_broadcast_reshape_equal_loops():
    x = random(2, 3, 4)
    (y,) = run_kind("Transpose", [x], order=(2, 0, 1))
    (tiled,) = run_kind("Tile", [x], repeats=(2, 1, 3))
    (wide,) = run_kind("Broadcast", [x[:, :1]], shape=(5, 2, 3, 4))
    (flat,) = run_kind("Reshape", [x], shape=(4, 6))
    for a, b, c in product(range(2), range(3), range(4)):
        assert y[c, a, b] == x[a, b, c]
        assert tiled[a + 2, b, c + 8] == x[a, b, c]
        assert wide[4, a, b, c] == x[a, 0, c]
        assert flat.ravel()[a * 12 + b * 4 + c] == x[a, b, c]


def test_shapes_that_do_not_fit_are_refused():
    refuse("Transpose", [(2, 3)], "not a permutation", order=(0, 0))
    refuse("Tile", [(2, 3)], "expected >= 0", repeats=(1, -1))
    refuse("Broadcast", [(2, 3)], "cannot be broadcast", shape=(2, 4))
    refuse("Broadcast", [(2, 3)], "cannot be broadcast", shape=(3,))
    refuse("Reshape", [(2, 3)], "6 elements of shape .2, 3. cannot take shape .4.", shape=(4,))
    refuse("Reshape", [(2, 3)], "cannot take shape", shape=(-2, -3))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(("begin", "end"), [((1, 3), (2, 0)), ((0, 0), (0, 4)), ((-1, 2), (1, -3))])
def test_pad_equals_numpy_on_the_cropped_input(mode, begin, end):
    """Cropping and padding one axis happen on different sides here, where cropping first must not change what is mirrored."""
    x = random(4, 6)
    (y,) = run_kind("Pad", [x], pads_begin=begin, pads_end=end, mode=mode, value=1.5)
    grow = [(max(b, 0), max(e, 0)) for b, e in zip(begin, end, strict=True)]
    expected = np.pad(x, grow, mode=mode, **({"constant_values": 1.5} if mode == "constant" else {}))
    crop = tuple(slice(max(-b, 0), expected.shape[i] - max(-e, 0)) for i, (b, e) in enumerate(zip(begin, end, strict=True)))
    np.testing.assert_array_equal(y, expected[crop])


def test_pad_refuses_more_than_it_can_mirror():
    attrs = {"pads_begin": (3,), "pads_end": (0,), "value": 0.0}
    refuse("Pad", [(3,)], "padding of axis 0 is 3, mode reflect allows 2", mode="reflect", **attrs)
    refuse("Pad", [(2,)], "mode symmetric allows 2", mode="symmetric", **attrs)
    refuse("Pad", [(0,)], "nothing to repeat", mode="edge", **attrs)
    refuse("Pad", [(3,)], "mode is 'wrap'", mode="wrap", **attrs)


@pytest.mark.parametrize("wrap", [0, 1])
def test_gather_gives_zeros_outside(wrap):
    data = random(3, 4, 2)
    indices = np.array([[0, 3], [-1, 4], [-5, 2]], np.int32)
    (y,) = run_kind("Gather", [data, indices], axis=1, batch_dims=0, wrap=wrap)
    assert y.shape == (3, 3, 2, 2)
    for (i, j), k in np.ndenumerate(indices):
        k = k + 4 if wrap and k < 0 else k
        np.testing.assert_array_equal(y[:, i, j], data[:, k] if 0 <= k < 4 else 0)


def test_gather_with_batch_takes_each_row_from_its_own_data():
    data, indices = random(2, 3, 5, 2), np.random.default_rng(1).integers(-2, 7, (2, 3, 4))
    (y,) = run_kind("Gather", [data, indices], axis=2, batch_dims=2, wrap=0)
    for at, k in np.ndenumerate(indices):
        np.testing.assert_array_equal(y[at], data[at[0], at[1], k] if 0 <= k < 5 else 0)
    (y,) = run_kind("Gather", [data, indices[:, 0]], axis=2, batch_dims=1, wrap=0)
    for n, j in product(range(2), range(4)):
        k = indices[n, 0, j]
        np.testing.assert_array_equal(y[n, :, j], data[n, :, k] if 0 <= k < 5 else 0)


def test_gather_refuses_float_indices_and_other_batches():
    refuse("Gather", [(3,), (2,)], "indices are float32", axis=0, batch_dims=0, wrap=0)
    refuse("Gather", [(3, 2), (2, 2)], "batch_dims 1 does not fit", dtype="int32", axis=1, batch_dims=1, wrap=0)
