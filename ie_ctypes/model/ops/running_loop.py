# SPDX-License-Identifier: Apache-2.0
"""A Loop layer as one node of kind Loop: its body as a program that counts, compares and hands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model import lowering
from ie_ctypes.model.graph import Body, PortMap
from ie_ctypes.model.ops.loops import CARRIED, INVARIANT, SLICED, Slices, columns, results, slices
from ie_ctypes.model.ops.state import LoopValue, loop_values
from ie_ctypes.model.program import TensorType
from ie_ctypes.record import Record, field, replace

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

#: Stands for no limit; the C kernel counts no further.
UNLIMITED = 2**31 - 1


def truth(layer: Layer, value: Value) -> Value:
    """A condition as a bool without axes."""
    if value.type.size != 1:
        raise layer.fail(f"the condition has {value.type.size} elements, expected 1")
    return layer.reshape(layer.convert(value, "bool"), ())


def trip_count(layer: Layer) -> int | None:
    """The most iterations there can be, ``UNLIMITED`` when only the condition ends the loop; None when only running tells."""
    value = layer.input(0)
    if value.type.size != 1:
        raise layer.fail(f"the trip count has {value.type.size} elements, expected 1")
    if not value.is_const:
        return None
    count = layer.const_ints(0)[0]
    return UNLIMITED if count < 0 else min(count, UNLIMITED)


def initial_condition(layer: Layer) -> Value:
    """Whether the first iteration runs."""
    return truth(layer, layer.input(1))


class _Inputs(Record):
    """Inputs of the node and of its body, side by side."""

    outer: list[Value] = field(default_factory=list)
    inner: list[Value] = field(default_factory=list)
    cuts: list[Slices] = field(default_factory=list)
    next: list[Value | None] = field(default_factory=list)  # what the body hands on to the next iteration
    name: str = ""

    def add(self, outer: Value, cut: Slices | None = None) -> int:
        """The place of a new input; what one iteration sees of it is ``inner[place]``."""
        shape = list(outer.shape)
        if cut is not None:
            shape[cut.axis] = cut.part
        self.outer.append(outer)
        self.inner.append(lowering.Value(TensorType(outer.dtype, tuple(shape)), f"{self.name}/in{len(self.inner)}"))
        self.cuts.append(cut or Slices())
        self.next.append(None)
        return len(self.outer) - 1

    def join(self, outer: Value, inner: Value, following: Value | None) -> None:
        """A new input whose value inside there is already."""
        self.outer.append(outer)
        self.inner.append(inner)
        self.cuts.append(Slices())
        self.next.append(following)


def _cut(layer: Layer, row: PortMap, value: Value) -> tuple[Slices, int]:
    assert row.axis is not None
    axis = layer.axis(row.axis, len(value.shape))
    if row.stride == 0 or row.part_size < 1:
        raise layer.fail(f"port map has stride {row.stride} and part size {row.part_size}")
    return slices(replace(row, axis=axis), value.shape[axis])


def emit_loop(layer: Layer, body: Body) -> None:
    """Set the layer's outputs. ModelError where iterations do not have the same types, or a size depends on their number."""
    trips, going = trip_count(layer), initial_condition(layer)
    by_id = {n.id: n for n in body.graph.nodes}
    ports = {p.id: i for i, p in enumerate(layer.node.inputs)}
    targets = {edge.to_layer: edge.from_layer for edge in body.back_edges}
    made = _Inputs(name=layer.name)
    given: dict[int, Value] = {}
    places: dict[int, int] = {}  # Parameter id -> place
    limit = UNLIMITED if trips is None else trips
    for row in body.inputs:
        number = row.internal_layer_id
        if row.external_port_id < 0:
            continue
        value = layer.input(ports[row.external_port_id])
        if value.is_const and row.axis is None and number not in targets:
            given[number] = value
            continue
        cut = None
        if row.axis is not None:
            cut, count = _cut(layer, row, value)
            limit = min(limit, count)
        places[number] = made.add(value, cut)
        given[number] = made.inner[places[number]]

    inner = lowering.Lowering(body.graph, layer.lowering.keeps_states, layer.lowering.definitions)
    tools = lowering.Layer(inner, layer.node, [], label=f"{layer.name}/control")
    counter = made.add(layer.value(np.int64(0), "first"))
    for row in body.inputs:
        if row.external_port_id < 0 and row.purpose == "current_iteration":
            port = by_id[row.internal_layer_id].outputs[0]
            number_now = tools.convert(made.inner[counter], lowering.compute_dtype(port.precision))
            given[row.internal_layer_id] = tools.reshape(number_now, port.shape)
    inner.run({(id(by_id[number]), 0): value for number, value in given.items()})
    wanted = [row.internal_layer_id for row in body.outputs]
    wanted += [edge.from_layer for edge in body.back_edges]
    found = results(body, body.graph, [(number, None) for number in wanted])
    values = {number: inner.values[id(node), port] for number, (node, port) in zip(wanted, found, strict=True)}
    for number, place in places.items():
        if number in targets:
            made.next[place] = values[targets[number]]
    made.next[counter] = tools.emit("Binary", [made.inner[counter], tools.value(np.int64(1), "one")], op="add")

    states = loop_values(layer, tools)
    for kept in states:
        made.join(kept.around, kept.inside, kept.next)
    condition = next((row.internal_layer_id for row in body.outputs if row.purpose == "execution_condition"), None)
    again = None if condition is None else truth(tools, values[condition])
    if again is not None and again.is_const:
        limit, again = (limit, None) if bool(again.data) else (min(limit, 1), None)
    if trips is None:
        going, again = _counted(layer, tools, made, counter, going, again)
    if going.is_const and not bool(going.data):
        limit = 0
    if limit == UNLIMITED and again is None:
        raise layer.fail("the loop never ends: it has neither a trip count nor a condition that changes")
    _emit(layer, body, made, values, inner, limit, going, again, [kept for kept in states if kept.state is not None])


