# SPDX-License-Identifier: Apache-2.0
"""The lowering engine: folding, dead code, names, attribute reading, constants."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Blob, Graph, Node
from ie_ctypes.model.lowering import Layer, Lowering, constant_array
from ie_ctypes.model.network import Network
from ie_ctypes.model.ops.registry import KINDS


def layer(**params):
    return Layer(Lowering(Graph(version=7, source="net.xml")), Node(0, "one", "Test", params=params), [])


def test_constant_expressions_are_folded_and_only_when_used(monkeypatch):
    b = NetworkBuilder.opset()
    x = b.input("x", (2,))
    c = b.constant("c", np.array([1, 2], np.float32))
    used = b.layer("Exp", "used", [c], [(2,)])
    b.layer("Log", "unused", [c], [(2,)])
    b.result(b.layer("Add", "sum", [x, used], [(2,)]))
    seen = []
    kind = KINDS["Unary"]
    watched = type(kind)(name=kind.name, infer=kind.infer, reference=lambda a, i: seen.append(a["op"]) or kind.reference(a, i))
    monkeypatch.setitem(KINDS, "Unary", watched)
    program = Network(b.graph()).lower()
    assert [n.kind for n in program.nodes] == ["Binary"]
    assert seen == ["exp"]
    constants = [t.data for t in program.tensors if t.data is not None]
    np.testing.assert_allclose(constants, [np.exp([1, 2])], rtol=1e-6)


def test_nodes_that_no_output_needs_are_left_out():
    b = NetworkBuilder.opset()
    x = b.input("x", (2,))
    b.layer("Exp", "dead", [x], [(2,)])
    b.result(b.layer("ReLU", "alive", [x], [(2,)]))
    assert [n.name for n in Network(b.graph()).lower().nodes] == ["alive"]


def test_node_names_are_unique_and_tell_their_layer():
    b = NetworkBuilder.legacy()
    x = b.input("x", (1, 3, 2, 2))
    blobs = {"weights": np.ones(3, np.float32), "biases": np.ones(3, np.float32)}
    b.layer("ScaleShift", "s", [x], [(1, 3, 2, 2)], blobs=blobs)
    program = Network(b.graph()).lower()
    names = [n.name for n in program.nodes]
    assert len(set(names)) == len(names) == 2
    assert {(n.layer, n.layer_type) for n in program.nodes} == {("s", "ScaleShift")}


def test_program_is_in_order_of_data_flow():
    b = NetworkBuilder.opset()
    x = b.input("x", (2,))
    nodes = [x]
    for i in range(20):
        nodes.append(b.layer("Add", f"n{i:02}", [nodes[-1], nodes[max(0, i - 3)]], [(2,)]))
    b.result(nodes[-1])
    program = Network(b.graph()).lower()
    known = set(program.inputs) | {i for i, t in enumerate(program.tensors) if t.data is not None}
    for node in program.nodes:
        assert set(node.inputs) <= known
        known |= set(node.outputs)


def test_weights_are_not_copied():
    weights = np.ones((4, 3, 1, 1), np.float32)
    b = NetworkBuilder.legacy()
    x = b.input("x", (1, 3, 2, 2))
    b.layer("Convolution", "c", [x], [(1, 4, 2, 2)], params={"kernel": "1,1", "output": 4}, blobs={"weights": weights})
    program = Network(b.graph()).lower()
    assert any(t.data is not None and np.shares_memory(t.data, weights) for t in program.tensors)


def test_unaligned_weights_are_copied_to_aligned_memory():
    raw = np.zeros(4 * 12 + 1, np.uint8)
    weights = raw[1:].view(np.float32)
    assert not weights.flags.aligned
    b = NetworkBuilder.legacy()
    x = b.input("x", (1, 3, 2, 2))
    b.layer("Convolution", "c", [x], [(1, 4, 2, 2)], params={"kernel": "1,1", "output": 4}, blobs={"weights": Blob("FP32", weights)})
    assert all(t.data.flags.aligned for t in Network(b.graph()).lower().tensors if t.data is not None)


def test_chains_of_many_layers_and_of_many_constants_lower():
    b = NetworkBuilder.opset()
    node, fixed = b.input("x", (2,)), b.constant("c", np.zeros(2, np.float32))
    for i in range(3000):
        node = b.layer("ReLU", f"n{i}", [node], [(2,)])
        fixed = b.layer("Exp", f"c{i}", [fixed], [(2,)])
    b.result(b.layer("Add", "sum", [node, fixed], [(2,)]))
    program = Network(b.graph()).lower()
    assert len(program.nodes) == 3001


@pytest.mark.parametrize(
    ("precision", "data", "expected"),
    [
        ("BIN", np.array([0b10010110, 0b1], np.uint8), [1, 0, 0, 1, 0, 1, 1, 0, 0]),
        ("U4", np.array([0x21, 0xF0], np.uint8), [1, 2, 0]),
        ("I4", np.array([0x8F, 0x07], np.uint8), [-1, -8, 7]),
        ("BF16", np.array([0x3F80, 0xC000], np.uint16), [1, -2]),
        ("FP16", np.array([0.5, -2], np.float16), [0.5, -2]),
        ("BOOL", np.array([0, 2, 1], np.uint8).view(np.bool_), [False, True, True]),
        ("U16", np.array([65535], np.uint16), [65535]),
    ],
)
def test_constants_of_every_packing_are_read(precision, data, expected):
    assert constant_array(Blob(precision, data), (len(expected),)).tolist() == expected


def test_attributes_are_read_as_files_write_them():
    one = layer(a=" 3 ", b="3.0", c="True", d="0", e="1, -2,3", f="1e-3,inf", g="")
    assert (one.int("a"), one.int("b"), one.bool("c"), one.bool("d")) == (3, 3, True, False)
    assert (one.ints("e"), one.floats("f"), one.ints("g")) == ((1, -2, 3), (1e-3, float("inf")), ())
    assert (one.int("z", 7), one.float("z", 0.5), one.str("z", "x"), one.bool("z", True)) == (7, 0.5, "x", True)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda one: one.int("z"), "attribute 'z' is missing"),
        (lambda one: one.int("a"), "attribute 'a' is '3.5', expected an integer"),
        (lambda one: one.float("b"), "attribute 'b' is 'x', expected a number"),
        (lambda one: one.bool("b"), "attribute 'b' is 'x', expected an integer"),
        (lambda one: one.int("c"), "attribute 'c' is 'inf'"),
        (lambda one: one.axis(4, 3), "axis is 4, expected -3..2 for rank 3"),
        (lambda one: one.input(0), "input 0 is missing, the layer has 0"),
    ],
)
def test_attribute_faults_name_file_layer_and_value(read, words):
    with pytest.raises(ModelError, match=f"net.xml: layer one of type Test: {words}"):
        read(layer(a="3.5", b="x", c="inf"))
