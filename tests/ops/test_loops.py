# SPDX-License-Identifier: Apache-2.0
"""Loop and TensorIterator: slices, carried values, directions, constants, faults."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import BackEdge, Body, Port, PortMap
from ie_ctypes.model.network import Network
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType


def accumulate(part):
    """Body: (slice [2, part], state [2, part]) -> slice + state."""
    body = Program("body")
    body.tensors = [Tensor(n, TensorType("float32", (2, part))) for n in ("slice", "state", "sum")]
    body.nodes = [ProgramNode("Binary", "sum", "sum", "Add", (0, 1), (2,), {"op": "add"})]
    body.inputs, body.input_names = [0, 1], ["slice", "state"]
    body.outputs, body.output_names = [2], ["sum"]
    return body


def attributes(part, trips, start, stride):
    return {
        "body": accumulate(part),
        "trip_count": trips,
        "input_kind": (1, 2),
        "input_axis": (1, -1),
        "input_start": (start, 0),
        "input_stride": (stride, 1),
        "input_part": (part, 1),
        "carried_from": (-1, 0),
        "output_from": (0, 0),
        "output_axis": (1, -1),
        "output_start": (start, 0),
        "output_stride": (stride, 1),
        "output_part": (part, 1),
    }


@pytest.mark.parametrize(("part", "trips", "start", "stride"), [(1, 6, 0, 1), (1, 6, 5, -1), (2, 3, 0, 2), (2, 3, 4, -2), (1, 3, 0, 2)])
def test_running_sum_over_slices(part, trips, start, stride):
    x, state = random(2, 6), random(2, part, seed=1)
    attrs = attributes(part, trips, start, stride)
    types = KINDS["Loop"].infer(attrs, [TensorType("float32", a.shape) for a in (x, state)])
    pieces, last = KINDS["Loop"].reference(attrs, [x, state])
    assert [t.shape for t in types] == [pieces.shape, last.shape]
    total, want = state.copy(), np.zeros(pieces.shape, np.float32)
    for i in range(trips):
        at = slice(start + i * stride, start + i * stride + part)
        total = total + x[:, at]
        want[:, at] = total
    np.testing.assert_allclose(pieces, want, rtol=1e-6)
    np.testing.assert_allclose(last, total, rtol=1e-6)


def test_slices_outside_the_input_are_refused():
    types = [TensorType("float32", (2, 6)), TensorType("float32", (2, 2))]
    with pytest.raises(ValueError, match="4 slices of 2 from 0 by 2 leave axis 1 of size 6"):
        KINDS["Loop"].infer(attributes(2, 4, 0, 2), types)
    with pytest.raises(ValueError, match=r"input 1 is float32 \[2, 1\] for each step, the body expects float32 \[2, 2\]"):
        KINDS["Loop"].infer(attributes(2, 3, 0, 2), [types[0], TensorType("float32", (2, 1))])


def legacy_scan(reverse=False, weights=None):
    """state = state * w + x[:, t]; outputs every state and the last."""
    inner = NetworkBuilder.legacy("body")
    squeeze = inner.layer("Reshape", "row", [Port(0, (2, 1, 3), "FP32")], [(2, 3)], params={"dim": "2,3"})
    scaled = inner.layer("Eltwise", "scaled", [Port(0, (2, 3), "FP32"), Port(1, (1, 3), "FP32")], [(2, 3)], params={"operation": "mul"})
    total = inner.layer("Eltwise", "sum", [scaled, squeeze], [(2, 3)], params={"operation": "sum"})
    back = inner.layer("Reshape", "column", [total], [(2, 1, 3)], params={"dim": "2,1,3"})
    span = {"axis": 1, "start": -1, "end": 0, "stride": -1} if reverse else {"axis": 1}
    body = Body(
        inner.graph(),
        [PortMap(0, squeeze.id, 0, **span), PortMap(1, scaled.id, 0), PortMap(2, scaled.id, 1)],
        [PortMap(3, back.id, back.outputs[0].id, **span), PortMap(4, total.id, total.outputs[0].id)],
        [BackEdge(total.id, scaled.id, total.outputs[0].id, 0)],
    )
    outer = NetworkBuilder.legacy()
    x, state = outer.input("x", (2, 5, 3)), outer.input("state", (2, 3))
    w = outer.input("w", (1, 3)) if weights is None else outer.constant("w", weights)
    outer.layer("TensorIterator", "scan", [x, state, w], [(2, 5, 3), (2, 3)], bodies={"body": body})
    return Network(outer.graph())


def run(network, feeds):
    program = network.lower()
    results = evaluate(program, [feeds[n] for n in program.input_names])
    return program, dict(zip(program.output_names, results, strict=True))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_legacy_scan(reverse, constant):
    x, state, w = random(2, 5, 3), random(2, 3, seed=1), random(1, 3, seed=2)
    program, got = run(legacy_scan(reverse, w if constant else None), {"x": x, "state": state, "w": w})
    want, total = np.zeros_like(x), state
    for t in reversed(range(5)) if reverse else range(5):
        total = total * w + x[:, t]
        want[:, t] = total
    np.testing.assert_allclose(got["scan.0"], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["scan.1"], total, rtol=1e-5, atol=1e-6)
    (loop,) = [n for n in program.nodes if n.kind == "Loop"]
    assert len(loop.inputs) == (2 if constant else 3)


def test_trip_count_and_batch_follow_a_reshape():
    network = legacy_scan()
    network.reshape({"x": (4, 2, 3), "state": (4, 3)})
    assert network.outputs["scan.0"].shape == (4, 2, 3)
    x, state, w = random(4, 2, 3), random(4, 3, seed=1), random(1, 3, seed=2)
    _, got = run(network, {"x": x, "state": state, "w": w})
    np.testing.assert_allclose(got["scan.1"], (state * w + x[:, 0]) * w + x[:, 1], rtol=1e-5, atol=1e-6)


def test_opset_body_of_parameters_and_results():
    inner = NetworkBuilder.opset("body")
    piece, state = inner.input("piece", (2, 1)), inner.input("state", (2, 1))
    total = inner.layer("Add", "sum", [piece, state], [(2, 1)])
    result = inner.result(total)
    body = Body(
        inner.graph(),
        [PortMap(0, piece.id, axis=1), PortMap(1, state.id)],
        [PortMap(2, result.id), PortMap(3, result.id, axis=1)],
        [BackEdge(result.id, state.id)],
    )
    outer = NetworkBuilder.opset()
    x, first = outer.input("x", (2, 4)), outer.input("first", (2, 1))
    loop = outer.layer("TensorIterator", "scan", [x, first], [(2, 1), (2, 4)], bodies={"body": body})
    outer.result((loop, 0))
    outer.result((loop, 1))
    x, first = random(2, 4), random(2, 1, seed=1)
    _, got = run(Network(outer.graph()), {"x": x, "first": first})
    want = first + np.cumsum(x, 1)
    np.testing.assert_allclose(got["scan.1"], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["scan.0"], want[:, -1:], rtol=1e-5, atol=1e-6)


def test_inputs_of_different_length_are_refused():
    inner = NetworkBuilder.opset("body")
    a, b = inner.input("a", (2, 1)), inner.input("b", (2, 1))
    result = inner.result(inner.layer("Add", "sum", [a, b], [(2, 1)]))
    body = Body(inner.graph(), [PortMap(0, a.id, axis=1), PortMap(1, b.id, axis=1)], [PortMap(2, result.id, axis=1)])
    outer = NetworkBuilder.opset()
    loop = outer.layer("TensorIterator", "scan", [outer.input("x", (2, 4)), outer.input("y", (2, 3))], [(2, 4)], bodies={"body": body})
    outer.result(loop)
    with pytest.raises(ModelError, match=r"layer scan of type TensorIterator: .* different numbers of iterations: \[3, 4\]"):
        Network(outer.graph()).lower()


@pytest.mark.parametrize("path", corpus.cases("legacy/TensorIterator", "opset/TensorIterator"))
def test_corpus(path):
    corpus.check(path)
