# SPDX-License-Identifier: Apache-2.0
"""Kind Loop and the TensorIterator layer: a body program run once a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from ie_ctypes.model import evaluate, lowering
from ie_ctypes.model.graph import Body, Graph, Node, Port, PortMap
from ie_ctypes.model.ops.attrs import array, integer, integers, tensor
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.ops.state import loop_values
from ie_ctypes.model.program import Program, Shape, TensorType
from ie_ctypes.record import Record, replace

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

INVARIANT, SLICED, CARRIED = range(3)


def _program(attrs: Attrs) -> Program:
    return cast(Program, attrs["body"])


def _resized(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _loop_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    body, trips = _program(attrs), integer(attrs, "trip_count")
    if trips < 0:
        raise ValueError(f"trip_count is {trips}, expected >= 0")
    if len(types) != len(body.inputs):
        raise ValueError(f"the body has {len(body.inputs)} inputs, the node {len(types)}")
    rows = zip(*(integers(attrs, f"input_{n}") for n in ("kind", "axis", "start", "stride", "part")), strict=True)
    for i, (how, axis, start, stride, part) in enumerate(rows):
        given, inner = tensor(types, i), body.tensors[body.inputs[i]].type
        shape = given.shape
        if how == SLICED:
            if not 0 <= axis < len(shape):
                raise ValueError(f"input {i} is sliced along axis {axis}, it has {len(shape)} axes")
            last = start + max(trips - 1, 0) * stride
            if trips and (min(start, last) < 0 or max(start, last) + part > shape[axis]):
                raise ValueError(f"{trips} slices of {part} from {start} by {stride} leave axis {axis} of size {shape[axis]}")
            shape = _resized(shape, axis, part)
        if (given.dtype, shape) != (inner.dtype, inner.shape):
            raise ValueError(f"input {i} is {given.dtype} {list(shape)} for each step, the body expects {inner.dtype} {list(inner.shape)}")
    for i, source in enumerate(integers(attrs, "carried_from")):
        if source >= 0 and body.tensors[body.outputs[source]].type != body.tensors[body.inputs[i]].type:
            raise ValueError(f"body output {source} has another type than body input {i}, to which it is carried")
    for index, types_of, what in (
        (integer(attrs, "condition_input", -1), list(types), "input"),
        (integer(attrs, "condition_output", -1), [body.tensors[i].type for i in body.outputs], "body output"),
    ):
        if index >= 0 and (tensor(types_of, index).dtype != "bool" or tensor(types_of, index).size != 1):
            raise ValueError(f"{what} {index} is no condition: expected one truth value")
    out = []
    rows = zip(*(integers(attrs, f"output_{n}") for n in ("from", "axis", "start", "stride", "part")), strict=True)
    for source, axis, start, stride, part in rows:
        inner = body.tensors[body.outputs[source]].type
        if axis < 0:
            out.append(inner)
            continue
        if axis >= len(inner.shape) or inner.shape[axis] != part:
            raise ValueError(f"body output {source} of shape {list(inner.shape)} is not {part} long on axis {axis}")
        last = start + max(trips - 1, 0) * stride
        if min(start, last) < 0:
            raise ValueError(f"an output starts at {min(start, last)}")
        out.append(TensorType(inner.dtype, _resized(inner.shape, axis, max(start, last) + part if trips else 0)))
    return out


@kind("Loop", _loop_type)
def loop(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Body inputs are whole, sliced or carried from the previous step; outputs are the last values or pieced together.

    Conditions end the loop early: what no step has pieced is 0, a carried value that no step has computed is the initial one.
    """
    body, trips = _program(attrs), integer(attrs, "trip_count")
    values = [array(arrays, i) for i in range(len(body.inputs))]
    types = _loop_type(attrs, [TensorType(v.dtype.name, v.shape) for v in values])
    outputs = [np.zeros(t.shape, t.dtype) for t in types]
    kinds, axes, starts, strides, parts = (integers(attrs, f"input_{n}") for n in ("kind", "axis", "start", "stride", "part"))
    carried = integers(attrs, "carried_from")
    first, again = (integer(attrs, f"condition_{n}", -1) for n in ("input", "output"))
    going = first < 0 or bool(values[first].any())
    if not going or not trips:
        for i, (source, axis) in enumerate(zip(integers(attrs, "output_from"), integers(attrs, "output_axis"), strict=True)):
            if axis < 0 and source in carried:
                outputs[i] = values[carried.index(source)]
        return outputs
    for step in range(trips):
        fed = list(values)
        for i, how in enumerate(kinds):
            if how == SLICED:
                begin = starts[i] + step * strides[i]
                fed[i] = np.ascontiguousarray(values[i].take(np.arange(begin, begin + parts[i]), axes[i]))
        results = evaluate.evaluate(body, fed)
        going = again < 0 or bool(results[again].any())
        for i, source in enumerate(carried):
            if source >= 0:
                values[i] = results[source]
        rows = zip(*(integers(attrs, f"output_{n}") for n in ("from", "axis", "start", "stride", "part")), strict=True)
        for i, (source, axis, start, stride, part) in enumerate(rows):
            if axis < 0:
                outputs[i] = results[source]
            else:
                begin = start + step * stride
                outputs[i][(slice(None),) * axis + (slice(begin, begin + part),)] = results[source]
        if not going:
            break
    return outputs


