# SPDX-License-Identifier: Apache-2.0
"""Cutting programs into parts: every order is right, no part is needless, the parts compute what the whole computes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ie_ctypes.devices.partition import cut, device_of_nodes, rounds
from ie_ctypes.model.evaluate import evaluate
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType


def random_program(rng: np.random.Generator, size: int) -> Program:
    """A DAG of sums of one or two earlier values; whatever nobody reads is an output."""
    program = Program("random")
    kind = TensorType("float32", (2, 3))
    program.tensors = [Tensor("a", kind), Tensor("b", kind), Tensor("c", kind, rng.normal(size=(2, 3)).astype(np.float32))]
    program.inputs, program.input_names = [0, 1], ["a", "b"]
    for i in range(size):
        sources = tuple(int(t) for t in rng.integers(0, len(program.tensors), 2))
        program.tensors.append(Tensor(f"t{i}", kind))
        program.nodes.append(ProgramNode("Binary", f"n{i}", f"n{i}", "Eltwise", sources, (len(program.tensors) - 1,), {"op": "add"}))
    read = {t for n in program.nodes for t in n.inputs}
    program.outputs = [t for t in range(3, len(program.tensors)) if t not in read or rng.random() < 0.2]
    program.output_names = [program.tensors[t].name for t in program.outputs]
    return program


def fewest_groups(program: Program, devices: dict[int, str]) -> int:
    """By trying every sequence of devices, shortest first."""
    makers = {t: i for i, n in enumerate(program.nodes) for t in n.outputs}
    names = sorted(set(devices.values()))
    for length in itertools.count(1):
        for order in itertools.product(names, repeat=length):
            done: set[int] = set()
            for device in order:
                for i, node in enumerate(program.nodes):
                    if i not in done and devices[i] == device and all(makers[t] in done for t in node.inputs if t in makers):
                        done.add(i)
            if len(done) == len(program.nodes):
                return length
    raise AssertionError


@pytest.mark.parametrize("seed", range(60))
def test_two_devices_get_the_fewest_parts_possible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = random_program(rng, 9)
    devices = {i: "AB"[int(rng.integers(0, 2))] for i in range(9)}
    assert len(rounds(program, devices)) == fewest_groups(program, devices)


@pytest.mark.parametrize("seed", range(40))
def test_parts_compute_what_the_whole_computes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = random_program(rng, 25)
    devices = {f"n{i}": "ABC"[int(rng.integers(0, 3))] for i in range(25)}
    parts = cut(program, devices, "A")
    feed = [rng.normal(size=(2, 3)).astype(np.float32) for _ in range(2)]
    values = dict(zip(program.inputs, feed, strict=True))
    for part in parts:
        assert {devices[program.nodes[i].layer] for i in part.nodes} == {part.device}
        results = evaluate(part.program, [values[t] for t in part.inputs])
        assert not set(part.outputs) & set(values)
        values |= dict(zip(part.outputs, results, strict=True))
    assert sorted(i for part in parts for i in part.nodes) == list(range(25))
    for got, want in zip((values[t] for t in program.outputs), evaluate(program, feed), strict=True):
        np.testing.assert_array_equal(got, want)
    for part in parts:  # nothing is handed over that nobody takes
        others = {t for p in parts if p is not part for t in p.inputs}
        assert set(part.outputs) <= others | set(program.outputs)


def test_what_prepares_an_input_is_computed_in_every_part_that_reads_it() -> None:
    kind = TensorType("float32", (4,))
    program = Program("two")
    program.tensors = [
        Tensor("x", TensorType("uint8", (4,))),
        Tensor("float", kind),
        Tensor("p", kind),
        Tensor("q", kind),
        Tensor("r", kind),
    ]
    program.inputs, program.input_names = [0], ["x"]
    program.nodes = [
        ProgramNode("Convert", "x", "x", "Input", (0,), (1,), {"dtype": "float32"}),
        ProgramNode("Unary", "p", "p", "ReLU", (1,), (2,), {"op": "relu"}),
        ProgramNode("Unary", "q", "q", "Abs", (1,), (3,), {"op": "abs"}),
        ProgramNode("Reshape", "out_x/copy", "x", "Input", (1,), (4,), {"shape": (4,)}),
    ]
    program.outputs, program.output_names = [2, 3, 4], ["p", "q", "x"]
    parts = cut(program, {"p": "A", "q": "B"}, "A")
    assert [(p.device, p.nodes, p.inputs, p.outputs) for p in parts] == [("A", (0, 1, 3), (0,), (2, 4)), ("B", (0, 2), (0,), (3,))]
    assert [p.program.input_names for p in parts] == [["x"], ["x"]]
    assert parts[0].program.output_names == ["p", "x"]


def test_a_node_named_after_an_input_follows_its_producer() -> None:
    kind = TensorType("float32", (4,))
    program = Program("state")
    program.tensors = [Tensor("x", kind), Tensor("y", kind), Tensor("z", kind)]
    program.inputs, program.input_names, program.outputs, program.output_names = [0], ["x"], [1, 2], ["y", "s/state"]
    program.nodes = [
        ProgramNode("Unary", "y", "y", "ReLU", (0,), (1,), {"op": "relu"}),
        ProgramNode("Reshape", "state_s/copy", "x", "Input", (1,), (2,), {"shape": (4,)}),
    ]
    assert device_of_nodes(program, {"y": "B"}, "A") == {0: "B", 1: "B"}
    assert len(cut(program, {"y": "B"}, "A")) == 1
