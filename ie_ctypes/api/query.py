# SPDX-License-Identifier: Apache-2.0
"""Which layers of a network a device can run."""

from __future__ import annotations

from collections.abc import Mapping

from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.devices.base import CompositeDevice, Device, refuse_layers, unsupported_layers
from ie_ctypes.model.definitions import CustomLayers
from ie_ctypes.model.graph import Node
from ie_ctypes.model.network import Network, is_input
from ie_ctypes.model.ops import find_translator


def unknown_layers(network: Network) -> list[Node]:
    """Layers of types that neither the package nor the network's definitions know."""
    graph = network.graph
    unknown = {
        (type, version)
        for type, version in {(n.type, n.version) for n in graph.nodes if n.type != "Result" and not is_input(n)}
        if find_translator(type, version, graph.legacy) is None and network.definitions.find(type, version, False) is None
    }
    return [n for n in graph.nodes if (n.type, n.version) in unknown] if unknown else []


def require_supported(network: Network) -> None:
    """Raise NotFoundError that lists every layer of unknown type."""
    refuse_layers([(n.type, n.name) for n in unknown_layers(network)])


def query(
    network: Network,
    preprocess: Mapping[str, PreProcessInfo],
    device: Device,
    device_name: str,
    config: Mapping[str, str],
    definitions: CustomLayers,
) -> dict[str, str]:
    """Layer name -> device name for the layers that ``device`` can run, sorted; constants and folded layers always can.

    The device is ``device_name``, or the part of a composite device that would run the layer.

    Outputs of layers of unknown type are taken as the file describes them, so that what follows can still be judged.
    """
    twin = prepared(network, preprocess, definitions)
    unknown = unknown_layers(twin)
    program = twin.lower(opaque=unknown)
    refused = {n.name for n in unknown}
    if not isinstance(device, CompositeDevice):
        refused |= {name for _, name in unsupported_layers(device, program)}
    names = sorted((n.name for n in twin.graph.nodes if n.type != "Result" and n.name not in refused), key=str.encode)
    if isinstance(device, CompositeDevice):
        return device.placement(program, names, config)
    return dict.fromkeys(names, device_name)


def prepared(network: Network, preprocess: Mapping[str, PreProcessInfo], definitions: CustomLayers) -> Network:
    """A copy of the network, independent of later changes, with the pre-processing that the user asked for and a device's layer types."""
    twin = network.clone()
    twin.definitions = definitions
    for name, state in twin.inputs.items():
        state.preprocess = preprocess[name]._to_model(name, list(state.shape))
        state.divisors = preprocess[name]._divisors()
    return twin
