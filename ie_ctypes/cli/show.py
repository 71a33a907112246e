# SPDX-License-Identifier: Apache-2.0
"""``ie_ctypes show``: inputs, outputs and layers of a network."""

from __future__ import annotations

import argparse

from ie_ctypes.cli.table import table
from ie_ctypes.plugins.records import Subcommand


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("model", help="network file")
    parser.add_argument("-w", "--weights", default="", help="weights, when they are not beside the model")
    parser.add_argument("-d", "--device", help="mark the layers that this device can run")
    parser.add_argument("-p", "--params", action="store_true", help="show the attributes of every layer")


def run(arguments: argparse.Namespace) -> int:
    """Print one row an input, output and layer."""
    from ie_ctypes.api.core import IECore

    core = IECore(plugin_manager=arguments.manager)
    net = core.read_network(arguments.model, arguments.weights)
    runs = core.query_network(net, arguments.device) if arguments.device else {}
    layers = net.layers
    print(f"{net.name}: {len(layers)} layers, batch {net.batch_size}, precision {net.precision}")
    rows = [("input", name, i.precision, _shape(i.shape), i.layout) for name, i in net.inputs.items()]
    rows += [("output", name, o.precision, _shape(o.shape), o.layout) for name, o in net.outputs.items()]
    for name, layer in layers.items():
        last = " ".join(f"{k}={v}" for k, v in layer.params.items()) if arguments.params else ""
        if arguments.device:
            last = f"{runs.get(name, 'unsupported')} {last}".rstrip()
        rows.append((layer.type, name, layer.precision, _shape(layer.shape), last))
    print("\n".join(line.rstrip() for line in table(rows).splitlines()))
    return 0


def _shape(shape: object) -> str:
    return "x".join(map(str, shape)) if isinstance(shape, (list, tuple)) else str(shape)


COMMAND = Subcommand(name="show", help="list inputs, outputs and layers of a network", run=run, configure=configure)
