# SPDX-License-Identifier: Apache-2.0
"""LSTM, GRU and RNN as sequence layers: time in the second axis, gates in the order of the operation sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.recurrent_steps import stepwise
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_LSTM_GATES = (2, 0, 3, 1)  # ONNX has i o f c, the layer f i c o
_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def _reordered(op: Op, weights: Tensor, order: Sequence[int]) -> Tensor:
    gates = op.split(weights, 1, len(order))
    return op.concat([gates[i] for i in order], 1)


class _Cell:
    """Inputs of one operator in the shapes of the sequence layers."""

    def __init__(self, op: Op):
        self.op = op
        self.kind = op.proto.op_type
        self.direction = op.str("direction", "forward").lower()
        if self.direction not in _DIRECTIONS:
            raise op.fail(f"direction is {self.direction!r}, expected forward, reverse or bidirectional")
        self.batch_first = bool(op.int("layout", 0))
        x = op.input(0)
        self.x = x if self.batch_first else op.transpose(x, (1, 0, 2))
        self.w, self.r = op.input(1), op.input(2)
        self.gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[self.kind]
        if op.has("hidden_size"):
            self.size = op.int("hidden_size")
        elif self.r.value is not None:
            self.size = self.r.value.shape[-1]
        else:
            raise op.fail("attribute 'hidden_size' is missing")
        self.activations = self._activations()
        #: whether a sequence layer computes it
        self.usual = bool(self.activations) and not op.has_input(7) and not op.int("input_forget", 0)

    def _activations(self) -> list[str]:
        """Functions of one direction; none where the directions differ or no sequence layer has them."""
        default = list(_ACTIVATIONS[self.kind])
        count = _DIRECTIONS[self.direction]
        given = self.op.strs("activations", default * count)
        each = len(default)
        lists = [[n.lower() for n in given[i * each : (i + 1) * each]] for i in range(count)]
        if len(given) != each * count:
            raise self.op.fail(f"activations are {given}, expected {each * count} names")
        if any(one != lists[0] for one in lists) or any(n not in ("sigmoid", "tanh", "relu") for n in lists[0]):
            return []
        return lists[0]

    def state(self, index: int) -> Tensor:
        """Initial state [N, directions, size], zeros unless given."""
        op = self.op
        if op.has_input(index):
            return op.input(index) if self.batch_first else op.transpose(op.input(index), (1, 0, 2))
        shape = op.concat([op.size(self.x, 0), op.constant([_DIRECTIONS[self.direction], self.size])], 0)
        return op.broadcast(op.constant(0, self.x.precision), shape)

    def lengths(self) -> Tensor:
        op = self.op
        if op.has_input(4):
            return op.convert(op.input(4), "I32")
        return op.convert(op.broadcast(op.size(self.x, 1), op.size(self.x, 0)), "I32")

    def bias(self, order: Sequence[int]) -> Tensor:
        """Input and recurrent biases added up, gates as in the layer; ``linear_before_reset`` keeps those of the last gate apart."""
        op = self.op
        if not op.has_input(3):
            count = self.gates + int(self.kind == "GRU" and op.int("linear_before_reset", 0) != 0)
            return op.constant([[0.0] * count * self.size] * _DIRECTIONS[self.direction], self.w.precision)
        own, recurrent = op.split(op.input(3), 1, 2)
        if self.kind == "GRU" and op.int("linear_before_reset", 0):
            first, second = (op.split(b, 1, 3) for b in (own, recurrent))
            return op.concat([op.add(first[0], second[0]), op.add(first[1], second[1]), first[2], second[2]], 1)
        total = op.add(own, recurrent)
        return total if len(order) == 1 else _reordered(op, total, order)

    def run(self, layer: str, states: Sequence[int], order: Sequence[int]) -> list[Tensor]:
        """The operator's outputs; ``states`` are the inputs that hold initial states."""
        op = self.op
        if not self.usual:
            return stepwise(op, self.size, self.direction, self.batch_first)
        w, r = (t if len(order) == 1 else _reordered(op, t, order) for t in (self.w, self.r))
        params: dict[str, Any] = {"hidden_size": self.size, "direction": self.direction, "activations": self.activations}
        if op.has("clip"):
            params["clip"] = op.float("clip")
        if self.kind == "GRU":
            params["linear_before_reset"] = bool(op.int("linear_before_reset", 0))
        inputs = [self.x, *(self.state(i) for i in states), self.lengths(), w, r, self.bias(order)]
        y, *last = op.make_many(layer, *inputs, outputs=1 + len(states), **params)
        if self.batch_first:  # [N, directions, T, S] -> [N, T, directions, S]
            return [op.transpose(y, (0, 2, 1, 3)), *last]
        return [op.transpose(y, (2, 1, 0, 3)), *(op.transpose(t, (1, 0, 2)) for t in last)]


@onnx_op("LSTM")
def lstm(op: Op) -> list[Tensor]:
    return _Cell(op).run("LSTMSequence", (5, 6), _LSTM_GATES)


@onnx_op("GRU")
def gru(op: Op) -> list[Tensor]:
    return _Cell(op).run("GRUSequence", (5,), (0, 1, 2))


@onnx_op("RNN")
def rnn(op: Op) -> list[Tensor]:
    return _Cell(op).run("RNNSequence", (5,), (0,))
