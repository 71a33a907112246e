# SPDX-License-Identifier: Apache-2.0
"""Layers that change or make shapes, in both dialects."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_layer, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network

X = random(2, 3, 4)
I64 = np.int64


@pytest.mark.parametrize(
    ("dim", "shape"), [("0,-1", (2, 12)), ("-1", (24,)), ("4,0,-1", (4, 3, 2)), ("6,4", (6, 4)), ("", None), ("2,3,2,2", (2, 3, 2, 2))]
)
def test_legacy_reshape_mask(dim, shape):
    if shape is None:
        with pytest.raises(ModelError, match="Invalid reshape mask"):
            run_one("Reshape", [X], {"dim": dim})  # nothing says what shape
        return
    np.testing.assert_array_equal(run_one("Reshape", [X], {"dim": dim}), X.reshape(shape))


def test_legacy_reshape_takes_a_float_constant():
    np.testing.assert_array_equal(run_one("Reshape", [X, np.array([0, -1], np.float32)], constants=[1]), X.reshape(2, 12))


def test_legacy_reshape_of_one_batch_follows_a_new_batch():
    builder = NetworkBuilder.legacy()
    x = builder.input("x", (1, 3, 4))
    builder.layer("Reshape", "y", [x], [(1, 12)], params={"dim": "1,-1"})
    network = Network(builder.graph())
    network.reshape({"x": (5, 3, 4)})
    assert network.outputs["y"].shape == (5, 12)


def test_opset_reshape_rules():
    got = run_one("Reshape", [X, np.array([0, -1])], {"special_zero": "true"}, version="opset1", constants=[1])
    np.testing.assert_array_equal(got, X.reshape(2, 12))
    with pytest.raises(ModelError, match="mismatch"):
        run_one("Reshape", [X, np.array([0, 24])], {"special_zero": "false"}, version="opset1", constants=[1])
    with pytest.raises(ModelError, match="one -1"):
        run_one("Reshape", [X, np.array([-1, -1])], {"special_zero": "true"}, version="opset1", constants=[1])
    with pytest.raises(ModelError, match="copies dimension 3, the input has 3"):
        run_one("Reshape", [X, np.array([1, 1, 1, 0])], {"special_zero": "true"}, version="opset1", constants=[1])
    with pytest.raises(ModelError, match="input 1 must be a constant"):
        run_one("Reshape", [X, np.array([2, 12])], version="opset1")


@pytest.mark.parametrize(
    ("params", "shape"),
    [({"axis": 1}, (2, 12)), ({"axis": 0}, (24,)), ({"axis": 0, "end_axis": 1}, (6, 4)), ({"axis": -2}, (2, 12))],
)
def test_flatten_merges_axes(params, shape):
    np.testing.assert_array_equal(run_one("Flatten", [X], params), X.reshape(shape))


def test_flatten_refuses_end_before_start():
    with pytest.raises(ModelError, match="end_axis is 0, expected >= axis, which is 1"):
        run_one("Flatten", [X], {"axis": 1, "end_axis": 0})


@pytest.mark.parametrize("version", ["", "opset1"])
def test_squeeze_and_unsqueeze_are_inverse(version):
    y = run_one("Unsqueeze", [X, np.array([0, -1, 2])], version=version, constants=[1])
    assert y.shape == (1, 2, 1, 3, 4, 1)
    np.testing.assert_array_equal(run_one("Squeeze", [y, np.array([-1, 0, 2])], version=version, constants=[1]), X)
    np.testing.assert_array_equal(run_one("Squeeze", [y], version=version), X)
    with pytest.raises(ModelError, match="dimension is not 1: axis 1"):
        run_one("Squeeze", [y, np.array([1])], version=version, constants=[1])
    with pytest.raises(ModelError, match="axis is 6"):
        run_one("Squeeze", [y, np.array([6])], version=version, constants=[1])
    with pytest.raises(ModelError, match="twice"):
        run_one("Unsqueeze", [X, np.array([0, -5])], version=version, constants=[1])


def test_permute_and_transpose_reverse_without_order():
    np.testing.assert_array_equal(run_one("Permute", [X], {"order": "1,2,0"}), X.transpose(1, 2, 0))
    np.testing.assert_array_equal(run_one("Permute", [X], {"order": ""}), X.T)
    np.testing.assert_array_equal(run_one("Transpose", [X, np.array([2, 0, 1])], version="opset1", constants=[1]), X.transpose(2, 0, 1))
    np.testing.assert_array_equal(run_one("Transpose", [X, np.zeros(0, I64)], version="opset1", constants=[1]), X.T)
    with pytest.raises(ModelError, match="not a permutation"):
        run_one("Permute", [X], {"order": "1,1,0"})


def test_tile_of_both_dialects():
    np.testing.assert_array_equal(run_one("Tile", [X], {"axis": 1, "tiles": 3}), np.tile(X, (1, 3, 1)))
    for repeats in ((2,), (2, 1, 1, 3), (1, 2, 3)):
        got = run_one("Tile", [X, np.array(repeats)], version="opset1", constants=[1])
        np.testing.assert_array_equal(got, np.tile(X, repeats))
    with pytest.raises(ModelError, match="tiles is 0"):
        run_one("Tile", [X], {"axis": 1, "tiles": 0})


def test_broadcast_modes():
    def opset(x, shape, *more, mode):
        return run_one("Broadcast", [x, np.array(shape), *more], {"mode": mode}, version="opset3", constants=[1, 2])

    target = np.array([5, 2, 3, 4], np.int32)
    np.testing.assert_array_equal(run_one("Broadcast", [X, target], constants=[1]), np.broadcast_to(X, (5, 2, 3, 4)))
    np.testing.assert_array_equal(opset(X, (5, 2, 3, 4), mode="numpy"), np.broadcast_to(X, (5, 2, 3, 4)))
    np.testing.assert_array_equal(opset(X, (2, 1, 4), mode="bidirectional"), X)
    np.testing.assert_array_equal(opset(X[:, 0, 0], (3, 2, 4), np.array([1]), mode="explicit")[1, :, 2], X[:, 0, 0])
    crossed = opset(X[:, :, 0], (3, 4, 2), np.array([2, 0]), mode="explicit")
    np.testing.assert_array_equal(crossed[:, 1, :], X[:, :, 0].T)
    with pytest.raises(ModelError, match="'mode' is 'other'"):
        opset(X, (2, 3, 4), mode="other")
    with pytest.raises(ModelError, match="cannot be broadcast"):
        opset(X, (2, 5, 4), mode="bidirectional")
    with pytest.raises(ModelError, match="axes mapping"):
        opset(X, (2, 3, 4), np.array([0]), mode="explicit")


def test_shape_range_and_fill_become_constants():
    shape = run_one("ShapeOf", [X], version="opset3", result="I32")
    np.testing.assert_array_equal(shape, [2, 3, 4])
    builder = NetworkBuilder.opset()
    x = builder.input("x", (2, 3))
    start, step = builder.constant("start", np.array(1.0, np.float32)), builder.constant("step", np.array(0.5, np.float32))
    stop = builder.constant("stop", np.array(2.6, np.float32))
    values = builder.layer("Range", "r", [start, stop, step], [(4,)], params={"output_type": "f32"}, version="opset4")
    column = builder.layer("Unsqueeze", "u", [values, builder.constant("axes", np.array([1, 2]))], [(4, 1, 1)])
    builder.result(builder.layer("Add", "y", [x, column], [(4, 2, 3)]))
    program = Network(builder.graph()).lower()
    assert [n.kind for n in program.nodes] == ["Binary"]
    constant = next(t for t in program.tensors if t.data is not None)
    np.testing.assert_allclose(constant.data.ravel(), [1, 1.5, 2, 2.5])


def test_range_counts_and_refuses_step_zero():
    def count(start, stop, step):
        consts = [np.array(v) for v in (start, stop, step)]
        x = random(1)
        builder = NetworkBuilder.opset()
        inputs = [builder.constant(f"c{i}", c) for i, c in enumerate(consts)]
        values = builder.layer("Range", "r", inputs, [()], params={"output_type": "i64"}, version="opset4")
        target = builder.layer("Convert", "f", [values], [()], params={"destination_type": "f32"})
        builder.result(builder.layer("Add", "y", [builder.input("x", (1,)), target], [()]))
        return Network(builder.graph()).lower(), x

    for args in ((0, 5, 2), (5, 0, -2), (0, 5, 5), (1, 8, 3)):
        program, _ = count(*args)
        assert program.tensors[program.outputs[0]].type.shape == (len(range(*args)),)
    with pytest.raises(ModelError, match="range from 0 to 5 by 0 is not finite"):
        count(0, 5, 0)


def test_fill_repeats_a_value_that_is_not_constant():
    (got,) = run_layer("Fill", [np.array([2, 3], np.int32), np.array([7.5], np.float32)], constants=[0])
    np.testing.assert_array_equal(got, np.full((2, 3), 7.5, np.float32))


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/{t}" for t in ("Broadcast", "Fill", "Flatten", "Permute", "Range", "Reshape", "Squeeze", "Tile", "Unsqueeze")),
        *(f"opset/{t}" for t in ("Broadcast", "Range", "Reshape", "ShapeOf", "Squeeze", "Tile", "Transpose", "Unsqueeze")),
    ),
)
def test_corpus(path):
    corpus.check(path)


def test_expand_is_the_old_name_of_broadcast():
    got = run_one("Expand", [X[..., :1], np.array([3, *X.shape])], constants=[1])
    np.testing.assert_array_equal(got, np.broadcast_to(X[..., :1], (3, *X.shape)))
