# SPDX-License-Identifier: Apache-2.0
"""Kind Recurrent, and the RNN, GRU and LSTM cells and sequences of both dialects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, integer, number, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import Shape, TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
DEFAULT_ACTIVATIONS = {"rnn": "tanh", "gru": "sigmoid,tanh", "lstm": "sigmoid,tanh,tanh"}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
}

_LEGACY_NAMES = ("activation_alpha", "activation_beta")

_Step = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _activations(attrs: Attrs) -> list[Callable[[np.ndarray], np.ndarray]]:
    names = text(attrs, "activations").split(",")
    wanted = len(DEFAULT_ACTIVATIONS[text(attrs, "cell")].split(","))
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation {name!r} is not supported, expected one of {', '.join(ACTIVATIONS)}")
    if len(names) != wanted:
        raise ValueError(f"there are {len(names)} activations, expected {wanted}")
    return [ACTIVATIONS[name] for name in names]


def _recurrent_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    cell = text(attrs, "cell", tuple(GATES))
    directions = DIRECTIONS[text(attrs, "direction", tuple(DIRECTIONS))]
    _activations(attrs)
    x, hidden = tensor(types, 0), tensor(types, 1)
    if len(x.shape) != 3 or len(hidden.shape) != 3:
        raise ValueError(f"data has shape {list(x.shape)}, state {list(hidden.shape)}, expected [N, T, D] and [N, directions, S]")
    (batch, steps, width), size = x.shape, hidden.shape[2]
    rows = GATES[cell] * size
    bias_rows = 4 * size if cell == "gru" and integer(attrs, "linear_before_reset") else rows
    state = (batch, directions, size)
    expected: dict[str, tuple[int, Shape]] = {
        "state": (1, state),
        "w": (4, (directions, rows, width)),
        "r": (5, (directions, rows, size)),
        "b": (6, (directions, bias_rows)),
    }
    if cell == "lstm":
        expected["cell state"] = (2, state)
    if len(types) > 3 and types[3] is not None:
        expected["lengths"] = (3, (batch,))
    for name, (index, shape) in expected.items():
        if tensor(types, index).shape != shape:
            raise ValueError(f"{name} has shape {list(tensor(types, index).shape)}, expected {list(shape)}")
    out = [TensorType("float32", (batch, directions, steps, size)), TensorType("float32", state)]
    return [*out, TensorType("float32", state)] if cell == "lstm" else out


def _step(attrs: Attrs, r: np.ndarray, b: np.ndarray) -> _Step:
    """One time step: (W x, h, c) -> (h, c). Formulas: IR 5.1."""
    cell, limit = text(attrs, "cell"), number(attrs, "clip")
    size = r.shape[1]
    acts = _activations(attrs)

    def clip(v: np.ndarray) -> np.ndarray:
        return v.clip(-limit, limit) if limit > 0 else v

    def rnn(wx: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return acts[0](clip(wx + h @ r.T + b)), c

    def gru(wx: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        zr = acts[0](clip(wx[:, : 2 * size] + h @ r[: 2 * size].T + b[: 2 * size]))
        z, reset = zr[:, :size], zr[:, size:]
        bias = b[2 * size : 3 * size]
        after, before = r[2 * size :], integer(attrs, "linear_before_reset")
        fed_back = reset * (h @ after.T + b[3 * size :]) if before else (reset * h) @ after.T
        n = acts[1](clip(wx[:, 2 * size :] + fed_back + bias))
        return (1 - z) * n + z * h, c

    def lstm(wx: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        f, i, candidate, o = np.split(clip(wx + h @ r.T + b), 4, axis=1)
        c = acts[0](f) * c + acts[0](i) * acts[1](candidate)
        return acts[0](o) * acts[2](c), c

    return {"rnn": rnn, "gru": gru, "lstm": lstm}[cell]


@kind("Recurrent", _recurrent_type)
def recurrent(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """A cell over time. Past a row's length the output is 0 and its state stays; reverse starts at the last valid step."""
    x, h0, (w, r, b) = array(arrays, 0), array(arrays, 1), (array(arrays, i) for i in (4, 5, 6))
    lstm, direction = text(attrs, "cell") == "lstm", text(attrs, "direction")
    batch, steps, _ = x.shape
    directions, size = h0.shape[1:]
    lengths = np.full(batch, steps) if arrays[3] is None else array(arrays, 3).clip(0, steps)
    y = np.zeros((batch, directions, steps, size), np.float32)
    last_h, last_c = h0.astype(np.float32), (array(arrays, 2) if lstm else h0).astype(np.float32)
    rows = np.arange(batch)
    for d in range(directions):
        step = _step(attrs, r[d], b[d])
        wx = x @ w[d].T
        h, c = last_h[:, d], last_c[:, d]
        for t in range(steps):
            valid = (t < lengths)[:, None]
            at = lengths - 1 - t if direction == "reverse" or d == 1 else np.full(batch, t)
            at = at.clip(0)
            next_h, next_c = step(wx[rows, at], h, c)
            h, c = np.where(valid, next_h, h), np.where(valid, next_c, c)
            y[rows, d, at] = np.where(valid, next_h, y[rows, d, at])
        last_h[:, d], last_c[:, d] = h, c
    return [y, last_h, last_c] if lstm else [y, last_h]


