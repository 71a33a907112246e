# SPDX-License-Identifier: Apache-2.0
"""States: ReadValue and Assign, Memory, query_state."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Body, Node, Port, PortMap
from ie_ctypes.model.network import Network

X = np.array([[1, 2, 3]], np.float32)


def accumulator(initial: np.ndarray | None = None, computed: bool = False) -> Network:
    """state += x; the output is the new state."""
    net = NetworkBuilder.opset()
    x = net.input("x", (1, 3))
    start = net.layer("Negative", "start", [x], [(1, 3)]) if computed else net.constant("start", initial if initial is not None else 0 * X)
    read = net.layer("ReadValue", "read", [start], [(1, 3)], params={"variable_id": "total"}, version="opset3")
    total = net.layer("Add", "sum", [read, x], [(1, 3)])
    net.layer("Assign", "keep", [total], [(1, 3)], params={"variable_id": "total"}, version="opset3")
    net.result(total)
    return Network(net.graph())


def legacy_accumulator() -> Network:
    net = NetworkBuilder.legacy()
    read = net.layer("Memory", "read", [], [(1, 3)], params={"id": "total", "index": 1, "size": 2})
    total = net.layer("Eltwise", "sum", [net.input("x", (1, 3)), read], [(1, 3)], params={"operation": "sum"})
    net.layer("Memory", "keep", [total], [], params={"id": "total", "index": 0, "size": 2})
    copy = net.layer("Power", "out", [total], [(1, 3)], params={"power": 1, "scale": 1, "shift": 0})
    assert copy
    return Network(net.graph())


def loaded(network: Network, device: str, requests: int = 1):
    return IECore().load_network(IENetwork._of(network), device, num_requests=requests)


@pytest.fixture(params=["REFERENCE", "CPU"])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("make", [accumulator, legacy_accumulator])
def test_a_state_goes_from_one_inference_to_the_next(make, device):
    net = loaded(make(), device)
    for i in range(1, 4):
        (y,) = net.infer({"x": X}).values()
        np.testing.assert_array_equal(y, i * X)


def test_states_belong_to_a_request(device):
    net = loaded(accumulator(), device, requests=2)
    one, two = net.requests
    one.infer({"x": X})
    one.infer({"x": X})
    two.infer({"x": X})
    assert [r.query_state()[0].state.buffer.tolist() for r in (one, two)] == [(2 * X).tolist(), X.tolist()]
    two.async_infer({"x": X})
    assert two.wait() == 0
    np.testing.assert_array_equal(two.query_state()[0].state.buffer, 2 * X)


@pytest.mark.parametrize("computed", [False, True])
def test_the_first_value_is_given_or_computed_and_comes_back_with_reset(device, computed):
    net = loaded(accumulator(10 * X, computed), device)
    first = 0 * X if computed else 11 * X
    np.testing.assert_array_equal(net.infer({"x": X})["sum"], first)
    np.testing.assert_array_equal(net.infer({"x": X})["sum"], first + X)
    (state,) = net.requests[0].query_state()
    assert state.name == "total"
    state.reset()
    np.testing.assert_array_equal(net.infer({"x": X})["sum"], first)


def test_a_state_can_be_set(device):
    net = loaded(accumulator(computed=True), device)
    (state,) = net.requests[0].query_state()
    state.state = 5 * np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(net.infer({"x": X})["sum"], 5 + X)
    blob = state.state
    with pytest.raises(ValueError, match="read-only"):
        blob.buffer[0] = 1
    state.state = blob
    np.testing.assert_array_equal(net.infer({"x": X})["sum"], 5 + 2 * X)
    with pytest.raises(RuntimeError, match=r"state total has shape \[1, 3\], got \[2\]"):
        state.state = np.zeros(2)


def test_a_network_without_states_has_none(device):
    net = NetworkBuilder.opset()
    net.result(net.layer("Relu", "y", [net.input("x", (1, 3))], [(1, 3)]))
    assert loaded(Network(net.graph()), device).requests[0].query_state() == []


def test_a_value_that_is_read_and_stored_unchanged(device):
    net = NetworkBuilder.opset()
    x = net.input("x", (1, 3))
    read = net.layer("ReadValue", "read", [net.constant("c", X)], [(1, 3)], params={"variable_id": "v"}, version="opset3")
    net.layer("Assign", "keep", [x], [(1, 3)], params={"variable_id": "v"}, version="opset3")
    net.result(read)
    executable = loaded(Network(net.graph()), device)
    for given, want in ((2 * X, X), (3 * X, 2 * X), (X, 3 * X)):
        np.testing.assert_array_equal(executable.infer({"x": given})["read"], want)


def steps(kind: str, computed: bool) -> Network:
    """A loop over three steps, each of which adds to a state of its body; the output is every sum."""
    inner = NetworkBuilder.opset("body")
    x = inner.input("part", (1, 1, 2))
    start = inner.layer("Negative", "minus", [x], [(1, 1, 2)]) if computed else inner.constant("start", np.zeros((1, 1, 2), np.float32))
    read = inner.layer("ReadValue", "read", [start], [(1, 1, 2)], params={"variable_id": "total"}, version="opset6")
    total = inner.layer("Add", "total", [read, x], [(1, 1, 2)])
    inner.layer("Assign", "keep", [total], [(1, 1, 2)], params={"variable_id": "total"}, version="opset6")
    result = inner.result(total)
    net = NetworkBuilder.opset()
    outer = net.input("x", (1, 3, 2))
    if kind == "TensorIterator":
        rows = [PortMap(0, x.id, axis=1, start=0, end=-1, stride=1, part_size=1)]
        joined = PortMap(1, result.id, axis=1, start=0, end=-1, stride=1, part_size=1)
        body = Body(inner.graph(), rows, [joined])
        net.result(net.layer(kind, "out", [outer], [(1, 3, 2)], bodies={"body": body}))
        return Network(net.graph())
    again = inner.result(inner.constant("again", np.array([True])))
    rows = [PortMap(2, x.id, axis=1, start=0, end=-1, stride=1, part_size=1)]
    joined = PortMap(3, result.id, axis=1, start=0, end=-1, stride=1, part_size=1)
    body = Body(inner.graph(), rows, [joined, PortMap(-1, again.id, purpose="execution_condition")])
    inputs = [net.constant("trips", np.array(3)), net.constant("go", np.array(True)), outer]
    net.result(net.layer(kind, "out", inputs, [(1, 3, 2)], version="opset5", bodies={"body": body}))
    return Network(net.graph())


@pytest.mark.parametrize("kind", ["TensorIterator", "Loop"])
@pytest.mark.parametrize("computed", [False, True])
def test_states_in_the_body_of_a_loop(kind, computed, device):
    net = loaded(steps(kind, computed), device)
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 3, 2)
    sums = np.concatenate([x, x], 1).cumsum(1) - (x[:, :1] if computed else 0)
    for half in (sums[:, :3], sums[:, 3:]):
        np.testing.assert_allclose(net.infer({"x": x})["out"], half, rtol=1e-6)
    (state,) = net.requests[0].query_state()
    np.testing.assert_allclose(state.state.buffer, sums[:, -1:], rtol=1e-6)
    state.reset()
    np.testing.assert_allclose(net.infer({"x": x})["out"], sums[:, :3], rtol=1e-6)


def test_a_state_in_a_loop_and_around_it_is_stored_once():
    network = steps("TensorIterator", False)
    graph = network.graph
    x = next(n for n in graph.nodes if n.type == "Parameter")
    sink = Node(90, "again", "Assign", version="opset6", params={"variable_id": "total"}, inputs=[Port(0, (1, 3, 2))])
    sink.sources = [(x, 0)]
    graph.nodes.insert(1, sink)
    with pytest.raises(ModelError, match="'total' is stored twice"):
        network.lower()