class Slices(Record):
    """How one port is cut: axis -1 is not at all."""

    axis: int = -1
    start: int = 0
    stride: int = 1
    part: int = 1


def slices(row: PortMap, size: int) -> tuple[Slices, int]:
    """Slices of a port of that size along the axis, and how many there are. A negative stride begins at the end."""
    assert row.axis is not None
    start = row.start + size + 1 if row.start < 0 else row.start
    end = row.end + size + 1 if row.end < 0 else row.end
    first = start - row.part_size if row.stride < 0 else start
    return Slices(row.axis, first, row.stride, row.part_size), abs(end - start) // abs(row.stride)


def _open_ports(body: Body) -> tuple[Graph, list[tuple[Node, int]]]:
    """A legacy body with an Input layer put at each mapped port: the graph, and (layer, output) of each input row."""
    fresh = {id(n): replace(n, sources=list(n.sources)) for n in body.graph.nodes}
    nodes = list(fresh.values())
    for node in nodes:
        node.sources = [None if s is None else (fresh[id(s[0])], s[1]) for s in node.sources]
    by_id = {n.id: n for n in nodes}
    places: list[tuple[Node, int]] = []
    for row in body.inputs:
        target = by_id[row.internal_layer_id]
        index = next(i for i, p in enumerate(target.inputs) if p.id == row.internal_port_id)
        port = target.inputs[index]
        node = Node(-1 - len(places), f"{target.name}.in{index}", "Input", outputs=[Port(0, port.shape, port.precision)])
        target.sources[index] = (node, 0)
        places.append((node, 0))
    return replace(body.graph, nodes=[n for n, _ in places] + nodes), places


def results(body: Body, graph: Graph, rows: Sequence[tuple[int, int | None]]) -> list[tuple[Node, int]]:
    """The body values behind (layer id, port id) of outputs and back edges; a Result stands for its source."""
    by_id = {n.id: n for n in graph.nodes}
    found = []
    for layer_id, port_id in rows:
        node = by_id[layer_id]
        if node.type == "Result":
            source = node.sources[0]
            assert source is not None
            found.append(source)
        else:
            found.append((node, 0 if port_id is None else next(i for i, p in enumerate(node.outputs) if p.id == port_id)))
    return found


