# SPDX-License-Identifier: Apache-2.0
"""If, Loop and Scan: operators with bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, helper

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import BackEdge, Body, Node, PortMap
from ie_ctypes.model.lowering import Value
from ie_ctypes.model.program import Shape, TensorType
from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import Item, onnx_op
from ie_ctypes.model.readers.onnx.scope import Scope, Tensor


def _results(op: Op, scope: Scope, proto: GraphProto) -> list[Node]:
    """Results for the outputs of a body."""
    found = []
    for info in proto.output:
        item = scope.lookup(info.name)
        if not isinstance(item, Tensor):
            raise op.fail(f"output {info.name} of a body is not a tensor")
        found.append(scope.result(item, f"{info.name}/sink_port_0"))
    return found


def _captures(scope: Scope, inputs: list[Tensor]) -> list[PortMap]:
    """Rows for the tensors that a body takes from around it; they become further inputs of the layer, each once."""
    rows = []
    for outer, inner in scope.captured:
        index = next((i for i, t in enumerate(inputs) if t.node is outer.node and t.index == outer.index), len(inputs))
        if index == len(inputs):
            inputs.append(outer)
        rows.append(PortMap(index, inner.node.id))
    return rows


@onnx_op("If")
def if_(op: Op) -> list[Tensor]:
    """A condition that the file fixes picks its branch now; another one stays a layer with two bodies."""
    cond = op.input(0)
    known = op.known(cond)
    if known is not None:
        return _inlined(op, op.graph("then_branch" if known.any() else "else_branch"))
    inputs = [cond]
    bodies: dict[str, Body] = {}
    scopes: list[tuple[str, Scope, list[Node], list[PortMap]]] = []
    for key, name in (("then", "then_branch"), ("else", "else_branch")):
        proto = op.graph(name)
        try:
            scope, _ = op.scope.importer.body(op.scope, proto, [])
        except ModelError as e:
            raise op.fail(f"the condition is only known while running, and the {key} branch cannot be taken: {e}") from None
        scopes.append((key, scope, _results(op, scope, proto), _captures(scope, inputs)))
    count = len(op.proto.output)
    for key, scope, results, rows in scopes:
        if len(results) != count:
            raise op.fail(f"the {key} branch has {len(results)} outputs, expected {count}")
        outputs = [PortMap(len(inputs) + i, r.id) for i, r in enumerate(results)]
        scope.prune()
        bodies[key] = Body(scope.graph, rows, outputs)
    precisions = [r.inputs[0].precision for r in scopes[0][2]]
    return op.make_many("If", *inputs, outputs=count, bodies=bodies, precisions=precisions)


def _inlined(op: Op, proto: GraphProto) -> list[Tensor]:
    """The nodes of a branch among those around it."""
    scope, importer = op.scope, op.scope.importer
    saved = dict(scope.items)
    importer.fill(scope, proto)
    found = []
    for info in proto.output:
        item = scope.lookup(info.name)
        if not isinstance(item, Tensor):
            raise op.fail(f"output {info.name} of a branch is not a tensor")
        found.append(item)
    scope.items = saved
    return found


def _sliced(value: Value | None, axis: int) -> Value | None:
    """What lowering takes for one step of a sliced input."""
    if value is None:
        return None
    shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
    return Value(TensorType(value.dtype, shape), "step")


def _fresh(tensor: Tensor) -> tuple[str, Shape, Value | None, int]:
    """A body input of the type of a tensor, whose number is not known."""
    value = tensor.value
    fresh = None if value is None else Value(value.type, "carried")
    return tensor.precision, tensor.port.shape, fresh, tensor.element


@onnx_op("Loop")
def loop(op: Op) -> list[Tensor]:
    """Trip count and condition are the first inputs; ``true`` and the largest count stand for absent ones."""
    trips = op.convert(op.reshape(op.input(0), []), "I64") if op.has_input(0) else op.constant(-1)
    cond = op.reshape(op.input(1), []) if op.has_input(1) else op.constant(True, "BOOL")
    carried = [op.input(i) for i in range(2, len(op.items))]
    proto = op.graph("body")
    step = ("I64", (), Value(TensorType("int64", ()), "iteration"), 0)
    again = ("BOOL", (), cond.value, 0)
    scope, parameters = op.scope.importer.body(op.scope, proto, [step, again, *(_fresh(t) for t in carried)])
    parameters[1].fixed = cond.fixed
    results = _results(op, scope, proto)
    if len(results) < 1 + len(carried) or len(results) - 1 != len(op.proto.output):
        raise op.fail(f"the body has {len(results)} outputs, expected {1 + len(op.proto.output)}")
    inputs = [trips, cond, *carried]
    body = Body(scope.graph)
    body.inputs = [PortMap(-1, parameters[0].node.id, purpose="current_iteration"), PortMap(1, parameters[1].node.id)]
    body.inputs += [PortMap(2 + i, p.node.id) for i, p in enumerate(parameters[2:])]
    body.inputs += _captures(scope, inputs)
    body.outputs = [PortMap(-1, results[0].id, purpose="execution_condition")]
    for i, result in enumerate(results[1:]):
        row = PortMap(len(inputs) + i, result.id)
        if i >= len(carried):
            row.axis = 0
            _stack(op, scope, result)
        body.outputs.append(row)
    body.back_edges = [BackEdge(results[0].id, parameters[1].node.id)]
    body.back_edges += [BackEdge(r.id, p.node.id) for r, p in zip(results[1:], parameters[2:], strict=False)]
    scope.prune()
    precisions = [r.inputs[0].precision for r in results[1:]]
    return op.make_many("Loop", *inputs, outputs=len(precisions), bodies={"body": body}, precisions=precisions)


def _stack(op: Op, scope: Scope, result: Node, axis: int = 0) -> None:
    """Give a scan output of the body the axis along which its steps are joined."""
    source = result.sources[0]
    assert source is not None
    node, index = source
    tensor = Tensor(scope, node, index, node.outputs[index].precision)
    where = scope.constant(f"{node.name}/axis", np.array([axis], np.int64), "I64")
    stacked = scope.add("Unsqueeze", f"{node.name}/step", [tensor, where], {})[0]
    result.sources[0] = (stacked.node, 0)
    result.inputs[0].shape = stacked.port.shape


@onnx_op("Scan")
def scan(op: Op) -> list[Item] | list[Tensor]:
    """A TensorIterator: states are carried, scan inputs sliced, scan outputs joined."""
    if op.opset < 9 and not op.has(_ONE_SEQUENCE):
        return _scan_of_batches(op)
    count, proto = op.int("num_scan_inputs"), op.graph("body")
    states = len(op.items) - count
    outputs = len(proto.output)
    in_axes = op.ints("scan_input_axes", (0,) * count)
    in_back = op.ints("scan_input_directions", (0,) * count)
    out_axes = op.ints("scan_output_axes", (0,) * (outputs - states))
    out_back = op.ints("scan_output_directions", (0,) * (outputs - states))
    if states < 0 or len(in_axes) != count or len(in_back) != count or min(len(out_axes), len(out_back)) < outputs - states:
        raise op.fail(f"{len(op.items)} inputs and {outputs} body outputs do not fit num_scan_inputs {count} and the lists of axes")
    inputs = list(op.inputs)
    axes = [op.wrap(a, op.rank(t)) for a, t in zip(in_axes, inputs[states:], strict=True)]
    specs: list[tuple[str, Shape, Value | None, int]] = [_fresh(t) for t in inputs[:states]]
    for t, axis in zip(inputs[states:], axes, strict=True):
        value = _sliced(t.value, axis)
        shape = value.shape if value is not None else ()
        reduced = (*shape[:axis], *shape[axis + 1 :])
        specs.append((t.precision, reduced, None if value is None else Value(TensorType(value.dtype, reduced), "step"), t.element))
    scope, parameters = op.scope.importer.body(op.scope, proto, specs)
    for i, axis in enumerate(axes):
        _unstack(scope, parameters[states + i], inputs[states + i], axis)
    results = _results(op, scope, proto)
    body = Body(scope.graph)
    body.inputs = [PortMap(i, p.node.id) for i, p in enumerate(parameters[:states])]
    for i, axis in enumerate(axes):
        body.inputs.append(_steps(states + i, parameters[states + i].node, axis, bool(in_back[i])))
    body.inputs += _captures(scope, inputs)
    for i, result in enumerate(results):
        row = PortMap(len(inputs) + i, result.id)
        if i >= states:
            axis = _output_axis(op, result, out_axes[i - states])
            _stack(op, scope, result, axis)
            row = _steps(len(inputs) + i, result, axis, bool(out_back[i - states]))
        body.outputs.append(row)
    body.back_edges = [BackEdge(r.id, p.node.id) for r, p in zip(results[:states], parameters[:states], strict=True)]
    scope.prune()
    precisions = [r.inputs[0].precision for r in results]
    return op.make_many("TensorIterator", *inputs, outputs=outputs, bodies={"body": body}, precisions=precisions)


#: Attribute of Scan nodes made here, which are as those of operator set 9 whatever the model's is.
_ONE_SEQUENCE = "one_sequence"


def _scan_of_batches(op: Op) -> list[Item]:
    """Scan of operator set 8, where everything has a batch in front: a scan over the batch of a scan over each sequence."""
    if op.has_input(0):
        raise op.fail("lengths of sequences are not supported")
    count, proto = op.int("num_scan_inputs"), op.graph("body")
    directions = op.ints("directions", (0,) * count)
    ins = [f"{op.label}/of_batch{i}" for i in range(len(op.items) - 1)]
    outs = [f"{op.label}/of_batch_out{i}" for i in range(len(proto.output))]
    own: dict[str, Any] = {"num_scan_inputs": count, "scan_input_directions": directions, _ONE_SEQUENCE: 1}
    sequence = helper.make_node("Scan", ins, outs, name=f"{op.label}/sequence", body=proto, **own)
    given, results = ([helper.make_empty_tensor_value_info(n) for n in names] for names in (ins, outs))
    body = helper.make_graph([sequence], f"{op.label}/batch", given, results)
    made = [f"{op.label}/out{i}" for i in range(len(outs))]
    whole: dict[str, Any] = {"num_scan_inputs": len(ins), _ONE_SEQUENCE: 1}
    node = helper.make_node("Scan", list(op.proto.input[1:]), made, name=f"{op.label}/batches", body=body, **whole)
    op.scope.importer.convert(op.scope, node)
    return [op.scope.items.pop(name) for name in made]


def _output_axis(op: Op, result: Node, axis: int) -> int:
    return op.wrap(axis, len(result.inputs[0].shape) + 1, "scan_output_axes")


def _steps(port: int, node: Node, axis: int, backward: bool) -> PortMap:
    if backward:
        return PortMap(port, node.id, axis=axis, start=-1, end=0, stride=-1, part_size=1)
    return PortMap(port, node.id, axis=axis, start=0, end=-1, stride=1, part_size=1)


def _unstack(scope: Scope, parameter: Tensor, outer: Tensor, axis: int) -> None:
    """Let the Parameter take a slice with its axis of 1, and a Squeeze in front of its users drop that."""
    node = parameter.node
    users: Sequence[tuple[Node, int]] = [
        (n, i) for n in scope.graph.nodes for i, s in enumerate(n.sources) if s is not None and s[0] is node
    ]
    shape = node.outputs[0].shape
    full = (*shape[:axis], 1, *shape[axis:])
    old = scope.lowering.values.pop((id(node), 0), None)
    node.outputs[0].shape = full
    node.params["shape"] = ",".join(map(str, full))
    if old is not None:
        scope.lowering.values[id(node), 0] = Value(TensorType(old.dtype, full), node.name)
    where = scope.constant(f"{node.name}/axis", np.array([axis], np.int64), "I64")
    step = scope.add("Squeeze", f"{node.name}/step", [parameter, where], {})[0]
    for user, index in users:
        user.sources[index] = (step.node, 0)
        user.inputs[index].shape = step.port.shape