def _emit(
    layer: Layer,
    cell: str,
    inputs: tuple[Value, Value, Value | None, Value | None, Value, Value, Value],
    direction: str = "forward",
    names: tuple[str, str] = ("activations_alpha", "activations_beta"),
) -> list[Value]:
    clip = layer.float("clip", 0.0)
    activations = ",".join(t.strip().lower() for t in layer.str("activations", "").split(",") if t.strip())
    return layer.emit_many(
        "Recurrent",
        inputs,
        cell=cell,
        direction=direction,
        clip=0.0 if clip == float("inf") else clip,
        activations=activations or DEFAULT_ACTIVATIONS[cell],
        activations_alpha=layer.floats(names[0], ()),
        activations_beta=layer.floats(names[1], ()),
        linear_before_reset=int(cell == "gru" and layer.bool("linear_before_reset", False)),
    )


def _legacy_weights(layer: Layer, cell: str, directions: int, width: int, size: int) -> tuple[Value, Value, Value]:
    """W, R and B out of the blob [directions, G * S, D + S] and its biases."""
    rows = GATES[cell] * size
    wr = layer.blob("weights", (directions, rows, width + size))
    if wr is None:
        raise layer.fail("blob 'weights' is missing")
    bias_rows = 4 * size if cell == "gru" and layer.bool("linear_before_reset", False) else rows
    b = layer.blob("biases", (directions, bias_rows)) or layer.value(np.zeros((directions, bias_rows), np.float32), "biases")
    w, r = layer.emit_many("Split", [wr], axis=2, lengths=(width, size))
    return w, r, b


def _cell_name(layer: Layer) -> str:
    return next(c for c in GATES if layer.type.lower().startswith(c))


def _legacy_state(layer: Layer, index: int, shape: tuple[int, int, int], present: bool) -> Value:
    if not present:
        return layer.value(np.zeros(shape, np.float32), f"state{index}")
    return layer.emit("Reshape", [layer.input(index)], shape=shape)


@legacy("RNNCell", "GRUCell", "LSTMCell")
def legacy_cell(layer: Layer) -> None:
    """x [N, D], h [N, S] (, c) -> h (, c). Gate order as in the kind."""
    cell, x, size = _cell_name(layer), layer.input(0), layer.int("hidden_size")
    if len(x.shape) != 2:
        raise layer.fail(f"data has shape {list(x.shape)}, expected [N, D]")
    n, width = x.shape
    state = (n, 1, size)
    c = _legacy_state(layer, 2, state, True) if cell == "lstm" else None
    w, r, b = _legacy_weights(layer, cell, 1, width, size)
    data = layer.emit("Reshape", [x], shape=(n, 1, width))
    inputs = (data, _legacy_state(layer, 1, state, True), c, None, w, r, b)
    _, *states = _emit(layer, cell, inputs, names=_LEGACY_NAMES)
    for i, value in enumerate(states[: len(layer.node.outputs)]):
        layer.set_output(i, layer.emit("Reshape", [value], shape=(n, size)))


