# SPDX-License-Identifier: Apache-2.0
"""If whose branches have outputs of different sizes, or states: what comes out on devices, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from layers import random

from ie_ctypes import IECore
from ie_ctypes.api.network import IENetwork
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Body, PortMap
from ie_ctypes.model.network import Network

DEVICES = pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
X = random(3, 4)


def body(make, shape=(3, 4)):
    """A branch of one input. ``make`` adds layers to a builder and returns the output."""
    inner = NetworkBuilder.opset("body")
    x = inner.input("a", shape)
    result = inner.result(make(inner, x))
    return Body(inner.graph(), [PortMap(1, x.id)], [PortMap(2, result.id)])


def part(rows, columns):
    """The corner of that size."""

    def make(b, x):
        ends, ones = b.constant("ends", np.array([rows, columns])), b.constant("ones", np.array([1, 1]))
        return b.layer("Slice", "part", [x, b.constant("begins", np.array([0, 0])), ends, ones], [(rows, columns)], version="opset8")

    return make


def network(then, otherwise, behind=None, shape=(3, 4)):
    b = NetworkBuilder.opset()
    cond, x = b.input("cond", (1,), "BOOL"), b.input("x", (3, 4))
    bodies = {"then": body(then), "else": body(otherwise)}
    y = b.layer("If", "choice", [cond, x], [shape], version="opset8", bodies=bodies)
    b.result(behind(b, y) if behind else y)
    made = Network(b.graph())
    made.inputs["cond"].precision = "BOOL"
    return made


def load(made, device, requests=1):
    net = IENetwork._of(made)
    net.reshape({"x": (3, 4)})
    return IECore().load_network(net, device, num_requests=requests)


@DEVICES
def test_outputs_have_the_size_of_the_branch_that_ran(device):
    net = load(network(part(1, 4), part(3, 2)), device)
    assert list(net.outputs["choice"].shape) == [3, 4]
    for cond, want in ((True, X[:1]), (False, X[:, :2]), (True, X[:1])):
        (y,) = net.infer({"x": X, "cond": [cond]}).values()
        np.testing.assert_array_equal(y, want)


@DEVICES
def test_layers_of_single_elements_keep_the_sizes(device):
    def behind(b, y):
        turned = b.layer("Transpose", "turned", [y, b.constant("order", np.array([1, 0]))], [(4, 3)])
        return b.layer("Multiply", "twice", [turned, b.constant("two", np.float32(2))], [(4, 3)])

    net = load(network(part(2, 3), part(3, 1), behind), device)
    for cond, want in ((True, X[:2, :3]), (False, X[:, :1])):
        (y,) = net.infer({"x": X, "cond": [cond]}).values()
        np.testing.assert_array_equal(y, 2 * want.T)


@DEVICES
def test_branch_with_a_size_of_its_own(device):
    def places(b, x):
        return b.layer("NonZero", "places", [x], [(2, 12)], version="opset3", precisions=["I64"])

    def none(b, x):
        return b.constant("none", np.array([[7], [8]], np.int64))

    net = load(network(places, none, shape=(2, 12)), device)
    x = np.eye(3, 4, dtype=np.float32)
    np.testing.assert_array_equal(net.infer({"x": x, "cond": [True]})["choice"], np.nonzero(x))
    np.testing.assert_array_equal(net.infer({"x": x, "cond": [False]})["choice"], [[7], [8]])


@DEVICES
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("length", [1, 4])
def test_a_number_beside_a_list_is_a_list_of_one(device, turned, length):
    def number(b, x):
        return b.layer("ReduceSum", "sum", [x, b.constant("all", np.array([0, 1]))], [()], params={"keep_dims": "false"})

    def row(b, x):
        corner = part(1, length)(b, x)
        return b.layer("Squeeze", "row", [corner, b.constant("axis", np.array([0]))], [(length,)])

    sides = (row, number) if turned else (number, row)
    net = load(network(*sides, shape=(length,)), device)
    for cond in (True, False):
        (y,) = net.infer({"x": X, "cond": [cond]}).values()
        np.testing.assert_allclose(y, X[0, :length] if cond == turned else [X.sum()], rtol=1e-5)


def test_branches_of_different_ranks_are_refused():
    def row(b, x):
        return b.layer("ReduceSum", "row", [x, b.constant("axis", np.array([0]))], [(4,)], params={"keep_dims": "false"})

    with pytest.raises(ModelError, match=r"output 0 is float32 \[1, 4\] or float32 \[4\], by a condition"):
        network(part(1, 4), row).lower()


@pytest.mark.parametrize("layer", ["ReduceSum", "ShapeOf", "If"])
def test_layers_that_would_see_the_padding_are_refused(layer):
    def behind(b, y):
        if layer == "ReduceSum":
            return b.layer("ReduceSum", "behind", [y, b.constant("axes", np.array([0]))], [(4,)])
        if layer == "ShapeOf":
            return b.layer("ShapeOf", "behind", [y], [(2,)], version="opset3")
        again = {"then": body(part(1, 1)), "else": body(part(1, 1))}
        return b.layer("If", "behind", [b.input("second", (1,), "BOOL"), y], [(1, 1)], version="opset8", bodies=again)

    with pytest.raises(ModelError, match=r"layer behind of type .*a size that is only known while running"):
        network(part(1, 4), part(3, 4), behind).lower()


def test_axis_with_one_size_may_be_summed():
    def behind(b, y):
        return b.layer("ReduceSum", "behind", [y, b.constant("axes", np.array([1]))], [(3,)])

    net = load(network(part(1, 4), part(3, 4), behind), "CPU")
    np.testing.assert_allclose(net.infer({"x": X, "cond": [True]})["behind"], X[:1].sum(1), rtol=1e-6)


def counter(step):
    """The state grows by a number and by the input."""

    def make(b, x):
        start = b.constant("start", np.zeros((3, 4), np.float32))
        read = b.layer("ReadValue", "read", [start], [(3, 4)], params={"variable_id": "total"}, version="opset3")
        more = b.layer("Add", "more", [x, b.constant("step", np.float32(step))], [(3, 4)])
        total = b.layer("Add", "total", [read, more], [(3, 4)])
        b.layer("Assign", "keep", [total], [(3, 4)], params={"variable_id": "total"}, version="opset3")
        return total

    return make


@DEVICES
def test_branches_share_a_state(device):
    net = load(network(counter(1), counter(10)), device)
    want = np.zeros((3, 4), np.float32)
    for cond in (True, False, False, True):
        want += X + np.float32(1 if cond else 10)
        np.testing.assert_allclose(net.infer({"x": X, "cond": [cond]})["choice"], want, rtol=1e-6)
    (state,) = net.requests[0].query_state()
    np.testing.assert_allclose(state.state.buffer, want, rtol=1e-6)
    state.reset()
    np.testing.assert_allclose(net.infer({"x": X, "cond": [True]})["choice"], X + 1, rtol=1e-6)


@DEVICES
def test_state_of_one_branch_stays_when_the_other_runs(device):
    net = load(network(counter(1), lambda b, x: b.layer("Negative", "y", [x], [(3, 4)])), device)
    seen = [net.infer({"x": X, "cond": [cond]})["choice"].copy() for cond in (True, False, True)]
    np.testing.assert_allclose(seen, [X + 1, -X, 2 * (X + 1)], rtol=1e-6)


def test_states_that_do_not_agree_are_refused():
    def late(b, x):
        read = b.layer("ReadValue", "read", [b.constant("start", X)], [(3, 4)], params={"variable_id": "total"}, version="opset3")
        b.layer("Assign", "keep", [read], [(3, 4)], params={"variable_id": "total"}, version="opset3")
        return read

    def computed(b, x):
        read = b.layer("ReadValue", "read", [x], [(3, 4)], params={"variable_id": "total"}, version="opset3")
        b.layer("Assign", "keep", [read], [(3, 4)], params={"variable_id": "total"}, version="opset3")
        return read

    with pytest.raises(ModelError, match="'total' begins with different values"):
        network(counter(1), late).lower()
    with pytest.raises(ModelError, match="'total' begins with a computed value, and only one branch stores it"):
        network(computed, part(3, 4)).lower()
