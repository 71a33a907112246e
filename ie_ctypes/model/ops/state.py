# SPDX-License-Identifier: Apache-2.0
"""ReadValue and Assign, Memory: values that a request keeps from one inference to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model import lowering
from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _state(layer: Layer, name: str) -> lowering.StateValues:
    if not layer.lowering.keeps_states:
        raise layer.fail("a state inside a body is not supported")
    return layer.lowering.states.setdefault(name, lowering.StateValues())


def _read(layer: Layer, name: str, type: TensorType, initial: np.ndarray) -> lowering.StateValues:
    state = _state(layer, name)
    if state.entry is not None:
        raise layer.fail(f"state {name!r} is read twice")
    state.entry, state.initial = lowering.Value(type, f"{layer.name}/state"), initial
    return state


def _store(layer: Layer, name: str, value: Value) -> None:
    state = _state(layer, name)
    if state.next is not None:
        raise layer.fail(f"state {name!r} is stored twice")
    state.next = value


@opset("ReadValue")
def read_value(layer: Layer) -> None:
    """What was stored at the end of the last inference; before that the input, which may be computed, or 0 without one."""
    name = layer.str("variable_id")
    if not layer.has_input(0):
        type = layer.file_type(0)
        layer.set_output(0, _entry(_read(layer, name, type, np.zeros(type.shape, type.dtype))))
        return
    first = layer.input(0)
    if first.is_const:
        layer.set_output(0, _entry(_read(layer, name, first.type, first.data)))
        return
    state = _read(layer, name, first.type, np.zeros(first.shape, first.dtype))
    state.fresh = lowering.Value(TensorType("bool", ()), f"{layer.name}/fresh")
    layer.set_output(0, layer.emit("Select", [state.fresh, first, _entry(state)]))


def _entry(state: lowering.StateValues) -> Value:
    assert state.entry is not None
    return state.entry


@opset("Assign")
def assign(layer: Layer) -> None:
    """Stores its input for the next inference and hands it on."""
    _store(layer, layer.str("variable_id"), layer.input(0))
    if layer.node.outputs:
        layer.set_output(0, layer.input(0))


@legacy("Memory")
def memory(layer: Layer) -> None:
    """With an input it stores, without one it reads; the two of an ``id`` are one state, which starts at 0."""
    name = layer.str("id")
    if layer.inputs:
        _store(layer, name, layer.input(0))
        for i in range(len(layer.node.outputs)):
            layer.set_output(i, layer.input(0))
        return
    type = layer.file_type(0)
    layer.set_output(0, _entry(_read(layer, name, type, np.zeros(type.shape, type.dtype))))