@legacy("RNNSequence", "GRUSequence", "LSTMSequence")
def legacy_sequence(layer: Layer) -> None:
    """x [N, T, D] (or [T, N, D] with ``axis`` 0); states may be absent (zeros); y has the directions side by side."""
    cell, x, size = _cell_name(layer), layer.input(0), layer.int("hidden_size")
    direction = {"backward": "reverse"}.get(layer.str("direction", "Forward").lower(), layer.str("direction", "Forward").lower())
    if direction not in DIRECTIONS:
        raise layer.fail(f"attribute 'direction' is {layer.str('direction')!r}, expected Forward, Backward or Bidirectional")
    directions = DIRECTIONS[direction]
    axis = layer.int("axis", 1)
    if len(x.shape) != 3 or axis not in (0, 1):
        raise layer.fail(f"data has shape {list(x.shape)} and time axis {axis}, expected three axes and time axis 0 or 1")
    if axis == 0:
        x = layer.emit("Transpose", [x], order=(1, 0, 2))
    n, _, width = x.shape
    state = (n, directions, size)
    states = 2 if cell == "lstm" else 1
    h, c = (_legacy_state(layer, i, state, layer.has_input(i)) if i <= states else None for i in (1, 2))
    lengths = layer.convert(layer.input(1 + states), "int32") if layer.has_input(1 + states) else None
    w, r, b = _legacy_weights(layer, cell, directions, width, size)
    assert h is not None
    y, *last = _emit(layer, cell, (x, h, c, lengths, w, r, b), direction, _LEGACY_NAMES)
    y = layer.emit("Transpose", [y], order=(2, 0, 1, 3) if axis == 0 else (0, 2, 1, 3))
    layer.set_output(0, layer.emit("Reshape", [y], shape=(*y.shape[:2], directions * size)))
    for i, value in enumerate(last[: len(layer.node.outputs) - 1], 1):
        flat = len(layer.node.outputs[i].shape) == 2
        layer.set_output(i, layer.emit("Reshape", [value], shape=(n, directions * size) if flat else state))


def _bias(layer: Layer, index: int, rows: int, directions: int) -> Value:
    if layer.has_input(index):
        return layer.emit("Reshape", [layer.input(index)], shape=(directions, rows))
    return layer.value(np.zeros((directions, rows), np.float32), "bias")


def _bias_rows(layer: Layer, cell: str, size: int) -> int:
    return 4 * size if cell == "gru" and layer.bool("linear_before_reset", False) else GATES[cell] * size


@opset("RNNCell", "GRUCell", "LSTMCell")
def opset_cell(layer: Layer) -> None:
    """Inputs x, h (, c), W [G * S, D], R [G * S, S], B?."""
    cell, x, size = _cell_name(layer), layer.input(0), layer.int("hidden_size")
    if len(x.shape) != 2:
        raise layer.fail(f"data has shape {list(x.shape)}, expected [N, D]")
    n, width = x.shape
    rows, first = GATES[cell] * size, 3 if cell == "lstm" else 2
    data = layer.emit("Reshape", [x], shape=(n, 1, width))
    states = [layer.emit("Reshape", [layer.input(i)], shape=(n, 1, size)) for i in range(1, first)]
    w = layer.emit("Reshape", [layer.input(first)], shape=(1, rows, width))
    r = layer.emit("Reshape", [layer.input(first + 1)], shape=(1, rows, size))
    b = _bias(layer, first + 2, _bias_rows(layer, cell, size), 1)
    _, *last = _emit(layer, cell, (data, states[0], states[1] if cell == "lstm" else None, None, w, r, b))
    for i, value in enumerate(last):
        layer.set_output(i, layer.emit("Reshape", [value], shape=(n, size)))


@opset("RNNSequence", "GRUSequence", "LSTMSequence")
def opset_sequence(layer: Layer) -> None:
    """Inputs x, h (, c), lengths, W, R, B; outputs y [N, directions, T, S], states."""
    cell, x, size = _cell_name(layer), layer.input(0), layer.int("hidden_size")
    direction = layer.str("direction").lower()
    if direction not in DIRECTIONS:
        raise layer.fail(f"attribute 'direction' is {direction!r}, expected forward, reverse or bidirectional")
    first = 3 if cell == "lstm" else 2
    lengths = layer.input(first)
    if lengths.is_const and len(x.shape) == 3 and bool((lengths.data >= x.shape[1]).all()):
        lengths_or_none = None
    else:
        lengths_or_none = layer.convert(lengths, "int32")
    b = _bias(layer, first + 3, _bias_rows(layer, cell, size), DIRECTIONS[direction])
    c = layer.input(2) if cell == "lstm" else None
    inputs = (x, layer.input(1), c, lengths_or_none, layer.input(first + 1), layer.input(first + 2), b)
    for i, value in enumerate(_emit(layer, cell, inputs, direction)):
        layer.set_output(i, value)
