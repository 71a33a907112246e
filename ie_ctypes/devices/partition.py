# SPDX-License-Identifier: Apache-2.0
"""Cutting a program into parts, each for one device, that run one after the other.

What only prepares a network input (conversions, the mean: nodes of Input layers) belongs to no device. Every part that reads such a value
computes it anew from the input, so that one input read by several parts orders nothing. Nor are constants handed over: each part
has those it uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ie_ctypes.model.program import Program, Tensor
from ie_ctypes.record import Record, replace


class Part(Record, frozen=True, kw_only=True):
    """Nodes of one device as a program of its own. ``inputs`` and ``outputs`` are tensors of the whole program, in the part's order."""

    device: str
    nodes: tuple[int, ...]  # of the whole program
    program: Program
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def input_nodes(program: Program) -> set[int]:
    """Nodes that belong to no device: those of Input layers that depend on network inputs and constants alone."""
    found: set[int] = set()
    free = {*program.inputs, -1, *(i for i, t in enumerate(program.tensors) if t.data is not None)}
    for i, node in enumerate(program.nodes):
        if node.layer_type.lower() in ("input", "parameter") and free.issuperset(node.inputs):
            found.add(i)
            free.update(node.outputs)
    return found


def producers(program: Program) -> dict[int, int]:
    """Tensor -> the node that makes it."""
    return {t: i for i, node in enumerate(program.nodes) for t in node.outputs}


def device_of_nodes(program: Program, devices: Mapping[str, str], default: str) -> dict[int, str]:
    """Device of every node but the input nodes, from the devices of layers.

    A node whose layer has none (a copy of what another layer made, named after an Input layer) follows its first producer.
    """
    makers, free = producers(program), input_nodes(program)
    found: dict[int, str] = {}
    for i, node in enumerate(program.nodes):
        if i in free:
            continue
        before = (found[makers[t]] for t in node.inputs if t in makers and makers[t] in found)
        found[i] = devices.get(node.layer) or next(before, default)
    return found


def rounds(program: Program, devices: Mapping[int, str]) -> list[tuple[str, list[int]]]:
    """Groups of nodes of one device, in an order in which they can run one after the other.

    Each group takes all nodes of its device that can run by then. The next device is that of the longest chain of alternating devices
    still to run: for two devices no order has fewer groups.
    """
    makers = producers(program)
    before = {i: {makers[t] for t in program.nodes[i].inputs if t in makers and makers[t] in devices} for i in devices}
    after: dict[int, list[int]] = {i: [] for i in devices}
    for i, sources in before.items():
        for source in sources:
            after[source].append(i)
    chain: dict[int, int] = {}  # groups that what begins with the node needs at least
    for i in sorted(devices, reverse=True):
        chain[i] = max((chain[j] + (devices[j] != devices[i]) for j in after[i]), default=1)
    missing = {i: len(sources) for i, sources in before.items()}
    ready: dict[str, list[int]] = {}
    for i in sorted(devices):
        if not missing[i]:
            ready.setdefault(devices[i], []).append(i)
    groups: list[tuple[str, list[int]]] = []
    while ready:
        device = max(ready, key=lambda d: max(chain[i] for i in ready[d]))
        todo, group = ready.pop(device), []
        while todo:
            i = todo.pop()
            group.append(i)
            for j in after[i]:
                missing[j] -= 1
                if not missing[j]:
                    (todo if devices[j] == device else ready.setdefault(devices[j], [])).append(j)
        groups.append((device, sorted(group)))
    return groups


def cut(program: Program, devices: Mapping[str, str], default: str) -> list[Part]:
    """The parts of a program, in running order. ``devices``: layer -> device; ``default`` takes what has no layer of its own."""
    groups = rounds(program, device_of_nodes(program, devices, default)) or [(default, [])]
    makers, free = producers(program), input_nodes(program)

    def closed(nodes: Iterable[int]) -> set[int]:
        """The nodes, and the input nodes that they need."""
        found, todo = set(), list(nodes)
        while todo:
            i = todo.pop()
            if i not in found:
                found.add(i)
                todo += [makers[t] for t in program.nodes[i].inputs if t in makers and makers[t] in free]
        return found

    parts = [(device, closed(group)) for device, group in groups]
    made = {t for _, nodes in parts for i in nodes for t in program.nodes[i].outputs}
    parts[0][1].update(closed(makers[t] for t in program.outputs if t not in made))  # outputs that only copy an input
    given: set[int] = set()  # outputs of earlier parts
    result = []
    for k, (device, nodes) in enumerate(parts):
        read_later = {t for _, later in parts[k + 1 :] for i in later for t in program.nodes[i].inputs if makers.get(t) not in later}
        own = {t for i in nodes for t in program.nodes[i].outputs} - given
        outputs = sorted(own & (read_later | set(program.outputs)))
        given.update(outputs)
        result.append(_part(program, k, device, sorted(nodes), outputs))
    return result


def _part(program: Program, number: int, device: str, nodes: Sequence[int], outputs: Sequence[int]) -> Part:
    empty: dict[str, Any] = {
        field: [] for field in ("tensors", "nodes", "inputs", "input_names", "outputs", "output_names", "states", "sizes")
    }
    part = replace(program, name=f"{program.name}_{number}", affinities={}, **empty)
    place: dict[int, int] = {}  # tensor of the whole -> of the part
    names = dict(zip(program.inputs, program.input_names, strict=True)) | dict(zip(program.outputs, program.output_names, strict=True))
    inputs: list[int] = []
    made = {t for i in nodes for t in program.nodes[i].outputs}

    def tensor(index: int) -> int:
        if index < 0:
            return index
        if index not in place:
            whole = program.tensors[index]
            place[index] = len(part.tensors)
            part.tensors.append(Tensor(whole.name, whole.type, whole.data))
            if whole.data is None and index not in made:
                inputs.append(index)
        return place[index]

    for i in nodes:
        node = program.nodes[i]
        part.nodes.append(replace(node, inputs=tuple(map(tensor, node.inputs)), outputs=tuple(map(tensor, node.outputs))))
    part.inputs, part.outputs = [place[t] for t in inputs], [place[t] for t in outputs]
    part.input_names = [names.get(t, program.tensors[t].name) for t in inputs]
    part.output_names = [names.get(t, program.tensors[t].name) for t in outputs]
    return Part(device=device, nodes=tuple(nodes), program=part, inputs=tuple(inputs), outputs=tuple(outputs))
