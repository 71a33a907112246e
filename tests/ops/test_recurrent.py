# SPDX-License-Identifier: Apache-2.0
"""Recurrent cells against scalar formulas, sequences against cells, lengths, directions, and the layers of both dialects."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.ops.recurrent import DEFAULT_ACTIVATIONS, GATES

N, T, D, S = 2, 4, 3, 5


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def cell_step(cell, x, h, c, w, r, b, linear_before_reset=False, clip=0.0):
    """One row, one step, by the textbook formulas, number by number."""

    def cut(v):
        return max(-clip, min(clip, v)) if clip else v

    def dot(m, row, v):
        return sum(float(m[row, k]) * float(v[k]) for k in range(len(v)))

    def gate(g, i, state=h):
        return dot(w, g * S + i, x) + dot(r, g * S + i, state) + float(b[g * S + i])

    if cell == "rnn":
        return [math.tanh(cut(gate(0, i))) for i in range(S)], c
    if cell == "lstm":
        f, i_, g, o = ([(math.tanh if k == 2 else sigmoid)(cut(gate(k, i))) for i in range(S)] for k in range(4))
        c = [f[i] * float(c[i]) + i_[i] * g[i] for i in range(S)]
        return [o[i] * math.tanh(c[i]) for i in range(S)], c
    z, reset = ([sigmoid(cut(gate(k, i))) for i in range(S)] for k in range(2))
    out = []
    for i in range(S):
        if linear_before_reset:
            inner = dot(w, 2 * S + i, x) + float(b[2 * S + i]) + reset[i] * (dot(r, 2 * S + i, h) + float(b[3 * S + i]))
        else:
            inner = gate(2, i, [reset[k] * float(h[k]) for k in range(S)])
        out.append((1 - z[i]) * math.tanh(cut(inner)) + z[i] * float(h[i]))
    return out, c


def operands(cell, directions=1, bias_blocks=0):
    rows = GATES[cell] * S
    bias = (bias_blocks or GATES[cell]) * S
    shapes = [(N, T, D), (N, directions, S), (N, directions, S), (directions, rows, D), (directions, rows, S), (directions, bias)]
    return [random(*s, seed=i, low=-1, high=1) for i, s in enumerate(shapes)]


def run(cell, x, h, c, lengths, w, r, b, **changes):
    attrs = {
        "cell": cell,
        "direction": "forward",
        "clip": 0.0,
        "activations": DEFAULT_ACTIVATIONS[cell],
        "activations_alpha": (),
        "activations_beta": (),
        "linear_before_reset": 0,
    } | changes
    return run_kind("Recurrent", [x, h, c if cell == "lstm" else None, lengths, w, r, b], **attrs)


@pytest.mark.parametrize("clip", [0.0, 0.4])
@pytest.mark.parametrize(("cell", "linear"), [("rnn", 0), ("gru", 0), ("gru", 1), ("lstm", 0)])
def test_cells_follow_the_formulas(cell, linear, clip):
    x, h, c, w, r, b = operands(cell, bias_blocks=4 if linear else 0)
    y, *states = run(cell, x, h, c, None, w, r, b, linear_before_reset=linear, clip=clip)
    for n in range(N):
        hn, cn = h[n, 0], c[n, 0]
        for t in range(T):
            hn, cn = cell_step(cell, x[n, t], hn, cn, w[0], r[0], b[0], bool(linear), clip)
            np.testing.assert_allclose(y[n, 0, t], hn, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(states[0][n, 0], hn, rtol=1e-4, atol=1e-5)
        if cell == "lstm":
            np.testing.assert_allclose(states[1][n, 0], cn, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", list(GATES))
def test_reverse_is_forward_on_mirrored_time(cell):
    x, h, c, w, r, b = operands(cell)
    forward = run(cell, x[:, ::-1].copy(), h, c, None, w, r, b)
    back = run(cell, x, h, c, None, w, r, b, direction="reverse")
    np.testing.assert_allclose(back[0], forward[0][:, :, ::-1], rtol=1e-6)
    np.testing.assert_allclose(back[1], forward[1], rtol=1e-6)


@pytest.mark.parametrize("cell", list(GATES))
def test_bidirectional_is_both_directions_side_by_side(cell):
    x, h, c, w, r, b = operands(cell, directions=2)
    both = run(cell, x, h, c, None, w, r, b, direction="bidirectional")
    for d, direction in enumerate(("forward", "reverse")):
        one = run(cell, x, *(v[:, d : d + 1] for v in (h, c)), None, *(v[d : d + 1] for v in (w, r, b)), direction=direction)
        for got, want in zip(both, one, strict=True):
            np.testing.assert_allclose(got[:, d], want[:, 0], rtol=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_lengths_freeze_the_state_and_leave_zeros(direction):
    x, h, c, w, r, b = operands("lstm")
    lengths = np.array([2, 0], np.int32)
    y, hn, cn = run("lstm", x, h, c, lengths, w, r, b, direction=direction)
    short = run("lstm", x[:, :2].copy(), h, c, None, w, r, b, direction=direction)
    np.testing.assert_allclose(y[0, :, :2], short[0][0], rtol=1e-6)
    np.testing.assert_allclose(hn[0], short[1][0], rtol=1e-6)
    assert not y[0, :, 2:].any()
    assert not y[1].any()
    np.testing.assert_array_equal(hn[1], h[1])
    np.testing.assert_array_equal(cn[1], c[1])


@pytest.mark.parametrize("cell", list(GATES))
def test_legacy_and_opset_layers_agree(cell):
    x, h, c, w, r, b = operands(cell)
    states = [v[:, 0] for v in ((h, c) if cell == "lstm" else (h,))]
    name = f"{cell.upper()}Cell"
    blobs = {"weights": np.concatenate([w[0], r[0]], 1), "biases": b[0]}
    old = run_layer(name, [x[:, 0], *states], {"hidden_size": S}, blobs=blobs, outputs=len(states))
    count = len(states) + 1
    weights = range(count, count + 3)
    inputs = [x[:, 0], *states, w[0], r[0], b[0]]
    new = run_layer(name, inputs, {"hidden_size": S}, version="opset4", constants=weights, outputs=len(states))
    kind = run(cell, x[:, :1].copy(), h, c, None, w, r, b)
    for got, other, want in zip(old, new, kind[1:], strict=True):
        np.testing.assert_allclose(got, want[:, 0], rtol=1e-6)
        np.testing.assert_allclose(other, want[:, 0], rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_legacy_sequence_puts_directions_on_the_last_axis(axis):
    x, h, _, w, r, b = operands("gru", directions=2)
    blobs = {"weights": np.concatenate([w, r], 2), "biases": b}
    data = x.transpose(1, 0, 2).copy() if axis == 0 else x
    params = {"hidden_size": S, "direction": "Bidirectional", "axis": axis}
    y, _ = run_layer("GRUSequence", [data, h.reshape(N, 2 * S)], params, blobs=blobs, outputs=2)
    want = run("gru", x, h, None, None, w, r, b, direction="bidirectional")
    merged = want[0].transpose(0, 2, 1, 3).reshape(N, T, 2 * S)
    np.testing.assert_allclose(y, merged.transpose(1, 0, 2) if axis == 0 else merged, rtol=1e-6)


def test_faults_are_named():
    x, h, _, w, r, b = operands("gru")
    with pytest.raises(ValueError, match="activation 'elu' is not supported"):
        run("gru", x, h, None, None, w, r, b, activations="sigmoid,elu")
    with pytest.raises(ValueError, match="there are 1 activations, expected 2"):
        run("gru", x, h, None, None, w, r, b, activations="sigmoid")
    with pytest.raises(ValueError, match=r"w has shape \[1, 15, 2\], expected \[1, 15, 3\]"):
        run("gru", x, h, None, None, w[:, :, :2], r, b)
    with pytest.raises(ModelError, match="blob 'weights' is missing"):
        run_one("RNNCell", [x[:, 0], h[:, 0]], {"hidden_size": S})
    with pytest.raises(ModelError, match="blob 'weights' has 3 elements"):
        run_one("RNNCell", [x[:, 0], h[:, 0]], {"hidden_size": S}, blobs={"weights": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match="'direction' is 'sideways'"):
        run_layer("GRUSequence", [x, h[:, 0]], {"hidden_size": S, "direction": "sideways"}, outputs=2)


TYPES = [f"{c}{k}" for c in ("RNN", "GRU", "LSTM") for k in ("Cell", "Sequence")]


@pytest.mark.parametrize("path", corpus.cases(*(f"legacy/{t}" for t in TYPES), *(f"opset/{t}" for t in TYPES)))
def test_corpus(path):
    corpus.check(path)
