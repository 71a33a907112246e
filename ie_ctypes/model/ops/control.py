# SPDX-License-Identifier: Apache-2.0
"""If and Loop of the operation sets. What constants decide is decided here; the rest runs as kinds If and Loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.model import evaluate, lowering
from ie_ctypes.model.graph import Body
from ie_ctypes.model.ops.attrs import Attrs, array, integers, tensor
from ie_ctypes.model.ops.branches import emit_if
from ie_ctypes.model.ops.loops import results
from ie_ctypes.model.ops.registry import kind, opset
from ie_ctypes.model.ops.running_loop import emit_loop, initial_condition, trip_count, truth
from ie_ctypes.model.program import Program, TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

#: Iterations of a Loop that are written out one after the other.
MAX_TRIPS = 1000
_BRANCHES = ("then", "else")


def _branch(attrs: Attrs, key: str) -> tuple[Program, tuple[int, ...]]:
    return cast(Program, attrs[f"{key}_body"]), integers(attrs, f"{key}_inputs")


def infer_if(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    """The outputs of either branch, which have the same types."""
    cond = tensor(types, 0)
    if cond.dtype != "bool" or cond.size != 1:
        raise ValueError(f"the condition is {cond.dtype} {list(cond.shape)}, expected one truth value")
    found = []
    for key in _BRANCHES:
        body, places = _branch(attrs, key)
        given, wanted = [tensor(types, i) for i in places], [body.tensors[i].type for i in body.inputs]
        if given != wanted:
            raise ValueError(f"the {key} branch takes {wanted}, it is given {given}")
        found.append([body.tensors[i].type for i in body.outputs])
    for i, (one, two) in enumerate(zip(*found, strict=True)):
        if one != two:
            sides = f"{one.dtype} {list(one.shape)} or {two.dtype} {list(two.shape)}"
            raise ValueError(f"output {i} is {sides}, by a condition that is only known while running")
    return found[0]


@kind("If", infer_if)
def if_(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The outputs of the branch that the condition chooses; the other one is not computed."""
    body, places = _branch(attrs, _BRANCHES[0] if array(arrays, 0).any() else _BRANCHES[1])
    return evaluate.evaluate(body, [array(arrays, i) for i in places])


def _run(layer: Layer, body: Body, given: Mapping[int, Value]) -> dict[int, Value]:
    """The layers of a body among the steps of its surroundings: Parameter id -> value in, Result id -> value out."""
    inner = lowering.Lowering(body.graph, layer.lowering.keeps_states, layer.lowering.definitions)
    inner.steps, inner.states = layer.lowering.steps, layer.lowering.states
    first = len(inner.steps)
    by_id = {n.id: n for n in body.graph.nodes}
    inner.run({(id(by_id[number]), 0): value for number, value in given.items()})
    for step in inner.steps[first:]:
        step.layer, step.layer_type = layer.name, layer.type
    rows = [(n.id, None) for n in body.graph.nodes if n.type == "Result"]
    found = results(body, body.graph, rows)
    return {number: inner.values[id(node), index] for (number, _), (node, index) in zip(rows, found, strict=True)}


@opset("If")
def if_layer(layer: Layer) -> None:
    """A constant condition leaves the layers of one branch; otherwise both are bodies."""
    cond = truth(layer, layer.input(0))
    ports = {p.id: i for i, p in enumerate(layer.node.inputs)}
    out_ports = {p.id: i for i, p in enumerate(layer.node.outputs)}
    bodies: list[tuple[str, Body]] = []
    places: list[dict[int, int]] = []
    orders: list[list[int]] = []
    for key in _BRANCHES if not cond.is_const else [_BRANCHES[0] if bool(cond.data) else _BRANCHES[1]]:
        body = layer.node.bodies.get(key)
        if body is None:
            raise layer.fail(f"the {key} branch is missing")
        sources = {out_ports[row.external_port_id]: row.internal_layer_id for row in body.outputs}
        if len(sources) != len(layer.node.outputs):
            raise layer.fail(f"the {key} branch has outputs {sorted(sources)}, expected {len(layer.node.outputs)}")
        bodies.append((key, body))
        places.append({row.internal_layer_id: ports[row.external_port_id] for row in body.inputs})
        orders.append([sources[i] for i in range(len(sources))])
    if not cond.is_const:
        emit_if(layer, cond, bodies, places, orders)
        return
    inner = _run(layer, bodies[0][1], {number: layer.input(i) for number, i in places[0].items()})
    for index, number in enumerate(orders[0]):
        layer.set_output(index, inner[number])


