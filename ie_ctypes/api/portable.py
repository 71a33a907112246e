# SPDX-License-Identifier: Apache-2.0
"""A network with its settings as bytes: what ``export`` writes and ``import_network`` reads, and how networks are pickled.

Layout: the magic bytes of the original's compiled files, the device name and a line feed, one line of JSON, then the .xml and the
.bin of the network (their sizes stand in the JSON). From the next page on follows what the device need not make again, if it has any.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.errors import ModelError
from ie_ctypes.model.network import Network

if TYPE_CHECKING:
    from ie_ctypes.api.network import IENetwork
    from ie_ctypes.api.registry import Registry
    from ie_ctypes.model.definitions import CustomLayers

MAGIC = b"\x01\x0e\x0e\x01"
_FORMAT = 1
_PAGE = 4096


def pack(network: Network, preprocess: Mapping[str, PreProcessInfo], device: str, config: Mapping[str, str]) -> bytes:
    """Bytes from which :func:`unpack` makes the same network, ready to load on ``device``."""
    from ie_ctypes.model.writers import write_ir

    xml, weights = io.BytesIO(), io.BytesIO()
    write_ir(network.graph, xml, weights)
    header = {
        "format": _FORMAT,
        "config": dict(config),
        "inputs": {k: [list(s.shape), s.precision, s.layout, preprocess[k]._to_json()] for k, s in network.inputs.items()},
        "outputs": [[s.node.name, s.port, k, s.precision, s.layout] for k, s in network.outputs.items()],
        "affinities": {n.name: n.affinity for n in network.graph.nodes if n.affinity},
        "xml": xml.tell(),
        "bin": weights.tell(),
    }
    return b"".join((MAGIC, device.encode(), b"\n", json.dumps(header).encode(), b"\n", xml.getvalue(), weights.getvalue()))


def append(data: bytes, compiled: bytes) -> bytes:
    """What :func:`pack` gave, with something of the device's behind it."""
    return b"".join((data, bytes(-len(data) % _PAGE), compiled)) if compiled else data


def unpack(
    data: bytes, registry: Registry | None = None, definitions: CustomLayers | None = None
) -> tuple[str, IENetwork, dict[str, str], int]:
    """Device name, network, configuration, and where the device's own part begins: 0 when there is none.

    ``definitions`` are the layer types that others define, without them those that the core of ``registry``, or this process, knows.

    :class:`~ie_ctypes.errors.ModelError` for anything that :func:`pack` did not write.
    """
    from ie_ctypes.api.network import IENetwork
    from ie_ctypes.model.readers.ir import read_ir

    if not data.startswith(MAGIC):
        raise ModelError("the file was not written by ExecutableNetwork.export: its first bytes are others")
    try:
        device, text, body = data[len(MAGIC) :].split(b"\n", 2)
        header = json.loads(text)
        if header["format"] != _FORMAT:
            raise ModelError(f"exported network of format {header['format']}, expected {_FORMAT}")
        size, total = int(header["xml"]), int(header["xml"]) + int(header["bin"])
        end = len(data) - len(body) + total
        own = end + -end % _PAGE
        if len(body) != total and (len(data) <= own or len(body) < total):
            raise ModelError(f"exported network has {len(body)} bytes of data, expected {total}")
        network = Network(read_ir(body[:size], body[size:total]))
        net = IENetwork._of(network, registry)
        if definitions is None:
            net._defined()
        else:
            network.definitions = definitions
        network.reshape({name: tuple(row[0]) for name, row in header["inputs"].items()})
        for name, (_, precision, layout, info) in header["inputs"].items():
            network.inputs[name].precision, network.inputs[name].layout = precision, layout
            net._preprocess[name] = PreProcessInfo._from_json(info)
        for layer, port, name, precision, layout in header["outputs"]:
            network.add_output(layer, port)
            network.outputs[name].precision, network.outputs[name].layout = precision, layout
        for layer, affinity in header.get("affinities", {}).items():
            if (node := network.graph.node(layer)) is not None:
                node.affinity = affinity
        return device.decode(), net, dict(header["config"]), own if len(data) > own else 0
    except (ValueError, KeyError, TypeError, IndexError) as e:
        if isinstance(e, ModelError):
            raise
        raise ModelError(f"exported network is damaged: {type(e).__name__}: {e}") from None


def unpack_network(data: bytes) -> IENetwork:
    """The network of a pickle; empty bytes are an empty network."""
    from ie_ctypes.api.network import IENetwork

    return unpack(data)[1] if data else IENetwork()
