# SPDX-License-Identifier: Apache-2.0
"""Layers that join, cut and pad, in both dialects."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_layer, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network

X = random(4, 5, 6)


def test_concat_axis_defaults_to_one_in_old_files_only():
    np.testing.assert_array_equal(run_one("Concat", [X, X]), np.concatenate([X, X], 1))
    np.testing.assert_array_equal(run_one("Concat", [X, X], {"axis": -1}, version="opset1"), np.concatenate([X, X], 2))
    with pytest.raises(ModelError, match="attribute 'axis' is missing"):
        run_one("Concat", [X, X], version="opset1")
    with pytest.raises(ModelError, match="layer out of type Concat: axis is 3"):
        run_one("Concat", [X, X], {"axis": 3})


def split_network(shape, parts):
    builder = NetworkBuilder.legacy()
    x = builder.input("x", shape)
    builder.layer("Split", "s", [x], parts, params={"axis": 1})
    return Network(builder.graph())


def test_legacy_split_takes_sizes_of_ports_and_divides_equal_ones_anew():
    network = split_network((1, 6, 2), [(1, 2, 2), (1, 4, 2)])
    assert network.outputs["s.1"].shape == (1, 4, 2)
    with pytest.raises(ModelError, match=r"The sum of the dimensions on the axis\(1\) is not equal out_sizes: \[2, 4\]"):
        network.reshape({"x": (1, 9, 2)})
    assert network.inputs["x"].shape == (1, 6, 2)
    equal = split_network((1, 6, 2), [(1, 2, 2)] * 3)
    equal.reshape({"x": (1, 9, 5)})
    assert [equal.outputs[f"s.{i}"].shape for i in range(3)] == [(1, 3, 5)] * 3
    with pytest.raises(ModelError, match="not equal out_sizes"):
        equal.reshape({"x": (1, 8, 5)})


def test_opset_splits():
    parts = run_layer("Split", [X, np.array(1)], {"num_splits": 5}, version="opset1", constants=[1], outputs=5)
    for got, want in zip(parts, np.split(X, 5, 1), strict=True):
        np.testing.assert_array_equal(got, want)
    lengths = np.array([2, -1, 1])
    parts = run_layer("VariadicSplit", [X, np.array(-1), lengths], version="opset1", constants=[1, 2], outputs=3)
    for got, want in zip(parts, np.split(X, [2, 5], 2), strict=True):
        np.testing.assert_array_equal(got, want)
    with pytest.raises(ModelError, match="num_splits is 2, axis 1 has size 5"):
        run_layer("Split", [X, np.array(1)], {"num_splits": 2}, version="opset1", constants=[1], outputs=2)
    with pytest.raises(ModelError, match="do not add up"):
        run_layer("VariadicSplit", [X, np.array(0), np.array([3, 3])], version="opset1", constants=[1, 2], outputs=2)


def test_crop_forms():
    want = X[:, 1:4, 2:4]
    np.testing.assert_array_equal(run_one("Crop", [X], {"axis": "1,2", "offset": "1,2", "dim": "3,2"}), want)
    np.testing.assert_array_equal(run_one("Crop", [X], {"axis": "1,2", "crop_begin": "1,2", "crop_end": "1,2"}), want)
    np.testing.assert_array_equal(run_layer("Crop", [X, want + 0], {"axis": "1,2", "offset": "1,2"})[0], want)
    with pytest.raises(ModelError, match=r"doesn't match number of offset - \(2 vs. 1\)"):
        run_one("Crop", [X], {"axis": "1,2", "offset": "1", "dim": "3,2"})
    with pytest.raises(ModelError, match="crop of 3 from 4 leaves axis 2 of size 6"):
        run_one("Crop", [X], {"axis": "2", "offset": "4", "dim": "3"})
    with pytest.raises(ModelError, match="2 axes have 1 sizes"):
        run_one("Crop", [X], {"axis": "1,2", "offset": "1,1", "dim": "3"})


SLICES = [
    # begin, end, stride, begin ignored, end ignored, new axis, shrink, ellipsis, numpy's index
    ((1, 0, 2), (3, 4, 6), (1, 1, 2), "000", "000", "000", "000", "000", np.s_[1:3, 0:4, 2:6:2]),
    ((1, 7, -1), (99, 9, 0), (1, 1, -1), "010", "011", "000", "000", "000", np.s_[1:99, :, -1::-1]),
    ((-3, 0), (-1, 2), (1, 1), "00", "00", "00", "00", "00", np.s_[-3:-1, 0:2]),
    ((0, 1), (0, 4), (1, 2), "00", "00", "00", "00", "10", np.s_[..., 1:4:2]),
    ((0, 2, 1), (0, 3, 3), (1, 1, 1), "000", "000", "100", "010", "000", np.s_[None, 2, 1:3]),
    ((-1,), (0,), (1,), "0", "0", "0", "1", "0", np.s_[-1]),
    ((3,), (1,), (1,), "0", "0", "0", "0", "0", np.s_[3:1]),
]


@pytest.mark.parametrize("case", SLICES)
@pytest.mark.parametrize("dialect", ["legacy", "opset"])
def test_strided_slice_is_numpy_indexing(case, dialect):
    begin, end, stride, no_begin, no_end, new_axis, shrink, ellipsis, index = case
    masks = {"new_axis_mask": ",".join(new_axis), "shrink_axis_mask": ",".join(shrink), "ellipsis_mask": ",".join(ellipsis)}
    invert = {"legacy": str.maketrans("01", "10"), "opset": {}}[dialect]  # a set bit says `use` in old files, `ignore` in new ones
    masks |= {"begin_mask": ",".join(no_begin.translate(invert)), "end_mask": ",".join(no_end.translate(invert))}
    inputs = [X, *(np.array(v, np.int32) for v in (begin, end, stride))]
    got = run_one("StridedSlice", inputs, masks, version="opset1" if dialect == "opset" else "", constants=[1, 2, 3])
    np.testing.assert_array_equal(got, X[index])


def test_legacy_masks_may_lack_commas_and_bits():
    inputs = [X, *(np.array(v, np.int32) for v in ((1, 1), (3, 3)))]
    got = run_one("StridedSlice", inputs, {"begin_mask": "01", "end_mask": "1"}, constants=[1, 2])
    np.testing.assert_array_equal(got, X[:3, 1:3])


def test_strided_slice_faults():
    def go(begin, end, stride, **masks):
        return run_one("StridedSlice", [X, *(np.array(v) for v in (begin, end, stride))], masks, version="opset1", constants=[1, 2, 3])

    with pytest.raises(ModelError, match="stride of axis 0 is 0"):
        go((0,), (1,), (0,))
    with pytest.raises(ModelError, match="begin of axis 0 is 4"):
        go((4,), (5,), (1,), shrink_axis_mask="1")
    with pytest.raises(ModelError, match="4 axes are sliced, the input has 3"):
        go((0,) * 4, (1,) * 4, (1,) * 4)
    with pytest.raises(ModelError, match="begin, end and strides have 1, 2 and 1 elements"):
        go((0,), (1, 1), (1,))


@pytest.mark.parametrize("axes", [None, (2, 0)])
def test_slice_8_is_numpy_slicing(axes):
    start, stop, step = (1, -1), (-1, -100), (2, -2)
    inputs = [X, *(np.array(v) for v in (start, stop, step))] + ([np.array(axes)] if axes else [])
    got = run_one("Slice", inputs, version="opset8", constants=[1, 2, 3, 4])
    np.testing.assert_array_equal(got, X[-1:-100:-2, :, 1:-1:2] if axes else X[1:-1:2, -1:-100:-2])


def test_reverse_by_index_and_mask():
    got = run_one("Reverse", [X, np.array([-1, 0])], {"mode": "index"}, version="opset1", constants=[1])
    np.testing.assert_array_equal(got, X[::-1, :, ::-1])
    mask = np.array([False, True, False])
    np.testing.assert_array_equal(run_one("Reverse", [X, mask], {"mode": "mask"}, version="opset1", constants=[1]), X[:, ::-1])


def test_pad_of_both_dialects():
    want = np.pad(X, ((1, 0), (0, 2), (0, 0)), constant_values=3)
    params = {"pads_begin": "1,0,0", "pads_end": "0,2,0", "pad_mode": "constant", "pad_value": "3.0"}
    np.testing.assert_array_equal(run_one("Pad", [X], params), want)
    inputs = [X, np.array([1, 0, 0]), np.array([0, 2, 0]), np.array(3, np.float32)]
    np.testing.assert_array_equal(run_one("Pad", inputs, {"pad_mode": "constant"}, version="opset1", constants=[1, 2, 3]), want)
    with pytest.raises(ModelError, match="'pad_mode' is 'wrap'"):
        run_one("Pad", [X], params | {"pad_mode": "wrap"})
    with pytest.raises(ModelError, match="pads_begin has 2 values, expected 3"):
        run_one("Pad", [X], params | {"pads_begin": "1,0"})


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/{t}" for t in ("Concat", "Crop", "Pad", "Slice", "Split", "StridedSlice")),
        *(f"opset/{t}" for t in ("Concat", "Pad", "Slice", "Split", "StridedSlice", "VariadicSplit")),
    ),
)
def test_corpus(path):
    corpus.check(path)


def test_slices_are_replaced():
    x, updates = random(5, 6, 4), random(2, 6, 2, seed=1)
    ints = [np.array(v) for v in ((1, 3), (5, -5), (2, -2), (0, 2))]
    y = run_one("SliceScatter", [x, updates, *ints], version="opset15", constants=[2, 3, 4, 5])
    want = x.copy()
    want[1:5:2, :, 3::-2] = updates
    np.testing.assert_array_equal(y, want)
    with pytest.raises(ModelError, match=r"updates have shape \[2, 6, 1\], the slice has \[2, 6, 2\]"):
        run_one("SliceScatter", [x, updates[:, :, :1], *ints], version="opset15", constants=[2, 3, 4, 5])
