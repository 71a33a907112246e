# SPDX-License-Identifier: Apache-2.0
"""If and Loop of the operation sets. What they decide must follow from constants and shapes, or leave every shape as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model import lowering
from ie_ctypes.model.graph import Body
from ie_ctypes.model.ops.loops import results
from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

#: Iterations of a Loop that are written out one after the other.
MAX_TRIPS = 1000


def _run(layer: Layer, body: Body, given: Mapping[int, Value]) -> dict[int, Value]:
    """The layers of a body among the steps of its surroundings: Parameter id -> value in, Result id -> value out."""
    inner = lowering.Lowering(body.graph)
    inner.steps = layer.lowering.steps
    first = len(inner.steps)
    by_id = {n.id: n for n in body.graph.nodes}
    inner.run({(id(by_id[number]), 0): value for number, value in given.items()})
    for step in inner.steps[first:]:
        step.layer, step.layer_type = layer.name, layer.type
    rows = [(n.id, None) for n in body.graph.nodes if n.type == "Result"]
    found = results(body, body.graph, rows)
    return {number: inner.values[id(node), index] for (number, _), (node, index) in zip(rows, found, strict=True)}


def _truth(layer: Layer, value: Value) -> Value:
    """A condition as a bool without axes."""
    if value.type.size != 1:
        raise layer.fail(f"the condition has {value.type.size} elements, expected 1")
    return layer.reshape(layer.convert(value, "bool"), ())


@opset("If")
def if_layer(layer: Layer) -> None:
    """A constant condition leaves one branch; otherwise both are computed, of equal types and shapes, and one result is taken."""
    cond = _truth(layer, layer.input(0))
    ports = {p.id: i for i, p in enumerate(layer.node.inputs)}
    out_ports = {p.id: i for i, p in enumerate(layer.node.outputs)}
    chosen = ("then", "else") if not cond.is_const else ("then",) if bool(cond.data) else ("else",)
    found: list[dict[int, Value]] = []
    for key in chosen:
        body = layer.node.bodies.get(key)
        if body is None:
            raise layer.fail(f"the {key} branch is missing")
        inner = _run(layer, body, {row.internal_layer_id: layer.input(ports[row.external_port_id]) for row in body.inputs})
        found.append({out_ports[row.external_port_id]: inner[row.internal_layer_id] for row in body.outputs})
    for index in range(len(layer.node.outputs)):
        values = [values[index] for values in found if index in values]
        if len(values) != len(found):
            raise layer.fail(f"a branch has no output {index}")
        if len(values) == 2 and values[0].type != values[1].type:
            one, two = (f"{v.dtype} {list(v.shape)}" for v in values)
            raise layer.fail(f"output {index} is {one} or {two}, by a condition that is only known while running")
        layer.set_output(index, values[0] if len(values) == 1 else layer.emit("Select", [cond, *values]))


def _trip_count(layer: Layer) -> int | None:
    """The most iterations there can be; None when only the condition ends the loop."""
    value = layer.input(0)
    if not value.is_const:
        raise layer.fail("the number of iterations is only known while running")
    count = layer.const_ints(0)
    if len(count) != 1:
        raise layer.fail(f"the trip count has {len(count)} elements, expected 1")
    return None if count[0] < 0 or count[0] >= 2**62 else count[0]


@opset("Loop")
def loop_layer(layer: Layer) -> None:
    """Iterations one after the other, each with its own number as a constant.

    A condition that only running decides is allowed where nothing is joined: later iterations then keep the values of the last true one.
    """
    body = layer.node.bodies.get("body")
    if body is None:
        raise layer.fail("the body is missing")
    trips = _trip_count(layer)
    going = _truth(layer, layer.input(1))
    by_id = {n.id: n for n in body.graph.nodes}
    ports = {p.id: i for i, p in enumerate(layer.node.inputs)}
    state: dict[int, Value] = {}
    counters: list[int] = []
    for row in body.inputs:
        if row.external_port_id >= 0:
            state[row.internal_layer_id] = layer.input(ports[row.external_port_id])
        if row.purpose == "current_iteration":
            counters.append(row.internal_layer_id)
    sliced = {row.internal_layer_id: row for row in body.inputs if row.axis is not None}
    condition = next((row.internal_layer_id for row in body.outputs if row.purpose == "execution_condition"), None)
    joined: dict[int, list[Value]] = {row.internal_layer_id: [] for row in body.outputs if row.axis is not None}
    last: dict[int, Value] = {}
    start = {edge.from_layer: state[edge.to_layer] for edge in body.back_edges if edge.to_layer in state}
    step = 0
    while (trips is None or step < trips) and not (going.is_const and not bool(going.data)):
        if step >= MAX_TRIPS:
            raise layer.fail(f"the loop has more than {MAX_TRIPS} iterations")
        if not going.is_const and (trips is None or joined):
            raise layer.fail("the number of iterations is only known while running")
        given = dict(state)
        for number in counters:
            port = by_id[number].outputs[0]
            dtype = lowering.compute_dtype(port.precision)
            given[number] = layer.value(np.full(port.shape, step, dtype), f"iteration{step}")
        for number, row in sliced.items():
            given[number] = _slice(layer, state[number], row.axis or 0, row.start + step * row.stride, row.part_size)
        results_now = _run(layer, body, given)
        for number, parts in joined.items():
            parts.append(results_now[number])
        before = last or start
        last = {number: _kept(layer, going, value, before.get(number)) for number, value in results_now.items()}
        for edge in body.back_edges:
            state[edge.to_layer] = last[edge.from_layer]
        if condition is not None:
            again = _truth(layer, results_now[condition])
            going = again if going.is_const else layer.emit("Binary", [going, again], op="logical_and")
        step += 1
    _set_outputs(layer, body, last or start, joined, step)


def _kept(layer: Layer, going: Value, new: Value, old: Value | None) -> Value:
    """``new`` while the loop runs, else what was there."""
    if going.is_const or old is None:
        return new
    if new.type != old.type:
        raise layer.fail(f"a carried value turns from {old.dtype} {list(old.shape)} into {new.dtype} {list(new.shape)}")
    return layer.emit("Select", [going, new, old])


def _slice(layer: Layer, x: Value, axis: int, begin: int, length: int) -> Value:
    axis = layer.axis(axis, len(x.shape))
    begins, lengths = [0] * len(x.shape), list(x.shape)
    begins[axis], lengths[axis] = begin % max(x.shape[axis], 1), length
    return layer.emit("Slice", [x], begins=tuple(begins), strides=(1,) * len(begins), lengths=tuple(lengths))


def _set_outputs(layer: Layer, body: Body, last: Mapping[int, Value], joined: Mapping[int, list[Value]], steps: int) -> None:
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
            raise layer.fail(f"output {index} has no value after {steps} iterations")
        layer.set_output(index, value)
