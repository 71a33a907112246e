# SPDX-License-Identifier: Apache-2.0
"""``ie_ctypes plugins``: which plugins there are, where they come from, what they provide and what is wrong with them."""

from __future__ import annotations

import argparse
import warnings

from ie_ctypes.cli.table import table
from ie_ctypes.plugins.manager import Origin, PluginManager
from ie_ctypes.plugins.records import Device, Extension, Kernel, Reader, Subcommand


def provided(manager: PluginManager) -> dict[Origin, list[str]]:
    """What each plugin provides, in words. Nothing is opened."""
    found: dict[Origin, list[str]] = {manager.origin(name): [] for name, plugin in manager.list_name_plugin() if plugin is not None}
    devices = list(manager.records("ie_ctypes_devices", Device))
    for origin, device in devices:
        found[origin].append(f"device {device.name}")
    for origin, extension in manager.records("ie_ctypes_extensions", Extension):
        found[origin].append(f"extension {extension.name} for {extension.device}")
    for name in sorted({device.name for _, device in devices}):
        for origin, kernel in manager.records("ie_ctypes_kernels", Kernel, device=name):
            if kernel.device == name:
                found[origin].append(f"kernel of {kernel.type} for {name}")
    for origin, reader in manager.records("ie_ctypes_readers", Reader):
        found[origin].append(f"reader of {' '.join(reader.suffixes)}")
    for origin, command in manager.records("ie_ctypes_subcommands", Subcommand):
        found[origin].append(f"command {command.name}")
    for hook, what in (("ie_ctypes_default_device", "a default device"), ("ie_ctypes_network_compiled", "an observer of networks")):
        for impl in getattr(manager.hook, hook).get_hookimpls():
            found[manager.origin(impl.plugin_name)].append(what)
    return found


def run(arguments: argparse.Namespace) -> int:
    """Print one row a plugin."""
    manager: PluginManager = arguments.manager
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # failures are in the table
        found = provided(manager)
    rows = [("plugin", "distribution", "provides")]
    rows += [(o.name, o.distribution or "-", ", ".join(what) or "-") for o, what in found.items()]
    rows += [(f.origin.name, f.origin.distribution or "-", f"FAILED: {f.error}") for f in manager.failed]
    rows += [(o.name, o.distribution or "-", "left out, see IE_CTYPES_DISABLE_PLUGINS, IE_CTYPES_PLUGINS_ONLY") for o in manager.left_out]
    print(table(rows))
    return 0


COMMAND = Subcommand(name="plugins", help="list the plugins and what they provide", run=run)
