# SPDX-License-Identifier: Apache-2.0
"""Finding plugins: the built-in one and those of the entry-point group ``ie_ctypes``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable
from importlib.metadata import entry_points

import pluggy

from ie_ctypes.errors import IEError
from ie_ctypes.plugins import builtin, hookspecs
from ie_ctypes.plugins.records import Device


def create_manager() -> pluggy.PluginManager:
    """A manager with all plugins. One that cannot be imported is left out with a ``RuntimeWarning``."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(builtin, "builtin")
    for entry in entry_points(group=hookspecs.PROJECT):
        try:
            manager.register(entry.load(), entry.name)
        except Exception as e:
            warnings.warn(f"plugin {entry.name} ({entry.value}) cannot be loaded: {type(e).__name__}: {e}", RuntimeWarning, stacklevel=2)
    manager.check_pending()
    return manager


@functools.cache
def default_manager() -> pluggy.PluginManager:
    """The manager of this process, made at the first IECore."""
    return create_manager()


def devices(manager: pluggy.PluginManager) -> dict[str, Device]:
    """Device records of all plugins by name. Two providers of one name are an error that names both."""
    found: dict[str, Device] = {}
    owners: dict[str, str] = {}
    for impl in manager.hook.ie_ctypes_devices.get_hookimpls():
        provided: Iterable[Device] = impl.function()  # type: ignore[assignment]
        for record in provided:
            if record.name in found:
                raise IEError(f"device {record.name} is provided by two plugins, {owners[record.name]} and {impl.plugin_name}")
            found[record.name], owners[record.name] = record, impl.plugin_name
    return dict(sorted(found.items()))
