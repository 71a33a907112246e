# SPDX-License-Identifier: Apache-2.0
"""ReadValue and Assign, Memory: values that a request keeps from one inference to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model import lowering
from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.program import TensorType
from ie_ctypes.record import Record

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


class LoopValue(Record, eq=False):
    """What a loop carries for a state in its body: the value around it, inside, and what the body hands on (None: nothing)."""

    around: Value
    inside: Value
    next: Value | None
    state: lowering.StateValues | None  # whose next value is the last one that the body hands on


def loop_values(layer: Layer, tools: Layer) -> list[LoopValue]:
    """The states in a body: each iteration reads what the one before it stored, and the last one is kept. ``tools`` adds to the body."""
    found = []
    for name, inner in tools.lowering.states.items():
        if inner.entry is None:
            raise layer.fail(f"state {name!r} is stored in a body and not read there")
        outer = layer.lowering.states.setdefault(name, lowering.StateValues())
        if outer.entry is None:
            outer.entry, outer.initial = lowering.Value(inner.entry.type, f"{layer.name}/{name}/state"), inner.initial
        if outer.entry.type != inner.entry.type:
            raise layer.fail(f"state {name!r} is {inner.entry.type} in the body, {outer.entry.type} elsewhere")
        if inner.next is not None and outer.next is not None:
            raise layer.fail(f"state {name!r} is stored twice")
        found.append(LoopValue(around=outer.entry, inside=inner.entry, next=inner.next, state=outer if inner.next is not None else None))
        if inner.fresh is not None:
            outer.fresh = outer.fresh or lowering.Value(TensorType("bool", ()), f"{layer.name}/{name}/fresh")
            later = tools.copy(tools.value(np.array(False), "stored")) if inner.next is not None else None
            found.append(LoopValue(around=outer.fresh, inside=inner.fresh, next=later, state=None))
    return found


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
