# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Recurrent."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, node

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
ACTIVATIONS = {"rnn": "tanh", "gru": "sigmoid,tanh", "lstm": "sigmoid,tanh,tanh"}


def run(
    cell: str,
    direction: str,
    n: int = 3,
    steps: int = 5,
    width: int = 7,
    size: int = 19,
    *,
    linear: int = 0,
    clip: float = 0.0,
    lengths: np.ndarray | None = None,
    activations: str = "",
    const: tuple[int, ...] = (4, 5, 6),
) -> None:
    rng = np.random.default_rng(n * steps + size)
    dirs = 2 if direction == "bidirectional" else 1
    rows, damp = GATES[cell] * size, np.float32(max(3, size**0.5))  # so that rounding errors die out over the steps
    inputs = [
        floats(rng, n, steps, width),
        floats(rng, n, dirs, size),
        floats(rng, n, dirs, size) if cell == "lstm" else None,
        lengths,
        floats(rng, dirs, rows, width) / damp,
        floats(rng, dirs, rows, size) / damp,
        floats(rng, dirs, 4 * size if linear else rows),
    ]
    node(
        "Recurrent",
        inputs,
        rtol=2e-5,
        atol=2e-5,
        const=const,
        cell=cell,
        direction=direction,
        clip=clip,
        activations=activations or ACTIVATIONS[cell],
        activations_alpha=(),
        activations_beta=(),
        linear_before_reset=linear,
    )


@pytest.mark.parametrize(("n", "steps"), [(1, 0), (0, 4), (0, 0), (1, 1)])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_nothing_to_do(isa: str, cell: str, n: int, steps: int) -> None:
    """No rows or no steps: the states go through."""
    run(cell, "bidirectional", n, steps)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("cell", "linear"), [("rnn", 0), ("gru", 0), ("gru", 1), ("lstm", 0)])
@pytest.mark.parametrize("n", [1, 3, 37])
def test_cells(isa: str, cell: str, linear: int, direction: str, n: int) -> None:
    run(cell, direction, n, linear=linear)


@pytest.mark.parametrize(("cell", "linear"), [("gru", 0), ("lstm", 0), ("gru", 1)])
def test_one_row_shares_its_units_among_threads(isa: str, cell: str, linear: int) -> None:
    run(cell, "forward", 1, 20, 64, 200, linear=linear)
    run(cell, "forward", 1, 4, 64, 200, linear=linear, const=())


@pytest.mark.parametrize(("cell", "linear"), [("rnn", 0), ("gru", 0), ("gru", 1), ("lstm", 0)])
def test_weights_may_be_computed(isa: str, cell: str, linear: int) -> None:
    run(cell, "bidirectional", linear=linear, const=(5,))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_lengths(isa: str, cell: str, direction: str, dtype: str) -> None:
    run(cell, direction, lengths=np.array([5, 0, 3], dtype))
    run(cell, direction, lengths=np.array([99, -4, 1], dtype))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_clip_and_other_activations(isa: str, cell: str) -> None:
    run(cell, "forward", clip=0.3)
    run(cell, "forward", activations={"rnn": "relu", "gru": "sigmoid,relu", "lstm": "sigmoid,relu,tanh"}[cell])
