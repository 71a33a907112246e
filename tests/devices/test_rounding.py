# SPDX-License-Identifier: Apache-2.0
"""Programs rewritten for another arithmetic: where it rounds, and that CPU and numpy agree on it."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.devices.rounding import Fixed, Half, emulated
from ie_ctypes.model.evaluate import evaluate
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType

KIND = TensorType("float32", (2, 3))


def program(*nodes: tuple[str, str, tuple[int, ...], dict[str, object]], constant: np.ndarray | None = None) -> Program:
    """Tensor 0 is the input x, 1 a constant; node i makes tensor i + 2. Nodes are given by kind, layer, inputs and attributes."""
    made = Program("net")
    constant = np.full((2, 3), 1 / 3, np.float32) if constant is None else constant
    made.tensors = [Tensor("x", KIND), Tensor("c", TensorType("float32", constant.shape), constant)]
    for i, (kind, layer, inputs, attrs) in enumerate(nodes):
        made.tensors.append(Tensor(f"t{i}", KIND))
        made.nodes.append(ProgramNode(kind, f"{layer}/{i}", layer, "T", inputs, (i + 2,), attrs))  # type: ignore[arg-type]
    made.inputs, made.input_names, made.outputs, made.output_names = [0], ["x"], [len(nodes) + 1], ["y"]
    return made


def half(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16).astype(np.float32)


X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
C = half(np.full((2, 3), 1 / 3, np.float32))


def run(made: Program, x: np.ndarray = X) -> np.ndarray:
    """By numpy, which CPU must equal."""
    (want,) = evaluate(made, [x])
    got = np.empty_like(want)
    CpuDevice().compile(made, {}).create_request().infer([x], [got])
    np.testing.assert_array_equal(got, want)
    return want


def test_half_rounds_inputs_constants_and_the_end_of_each_layer() -> None:
    made = program(("Binary", "a", (0, 1), {"op": "mul"}), ("Binary", "b", (2, 1), {"op": "add"}))
    np.testing.assert_array_equal(run(emulated(made, Half())), half(half(half(X) * C) + C))


def test_inside_a_layer_nothing_is_rounded() -> None:
    made = program(("Binary", "a", (0, 1), {"op": "mul"}), ("Binary", "a", (2, 1), {"op": "add"}))
    np.testing.assert_array_equal(run(emulated(made, Half())), half(half(X) * C + C))


ROUND = ("Unary", "Convert", "Convert")  # to the range, to halves, and back


def test_moves_of_rounded_values_are_left_alone() -> None:
    made = program(("Unary", "a", (0,), {"op": "exp"}), ("Reshape", "b", (2,), {"shape": (2, 3)}), ("Unary", "c", (3,), {"op": "neg"}))
    kinds = [node.kind for node in emulated(made, Half()).nodes]
    assert kinds == [*ROUND, "Unary", *ROUND, "Reshape", "Unary", *ROUND]
    moved = program(("Unary", "a", (0,), {"op": "exp"}), ("Reshape", "a", (2,), {"shape": (2, 3)}))
    np.testing.assert_array_equal(run(emulated(moved, Half())), half(np.exp(half(X))))


def test_halves_stop_at_the_greatest() -> None:
    made = program(("Binary", "a", (0, 1), {"op": "mul"}), constant=np.full((2, 3), 1e30, np.float32))
    for x, want in ((2, 65504), (1, 65504), (-1e9, -65504), (0.5, 32752)):
        np.testing.assert_array_equal(run(emulated(made, Half()), np.full((2, 3), x, np.float32)), np.full((2, 3), want, np.float32))


def test_the_program_itself_is_not_changed() -> None:
    made = program(("Binary", "a", (0, 1), {"op": "mul"}))
    emulated(made, Half())
    assert len(made.nodes) == 1
    assert made.tensors[1].data is not None
    assert made.tensors[1].data[0, 0] == np.float32(1 / 3)


def test_bodies_round_at_the_end_of_their_layers() -> None:
    body = program(("Binary", "p", (0, 1), {"op": "mul"}), ("Binary", "q", (2, 1), {"op": "add"}))
    made = program(("Unary", "a", (0,), {"op": "relu"}))
    made.tensors += [Tensor("cond", TensorType("bool", ())), Tensor("out", KIND)]
    made.inputs, made.input_names, made.outputs = [0, 3], ["x", "cond"], [4]
    attrs = {"then_body": body, "else_body": body, "then_inputs": (1,), "else_inputs": (1,)}
    made.nodes.append(ProgramNode("If", "if", "if", "If", (3, 2), (4,), attrs))
    (got,) = evaluate(emulated(made, Half()), [X, np.array(True)])
    x = np.maximum(half(X), 0)
    np.testing.assert_array_equal(got, half(half(x * C) + C))


def test_fixed_has_as_many_steps_as_its_bits_allow() -> None:
    made = program(("Unary", "a", (0,), {"op": "relu"}))
    got = run(emulated(made, Fixed(bits=8, weight_bits=8)))
    step = np.abs(X).max() / np.float32(127)
    np.testing.assert_allclose(got, np.maximum(np.rint(X / step) * step, 0), atol=step * 1e-3)
    assert np.abs(got - np.maximum(X, 0)).max() > step / 10
    fine = run(emulated(made, Fixed()))
    np.testing.assert_allclose(fine, np.maximum(X, 0), atol=float(np.abs(X).max()) / 32767)


@pytest.mark.parametrize("key", ["x", "0", ""])
def test_a_scale_that_is_given_counts_for_the_input(key: str) -> None:
    made = program(("Unary", "a", (0,), {"op": "neg"}))
    big = np.array([[0.3, 100.7, 1e6], [-0.6, -70.2, -1e6]], np.float32)
    got = run(emulated(made, Fixed(bits=16, scales={key: 1.0})), big)
    want = -np.clip(np.rint(big), -32768, 32767)
    np.testing.assert_allclose(got, want, atol=1.01)  # and the result of the layer once more, in steps of its greatest


def test_zeros_stay_zeros() -> None:
    made = program(("Binary", "a", (0, 1), {"op": "mul"}), constant=np.zeros((2, 3), np.float32))
    assert not run(emulated(made, Fixed())).any()


def test_weights_of_eight_bits_have_a_scale_a_channel() -> None:
    weights = np.array([[100, 50.3, 1], [0.01, 0.005, 0.0001]], np.float32)
    stored = Fixed(weight_bits=8).constant(weights)
    assert (np.abs(stored - weights) <= np.array([[100], [0.01]]) / 254 * 1.001).all()
    assert stored[1, 1] != 0
    assert Fixed(weight_bits=16).constant(weights)[1, 0] != 0