@opset("Loop")
def loop_layer(layer: Layer) -> None:
    """Kind Loop where every iteration has the same shapes; otherwise the iterations are written out one after the other."""
    body = layer.node.bodies.get("body")
    if body is None:
        raise layer.fail("the body is missing")
    try:
        emit_loop(layer, body)
    except ModelError as one_for_all:
        trips = trip_count(layer)
        if trips is None or trips > MAX_TRIPS or not initial_condition(layer).is_const:
            raise
        try:
            _write_out(layer, body, trips)
        except ModelError as one_by_one:
            raise one_by_one from one_for_all


def _write_out(layer: Layer, body: Body, trips: int) -> None:
    """Iterations one after the other, each with its own number as a constant, while the condition follows from constants."""
    by_id = {n.id: n for n in body.graph.nodes}
    ports = {p.id: i for i, p in enumerate(layer.node.inputs)}
    state = {row.internal_layer_id: layer.input(ports[row.external_port_id]) for row in body.inputs if row.external_port_id >= 0}
    counters = [row.internal_layer_id for row in body.inputs if row.purpose == "current_iteration"]
    sliced = {row.internal_layer_id: row for row in body.inputs if row.axis is not None}
    condition = next((row.internal_layer_id for row in body.outputs if row.purpose == "execution_condition"), None)
    joined: dict[int, list[Value]] = {row.internal_layer_id: [] for row in body.outputs if row.axis is not None}
    last = {edge.from_layer: state[edge.to_layer] for edge in body.back_edges if edge.to_layer in state}
    going = bool(initial_condition(layer).data)
    for step in range(trips):
        if not going:
            break
        given = dict(state)
        for number in counters:
            port = by_id[number].outputs[0]
            dtype = lowering.compute_dtype(port.precision)
            given[number] = layer.value(np.full(port.shape, step, dtype), f"iteration{step}")
        for number, row in sliced.items():
            given[number] = _slice(layer, state[number], row.axis or 0, row.start + step * row.stride, row.part_size)
        last = _run(layer, body, given)
        for number, parts in joined.items():
            parts.append(last[number])
        for edge in body.back_edges:
            state[edge.to_layer] = last[edge.from_layer]
        if condition is not None:
            again = truth(layer, last[condition])
            if not again.is_const:
                raise layer.fail("the number of iterations is only known while running, and they differ in their shapes")
            going = bool(again.data)
    _set_outputs(layer, body, last, joined)


def _slice(layer: Layer, x: Value, axis: int, begin: int, length: int) -> Value:
    axis = layer.axis(axis, len(x.shape))
    begins, lengths = [0] * len(x.shape), list(x.shape)
    begins[axis], lengths[axis] = begin % max(x.shape[axis], 1), length
    return layer.emit("Slice", [x], begins=tuple(begins), strides=(1,) * len(begins), lengths=tuple(lengths))


def _set_outputs(layer: Layer, body: Body, last: Mapping[int, Value], joined: Mapping[int, list[Value]]) -> None:
    out_ports = {p.id: i for i, p in enumerate(layer.node.outputs)}
    for row in body.outputs:
        if row.external_port_id not in out_ports:
            continue
        index, number = out_ports[row.external_port_id], row.internal_layer_id
        if row.axis is not None:
            parts = joined[number]
            if not parts:
                raise layer.fail(f"output {index} joins the values of no iteration, its shape is unknown")
            value = layer.emit("Concat", parts if row.stride > 0 else parts[::-1], axis=layer.axis(row.axis, len(parts[0].shape)))
        elif number in last:
            value = last[number]
        else:
            raise layer.fail(f"output {index} has no value, no iteration runs")
        layer.set_output(index, value)
