# SPDX-License-Identifier: Apache-2.0
"""Which layers of a network a device can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.devices.base import Device
from ie_ctypes.errors import NotFoundError
from ie_ctypes.model.graph import Node
from ie_ctypes.model.network import Network, is_input
from ie_ctypes.model.ops import find_translator
from ie_ctypes.model.program import Program


def unknown_layers(network: Network) -> list[Node]:
    """Layers of types that the package does not know."""
    graph = network.graph
    return [n for n in graph.nodes if n.type != "Result" and not is_input(n) and find_translator(n.type, n.version, graph.legacy) is None]


def require_supported(network: Network) -> None:
    """Raise NotFoundError that lists every layer of unknown type."""
    _refuse([(n.type, n.name) for n in unknown_layers(network)])


def require_runnable(program: Program, device: Device) -> None:
    """Raise NotFoundError that lists every layer that ``device`` refuses."""
    verdicts = zip(program.nodes, device.query(program), strict=True)
    _refuse(list(dict.fromkeys((node.layer_type, node.layer) for node, runs in verdicts if not runs)))


def _refuse(layers: Sequence[tuple[str, str]]) -> None:
    if layers:
        (type, name), rest = layers[0], layers[1:]
        more = f"; also unsupported: {', '.join(f'{n} ({t})' for t, n in rest)}" if rest else ""
        raise NotFoundError(f"Unsupported primitive of type: {type} name: {name}{more}")


def query(network: Network, preprocess: Mapping[str, PreProcessInfo], device: Device, device_name: str) -> dict[str, str]:
    """Layer name -> ``device_name`` for the layers that ``device`` can run, sorted; constants and folded layers always can.

    Outputs of layers of unknown type are taken as the file describes them, so that what follows can still be judged.
    """
    twin = prepared(network, preprocess)
    unknown = unknown_layers(twin)
    program = twin.lower(opaque=unknown)
    verdicts = zip(program.nodes, device.query(program), strict=True)
    refused = {n.name for n in unknown} | {node.layer for node, runs in verdicts if not runs}
    names = (n.name for n in twin.graph.nodes if n.type != "Result" and n.name not in refused)
    return dict.fromkeys(sorted(names, key=str.encode), device_name)


def prepared(network: Network, preprocess: Mapping[str, PreProcessInfo]) -> Network:
    """A copy of the network, independent of later changes, whose inputs have the pre-processing that the user asked for."""
    twin = network.clone()
    for name, state in twin.inputs.items():
        state.preprocess = preprocess[name]._to_model(name, list(state.shape))
        state.divisors = preprocess[name]._divisors()
    return twin
