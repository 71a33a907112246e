# SPDX-License-Identifier: Apache-2.0
"""Which device runs which layer of a program: by the order of devices, or by the user's choice completed from neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ie_ctypes.devices.composite import Parts
from ie_ctypes.devices.partition import input_nodes, producers
from ie_ctypes.errors import IEError, NotFoundError
from ie_ctypes.model.program import Program


def layer_nodes(program: Program) -> dict[str, list[int]]:
    """Layer -> its nodes, in program order. Input layers are not among them: they go where their readers are."""
    free = input_nodes(program)
    found: dict[str, list[int]] = {}
    for i, node in enumerate(program.nodes):
        if i not in free and node.layer_type.lower() not in ("input", "parameter"):
            found.setdefault(node.layer, []).append(i)
    return found


class Verdicts:
    """What each device says of each layer; a device is asked once, and only when its answer matters."""

    def __init__(self, program: Program, devices: Parts):
        self.program = program
        self.layers = layer_nodes(program)
        self._devices = devices
        self._answers: dict[str, list[bool]] = {}

    def runs(self, device: str, layer: str) -> bool:
        """Can the device run every node of the layer?"""
        if device not in self._answers:
            try:
                self._answers[device] = self._devices.device(device).query(self.program)
            except NotFoundError:
                raise
            except RuntimeError as e:
                raise IEError(f"Failed to call QueryNetwork for {device} device, error: {e}") from e
        return all(self._answers[device][i] for i in self.layers[layer])

    def first(self, devices: Sequence[str], layer: str) -> str:
        """The first of the devices that can run the layer, "" without one."""
        return next((d for d in devices if self.runs(d, layer)), "")


def by_order(verdicts: Verdicts, order: Sequence[str]) -> dict[str, str]:
    """Layer -> the first device in ``order`` that can run it; layers that none can are absent."""
    return {layer: device for layer in verdicts.layers if (device := verdicts.first(order, layer))}


def completed(verdicts: Verdicts, wanted: Mapping[str, str], order: Sequence[str]) -> dict[str, str]:
    """Layer -> device by the user's choice, where there is one.

    Other layers go with a neighbour that can run them, a producer before a consumer, and else to the first device that can, of those in
    ``order`` and then of those that the user named.
    """
    chosen = {layer: device for layer, device in wanted.items() if layer in verdicts.layers}
    before, after = _neighbours(verdicts)
    forwards, others = list(verdicts.layers), (*order, *wanted.values())
    for layers, neighbours, rest in ((forwards, before, ()), (forwards[::-1], after, ()), (forwards, before, others)):
        for layer in layers:
            if layer not in chosen:
                near = (chosen[n] for n in neighbours[layer] if n in chosen)
                if device := verdicts.first(list(dict.fromkeys((*near, *rest))), layer):
                    chosen[layer] = device
    return chosen


def _neighbours(verdicts: Verdicts) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """For each layer those that it reads, and those that read it."""
    program, makers = verdicts.program, producers(verdicts.program)
    before: dict[str, list[str]] = {layer: [] for layer in verdicts.layers}
    after: dict[str, list[str]] = {layer: [] for layer in verdicts.layers}
    for layer, nodes in verdicts.layers.items():
        for t in (t for i in nodes for t in program.nodes[i].inputs if t in makers):
            source = program.nodes[makers[t]].layer
            if source in after and source != layer:
                before[layer].append(source)
                after[source].append(layer)
    return before, after


def require_all(verdicts: Verdicts, chosen: Mapping[str, str], by_user: bool) -> None:
    """Raise NotFoundError that names the first layer without a device, then all."""
    left = [layer for layer in verdicts.layers if layer not in chosen]
    if not left:
        return
    types = {layer: verdicts.program.nodes[verdicts.layers[layer][0]].layer_type for layer in left}
    first = f"some layers eg: \n(Name:{left[0]}, Type: {types[left[0]]})"
    everything = f"All of them: {', '.join(f'{layer} ({types[layer]})' for layer in left)}"
    if by_user:
        raise NotFoundError(
            f"Network passed to LoadNetwork has affinity assigned, but {first} were not assigned to any device.\n"
            "It might happen if you assigned layers amnually and missed some layers or\n"
            "if you used some automatic assigning mode which decided that these layers are not\n"
            f"supported by any plugin\n{everything}"
        )
    raise NotFoundError(
        f"Hetero plugin used default fallback policy, but {first} were not able to be assigned on any pointed device.\n"
        f"Add a device that runs them to the list, or an extension that knows them.\n{everything}"
    )
