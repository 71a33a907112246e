# SPDX-License-Identifier: Apache-2.0
"""If and Loop of the operation sets: what constants decide at load, what is decided while running, faults."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import BackEdge, Body, PortMap
from ie_ctypes.model.network import Network

TRUE = np.array(True)
LIMIT = 50.0


def run(network, feeds):
    program = network.lower()
    results = evaluate(program, [feeds[n] for n in program.input_names])
    return [n.kind for n in program.nodes], dict(zip(program.output_names, results, strict=True))


def branch(op, shape=(2, 3)):
    inner = NetworkBuilder.opset("body")
    a, b = inner.input("a", shape), inner.input("b", shape)
    result = inner.result(inner.layer(op, "y", [a, b], [shape]))
    return Body(inner.graph(), [PortMap(1, a.id), PortMap(2, b.id)], [PortMap(3, result.id)])


def choice(constant=None, otherwise=None):
    outer = NetworkBuilder.opset()
    cond = outer.input("cond", (1,), "BOOL") if constant is None else outer.constant("cond", np.array([constant]))
    inputs = [cond, outer.input("x", (2, 3)), outer.input("y", (2, 3))]
    bodies = {"then": branch("Add"), "else": otherwise or branch("Multiply")}
    outer.result(outer.layer("If", "out", inputs, [(2, 3)], version="opset8", bodies=bodies))
    network = Network(outer.graph())
    for state in network.inputs.values():
        state.precision = "BOOL" if state.name == "cond" else "FP32"
    return network


X, Y = random(2, 3), random(2, 3, seed=1)


@pytest.mark.parametrize("value", [True, False])
def test_a_constant_condition_leaves_one_branch(value):
    kinds, got = run(choice(value), {"x": X, "y": Y})
    np.testing.assert_array_equal(got["out"], X + Y if value else X * Y)
    assert kinds == ["Binary"]


@pytest.mark.parametrize("value", [True, False])
def test_a_computed_condition_runs_one_branch(value):
    kinds, got = run(choice(), {"x": X, "y": Y, "cond": np.array([value])})
    np.testing.assert_array_equal(got["out"], X + Y if value else X * Y)
    assert kinds == ["Reshape", "If"]  # a scalar out of the condition, then the choice


def test_branches_of_different_shapes_need_a_constant_condition():
    inner = NetworkBuilder.opset("body")
    a = inner.input("a", (2, 3))
    result = inner.result(inner.layer("Reshape", "y", [a, inner.constant("shape", np.array([6]))], [(6,)]))
    other = Body(inner.graph(), [PortMap(1, a.id)], [PortMap(3, result.id)])
    with pytest.raises(ModelError, match=r"output 0 is float32 \[2, 3\] or float32 \[6\]"):
        choice(otherwise=other).lower()
    _, got = run(choice(False, other), {"x": X, "y": Y})
    np.testing.assert_array_equal(got["out"], X.ravel())


def doubling(*, until=None, again=None, joined=True, counted=False, sizes=(4, 2, 3)):
    """Body: state -> 2 * state (+ step), which is also joined; goes on while its largest element is below ``until``."""
    inner = NetworkBuilder.opset("body")
    state = inner.input("state", (2, 3))
    y = inner.layer("Add", "twice", [state, state], [(2, 3)])
    inputs = [PortMap(2, state.id)]
    if counted:
        step = inner.input("step", (1,), "I64")
        number = inner.layer("Convert", "number", [step], [(1,)], params={"destination_type": "f32"})
        y = inner.layer("Add", "counted", [y, number], [(2, 3)])
        inputs.append(PortMap(-1, step.id, purpose="current_iteration"))
    result = inner.result(y)
    outputs = [PortMap(3, result.id)]
    if joined:
        shape = inner.constant("shape", np.array([1, 2, 3]))
        outputs.append(PortMap(4, inner.result(inner.layer("Reshape", "row", [y, shape], [(1, 2, 3)])).id, axis=0))
    if until is not None:
        axes = inner.constant("axes", np.array([0, 1]))
        top = inner.layer("ReduceMax", "top", [y, axes], [()])
        more = inner.layer("Less", "more", [top, inner.constant("limit", np.array(until, np.float32))], [()], precision="BOOL")
        outputs.append(PortMap(-1, inner.result(more).id, purpose="execution_condition"))
    elif again is not None:
        more = inner.constant("more", np.array(again))
        outputs.append(PortMap(-1, inner.result(more).id, purpose="execution_condition"))
    shapes = [(2, 3), sizes][: 1 + joined]
    return Body(inner.graph(), inputs, outputs, [BackEdge(result.id, state.id)]), shapes


def loop(trips, cond, body):
    """A network of a Loop; ``trips`` and ``cond`` are constants or, None, inputs."""
    outer = NetworkBuilder.opset()
    count = outer.input("trips", (), "I64") if trips is None else outer.constant("trips", np.array(trips))
    going = outer.input("cond", (), "BOOL") if cond is None else outer.constant("cond", np.array(cond))
    made, shapes = body
    node = outer.layer("Loop", "out", [count, going, outer.input("x", (2, 3))], shapes, version="opset5", bodies={"body": made})
    for i in range(len(shapes)):
        outer.result((node, i))
    network = Network(outer.graph())
    for state in network.inputs.values():
        state.precision = {"trips": "I64", "cond": "BOOL"}.get(state.name, "FP32")
    return network


def expected(x, steps, counted=False):
    parts = []
    for i in range(steps):
        x = x + x + (i if counted else 0)
        parts.append(x)
    return x, parts


ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize("counted", [False, True])
def test_a_constant_count(counted):
    kinds, got = run(loop(4, True, doubling(counted=counted, again=True)), {"x": X})
    last, parts = expected(X, 4, counted)
    np.testing.assert_allclose(got["out.0"], last, rtol=1e-6)
    np.testing.assert_allclose(got["out.1"], parts, rtol=1e-6)
    assert kinds == ["Loop"]


def test_no_iteration_gives_what_went_in():
    for trips, cond in ((0, True), (3, False)):
        _, got = run(loop(trips, cond, doubling()), {"x": X})
        np.testing.assert_array_equal(got["out.0"], X)
        assert got["out.1"].shape == (0, 2, 3)


def test_a_false_condition_in_the_body_ends_after_one_iteration():
    _, got = run(loop(4, True, doubling(again=False)), {"x": X})
    np.testing.assert_array_equal(got["out.0"], 2 * X)
    np.testing.assert_array_equal(got["out.1"], 2 * X[None])


@pytest.mark.parametrize("trips", [3, 20, -1])
def test_a_computed_condition_ends_the_loop(trips):
    steps = 3 if trips == 3 else 6  # 2^6 is the first power not below 50
    joined = trips == 20
    _, got = run(loop(trips, True, doubling(until=LIMIT, joined=joined)), {"x": ONES})
    last, parts = expected(ONES, steps)
    name = "out.0" if joined else "out"
    np.testing.assert_array_equal(got[name], last)
    if joined:
        np.testing.assert_array_equal(got["out.1"][:steps], parts)
        np.testing.assert_array_equal(got["out.1"][steps:], np.zeros((20 - steps, 2, 3)))


@pytest.mark.parametrize(("trips", "cond", "steps"), [(3, True, 3), (0, True, 0), (-1, True, 6), (9, True, 6), (9, False, 0)])
def test_count_and_first_condition_may_be_computed(trips, cond, steps):
    feeds = {"x": ONES, "trips": np.array(trips), "cond": np.array(cond)}
    _, got = run(loop(None, None, doubling(until=LIMIT, joined=False)), feeds)
    np.testing.assert_array_equal(got["out"], expected(ONES, steps)[0])


def test_a_computed_count_joins_up_to_the_size_of_the_file():
    network = loop(None, True, doubling())
    for trips in (2, 4, 9):
        _, got = run(network, {"x": X, "trips": np.array(trips)})
        last, parts = expected(X, min(trips, 4))
        np.testing.assert_allclose(got["out.0"], last, rtol=1e-6)
        np.testing.assert_allclose(got["out.1"][: len(parts)], parts, rtol=1e-6)
    with pytest.raises(ModelError, match="joins the values of an unknown number of iterations"):
        loop(None, True, doubling(sizes=(-1, 2, 3))).lower()


def test_a_loop_without_an_end_is_refused():
    for again in (None, True):
        with pytest.raises(ModelError, match="the loop never ends"):
            loop(-1, True, doubling(again=again, joined=False)).lower()


def growing():
    """Body: state -> state, state joined: a carried value whose shape grows."""
    inner = NetworkBuilder.opset("body")
    state = inner.input("state", (-1, 3))
    result = inner.result(inner.layer("Concat", "y", [state, state], [(-1, 3)], params={"axis": 0}))
    return Body(inner.graph(), [PortMap(2, state.id)], [PortMap(3, result.id)], [BackEdge(result.id, state.id)]), [(16, 3)]


def test_iterations_of_different_shapes_are_written_out():
    kinds, got = run(loop(3, True, growing()), {"x": X})
    np.testing.assert_array_equal(got["out"], np.tile(X, (8, 1)))
    assert kinds == ["Concat"] * 3
    with pytest.raises(ModelError, match="body output 0 has another type"):
        loop(None, True, growing()).lower()


@pytest.mark.parametrize("path", corpus.cases("opset/If", "opset/Loop"))
def test_corpus(path):
    corpus.check(path)