@legacy("TensorIterator")
@opset("TensorIterator")
def tensor_iterator(layer: Layer) -> None:
    """Inputs with an axis are sliced, targets of back edges are carried, the others stay; constants move into the body."""
    body = layer.node.bodies.get("body")
    if body is None:
        raise layer.fail("the body is missing")
    if layer.legacy:
        graph, places = _open_ports(body)
    else:
        graph, by_id = body.graph, {n.id: n for n in body.graph.nodes}
        places = [(by_id[row.internal_layer_id], 0) for row in body.inputs]
    ports = {p.id: i for i, p in enumerate(layer.node.inputs)}
    outer = [layer.input(ports[row.external_port_id]) for row in body.inputs]
    targets = {(e.to_layer, e.to_port): (e.from_layer, e.from_port) for e in body.back_edges}
    carried = [targets.get((row.internal_layer_id, row.internal_port_id)) for row in body.inputs]

    counts: set[int] = set()
    cuts = []
    for row, value in zip(body.inputs, outer, strict=True):
        cut = Slices()
        if row.axis is not None:
            layer.axis(row.axis, len(value.shape))
            if row.stride == 0 or row.part_size < 1:
                raise layer.fail(f"port map has stride {row.stride} and part size {row.part_size}")
            cut, count = slices(row, value.shape[row.axis])
            counts.add(count)
        cuts.append(cut)
    if len(counts) > 1:
        raise layer.fail(f"sliced inputs ask for different numbers of iterations: {sorted(counts)}")
    trips = counts.pop() if counts else 1

    given: dict[tuple[int, int], Value] = {}
    kept: list[int] = []
    for i, (row, value, cut) in enumerate(zip(body.inputs, outer, cuts, strict=True)):
        shape = value.shape if row.axis is None else _resized(value.shape, row.axis, cut.part)
        place = (id(places[i][0]), places[i][1])
        if value.is_const and row.axis is None and carried[i] is None:
            given[place] = value
            continue
        given[place] = lowering.Value(TensorType(value.dtype, shape), f"{layer.name}/in{i}")
        kept.append(i)

    inner = lowering.Lowering(graph, layer.lowering.keeps_states, layer.lowering.definitions)
    inner.run(given)
    states = loop_values(layer, lowering.Layer(inner, layer.node, [], label=f"{layer.name}/states"))
    wanted = [(row.internal_layer_id, row.internal_port_id) for row in body.outputs]
    wanted += [c for i in kept if (c := carried[i]) is not None]
    sources = results(body, graph, wanted)
    values = {key: inner.values[id(node), index] for key, (node, index) in zip(wanted, sources, strict=True)}
    keys = list(values)
    handed = [s.next for s in states if s.next is not None]
    following = iter(range(len(keys), len(keys) + len(handed)))
    state_from = [-1 if s.next is None else next(following) for s in states]
    stored = [(s.state, source) for s, source in zip(states, state_from, strict=True) if s.state is not None]
    program = inner.program(
        f"{layer.name}/body",
        [(f"in{i}", given[id(places[i][0]), places[i][1]]) for i in kept] + [(f"state{i}", s.inside) for i, s in enumerate(states)],
        [(f"out{i}", values[key]) for i, key in enumerate(keys)] + [(f"next{i}", v) for i, v in enumerate(handed)],
    )
    out_cuts = []
    for row in body.outputs:
        cut = Slices()
        if row.axis is not None:
            cut, _ = slices(row, abs(row.stride) * max(trips - 1, 0) + row.part_size)
        out_cuts.append(cut)
    outputs = layer.emit_many(
        "Loop",
        [outer[i] for i in kept] + [s.around for s in states],
        body=program,
        trip_count=trips,
        input_kind=(
            *(SLICED if cuts[i].axis >= 0 else CARRIED if carried[i] else INVARIANT for i in kept),
            *(INVARIANT if s.next is None else CARRIED for s in states),
        ),
        **columns("input", [cuts[i] for i in kept] + [Slices() for _ in states]),
        carried_from=(*(-1 if (c := carried[i]) is None else keys.index(c) for i in kept), *state_from),
        output_from=(
            *(keys.index((row.internal_layer_id, row.internal_port_id)) for row in body.outputs),
            *(source for _, source in stored),
        ),
        **columns("output", out_cuts + [Slices() for _ in stored]),
    )
    out_ports = {p.id: i for i, p in enumerate(layer.node.outputs)}
    for row, value in zip(body.outputs, outputs[: len(out_cuts)], strict=True):
        layer.set_output(out_ports[row.external_port_id], value)
    for (state, _), value in zip(stored, outputs[len(out_cuts) :], strict=True):
        state.next = value


def columns(side: str, cuts: Sequence[Slices]) -> dict[str, tuple[int, ...]]:
    return {
        f"{side}_axis": tuple(c.axis for c in cuts),
        f"{side}_start": tuple(c.start for c in cuts),
        f"{side}_stride": tuple(c.stride for c in cuts),
        f"{side}_part": tuple(c.part for c in cuts),
    }