def _counted(layer: Layer, tools: Layer, made: _Inputs, counter: int, going: Value, again: Value | None) -> tuple[Value, Value]:
    """Conditions for the first and for another iteration where the trip count, negative for no limit, is computed."""
    count = layer.reshape(layer.convert(layer.input(0), "int64"), ())
    inside = made.inner[made.add(count)]
    following = made.next[counter]
    assert following is not None
    some = layer.emit("Binary", [count, layer.value(np.int64(0), "zero")], op="not_equal")
    below = tools.emit("Binary", [following, inside], op="less")
    endless = tools.emit("Binary", [inside, tools.value(np.int64(0), "zero")], op="less")
    more = tools.emit("Binary", [below, endless], op="logical_or")
    if again is not None:
        more = tools.emit("Binary", [more, again], op="logical_and")
    return layer.emit("Binary", [going, some], op="logical_and"), more


def _emit(
    layer: Layer,
    body: Body,
    made: _Inputs,
    values: dict[int, Value],
    inner: lowering.Lowering,
    limit: int,
    going: Value,
    again: Value | None,
    stored: Sequence[LoopValue],
) -> None:
    """The node, and from it the outputs of the layer."""
    out_ports = {p.id: i for i, p in enumerate(layer.node.outputs)}
    rows = [row for row in body.outputs if row.external_port_id in out_ports]
    first = -1 if going.is_const else made.add(going)
    body_outputs: list[Value] = []

    def place(value: Value) -> int:
        known = next((i for i, v in enumerate(body_outputs) if v is value), len(body_outputs))
        if known == len(body_outputs):
            body_outputs.append(value)
        return known

    sources = [place(values[row.internal_layer_id]) for row in rows]
    carried = [-1 if v is None else place(v) for v in made.next]
    condition = -1 if again is None else place(again)
    cuts = []
    for row in rows:
        cut = Slices()
        if row.axis is not None:
            row = replace(row, axis=layer.axis(row.axis, len(values[row.internal_layer_id].shape)))
            most = _joined(layer, row, out_ports[row.external_port_id], limit)
            cut, _ = slices(row, abs(row.stride) * max(most - 1, 0) + row.part_size)
            limit = min(limit, most)
        cuts.append(cut)
    for kept in stored:
        assert kept.next is not None
        sources.append(place(kept.next))
        cuts.append(Slices())
    program = inner.program(
        f"{layer.name}/body",
        [(f"in{i}", v) for i, v in enumerate(made.inner)],
        [(f"out{i}", v) for i, v in enumerate(body_outputs)],
    )
    kinds = tuple(SLICED if c.axis >= 0 else CARRIED if n is not None else INVARIANT for c, n in zip(made.cuts, made.next, strict=True))
    found = layer.emit_many(
        "Loop",
        made.outer,
        body=program,
        trip_count=limit,
        input_kind=kinds,
        **columns("input", made.cuts),
        carried_from=tuple(carried),
        output_from=tuple(sources),
        **columns("output", cuts),
        condition_input=first,
        condition_output=condition,
    )
    for row, value in zip(rows, found[: len(rows)], strict=True):
        layer.set_output(out_ports[row.external_port_id], value)
    for kept, value in zip(stored, found[len(rows) :], strict=True):
        assert kept.state is not None
        kept.state.next = value


def _joined(layer: Layer, row: PortMap, index: int, limit: int) -> int:
    """The most parts of a joined output: the limit, else what the file says of the output's size."""
    if limit < UNLIMITED:
        return limit
    assert row.axis is not None
    shape = layer.node.outputs[index].shape
    if row.axis >= len(shape) or shape[row.axis] < 0:
        raise layer.fail(f"output {index} joins the values of an unknown number of iterations")
    return shape[row.axis] // row.part_size
