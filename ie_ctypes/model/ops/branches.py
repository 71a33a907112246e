# SPDX-License-Identifier: Apache-2.0
"""An If layer whose condition is computed, as one node of kind If: two bodies, the sizes of their outputs, the states in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model import lowering
from ie_ctypes.model.graph import Body
from ie_ctypes.model.ops.loops import results
from ie_ctypes.model.program import Program, TensorType
from ie_ctypes.record import Record, field

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


class _Branch(Record, eq=False):
    """One body. ``kept``: (input of the node, value inside), ``outputs``: values inside."""

    key: str
    inner: lowering.Lowering
    tools: Layer
    kept: list[tuple[int, Value]] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


def _branch(layer: Layer, key: str, body: Body, places: Mapping[int, int], order: Sequence[int]) -> _Branch:
    """The layers of a body; constants from around it move inside."""
    inner = lowering.Lowering(body.graph, layer.lowering.keeps_states, layer.lowering.definitions)
    branch = _Branch(key=key, inner=inner, tools=lowering.Layer(inner, layer.node, [], label=f"{layer.name}/{key}"))
    given: dict[int, Value] = {}
    for number, index in places.items():
        outer = layer.input(index)
        if any(s.strict for s in outer.true_sizes):
            raise layer.fail(f"input {index} has a size that is only known while running")
        given[number] = outer if outer.is_const else lowering.Value(outer.type, f"{layer.name}/{key}/in{index}")
        if not outer.is_const:
            branch.kept.append((index, given[number]))
    by_id = {n.id: n for n in body.graph.nodes}
    inner.run({(id(by_id[number]), 0): value for number, value in given.items()})
    found = results(body, body.graph, [(number, None) for number in order])
    branch.outputs = [inner.values[id(node), port] for node, port in found]
    return branch


def _count(branch: _Branch, value: Value, axis: int) -> Value:
    """How many places of an axis are real: [1] int32."""
    known = next((s.count for s in value.true_sizes if s.axis == axis), None)
    if known is not None:
        return branch.tools.reshape(branch.tools.convert(known, "int32"), (1,))
    return branch.tools.copy(branch.tools.value(np.array([value.shape[axis]], np.int32), "size"))


def _as_list(branch: _Branch, value: Value, other: Value) -> Value:
    """A single number beside a list of numbers, which the other branch gives, is a list of one, as in the original."""
    return branch.tools.reshape(value, (1,)) if not value.shape and len(other.shape) == 1 else value


def _bounded(layer: Layer, branches: Sequence[_Branch]) -> list[tuple[int, int, bool]]:
    """Pad outputs to the larger size. (output, axis, whether the sizes differ) of each count that is a further output."""
    rows = []
    for i, given in enumerate(zip(*(b.outputs[:] for b in branches), strict=True)):
        pair = [_as_list(b, value, other) for b, value, other in zip(branches, given, given[::-1], strict=True)]
        one, two = pair
        for b, value in zip(branches, pair, strict=True):
            b.outputs[i] = value
        axes = {s.axis for v in pair for s in v.true_sizes}
        if one.type == two.type and not axes:
            continue
        if one.dtype != two.dtype or len(one.shape) != len(two.shape):
            sides = f"{one.dtype} {list(one.shape)} or {two.dtype} {list(two.shape)}"
            raise layer.fail(f"output {i} is {sides}, by a condition that is only known while running")
        bound = [max(sizes) for sizes in zip(one.shape, two.shape, strict=True)]
        axes |= {a for a in range(len(bound)) if one.shape[a] != two.shape[a]}
        for axis in sorted(axes):
            strict = one.shape[axis] != two.shape[axis] or any(s.strict for v in pair for s in v.true_sizes)
            rows.append((i, axis, strict))
        for b, value in zip(branches, pair, strict=True):
            ends = tuple(full - d for full, d in zip(bound, value.shape, strict=True))
            b.outputs += [_count(b, value, axis) for axis in sorted(axes)]
            value.true_sizes = ()  # the padding may be computed with here
            if any(ends):
                b.outputs[i] = b.tools.emit("Pad", [value], pads_begin=(0,) * len(ends), pads_end=ends, mode="constant", value=0.0)
    return rows


class _Joined(Record, eq=False):
    """A state that branches use: around them it is one, which every branch receives and hands on."""

    state: lowering.StateValues
    stored: bool = False


def _states(layer: Layer, branches: Sequence[_Branch], values: list[Value]) -> list[_Joined]:
    """Further inputs and, for what a branch stores, further outputs of the branches."""
    joined = []
    for name in dict.fromkeys(name for b in branches for name in b.inner.states):
        found = [b.inner.states.get(name, lowering.StateValues()) for b in branches]
        entries = [s.entry for s in found if s.entry is not None]
        outer = layer.lowering.states.setdefault(name, lowering.StateValues())
        if outer.entry is None and not entries:
            raise layer.fail(f"state {name!r} is stored in a branch, and read nowhere before")
        if outer.entry is None:
            _open(layer, name, outer, found, entries)
        entry = outer.entry
        assert entry is not None
        stored = any(s.next is not None for s in found)
        if stored and outer.next is not None:
            raise layer.fail(f"state {name!r} is stored twice")
        fresh = outer.fresh if any(s.fresh is not None for s in found) else None
        first = 1 + len(values)
        values += [entry] if fresh is None else [entry, fresh]
        for b, s in zip(branches, found, strict=True):
            own = s.entry or lowering.Value(entry.type, f"{layer.name}/{b.key}/{name}/state")
            if own.type != entry.type:
                raise layer.fail(f"state {name!r} is {own.type} in the {b.key} branch, {entry.type} elsewhere")
            b.kept.append((first, own))
            if s.fresh is not None:
                b.kept.append((first + 1, s.fresh))
            if stored:
                b.outputs.append(b.tools.copy(own) if s.next is None else s.next)
        joined.append(_Joined(state=outer, stored=stored))
    return joined


def _open(layer: Layer, name: str, outer: lowering.StateValues, found: Sequence[lowering.StateValues], entries: Sequence[Value]) -> None:
    """The state around the branches, from what they say of it."""
    initial = [s.initial for s in found if s.entry is not None and s.initial is not None]
    if any(s.fresh is not None for s in found) and any(s.next is None for s in found):
        raise layer.fail(f"state {name!r} begins with a computed value, and only one branch stores it")
    if any(not np.array_equal(a, initial[0]) for a in initial):
        raise layer.fail(f"state {name!r} begins with different values in the branches")
    outer.entry, outer.initial = lowering.Value(entries[0].type, f"{layer.name}/{name}/state"), initial[0]
    if any(s.fresh is not None for s in found):
        outer.fresh = lowering.Value(TensorType("bool", ()), f"{layer.name}/{name}/fresh")


def emit_if(
    layer: Layer, cond: Value, bodies: Sequence[tuple[str, Body]], places: Sequence[Mapping[int, int]], orders: Sequence[Sequence[int]]
) -> None:
    """Set the layer's outputs. ``places``: body input -> node input, ``orders``: the body outputs, of each body."""
    branches = [_branch(layer, key, body, p, o) for (key, body), p, o in zip(bodies, places, orders, strict=True)]
    values = [layer.input(i) for i in range(1, len(layer.inputs))]
    count = len(layer.node.outputs)
    rows = _bounded(layer, branches)
    joined = _states(layer, branches, values)
    attrs: dict[str, Program | tuple[int, ...]] = {}
    for b in branches:
        ins = [(f"in{index}", value) for index, value in b.kept]
        outs = [(f"out{i}", value) for i, value in enumerate(b.outputs)]
        attrs[f"{b.key}_body"] = b.inner.program(f"{layer.name}/{b.key}", ins, outs)
        attrs[f"{b.key}_inputs"] = tuple(index for index, _ in b.kept)
    found = layer.emit_many("If", [cond, *values], **attrs)
    for (i, axis, strict), size in zip(rows, found[count:], strict=False):
        layer.cut(found[i], axis, size, strict=strict)
    stored = (j.state for j in joined if j.stored)
    for state, value in zip(stored, found[count + len(rows) :], strict=True):
        state.next = value
    for index in range(count):
        layer.set_output(index, found[index])
