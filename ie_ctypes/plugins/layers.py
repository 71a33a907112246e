# SPDX-License-Identifier: Apache-2.0
"""The layer types that plugins and programs define: for one device, and for shapes anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ie_ctypes.devices.base import Device
from ie_ctypes.model.definitions import CustomLayers
from ie_ctypes.plugins.manager import PluginManager
from ie_ctypes.plugins.records import Kernel
from ie_ctypes.record import Record, field, replace

if TYPE_CHECKING:
    from ie_ctypes.devices.extension import LoadedExtension
    from ie_ctypes.model.custom import CustomLayer

#: The device whose requests are computed by what defines the layers in Python, whichever device that is meant for.
_NUMPY = "REFERENCE"


class DeviceLayers(Record):
    """The layers of one device: what plugins provide for it, and what its instance was given by hand."""

    manager: PluginManager
    device: str  # as plugins call it
    libraries: list[LoadedExtension] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    told: tuple[list[LoadedExtension], list[Kernel]] = field(default_factory=lambda: ([], []))  # by the last set_extensions

    def current(self) -> tuple[list[LoadedExtension], list[Kernel]]:
        """All extension libraries and Python kernels; those given by hand come first."""
        libraries = [*self.libraries, *(one for one in plugin_libraries(self.manager, self.device) if one not in self.libraries)]
        return libraries, [*self.kernels, *self.manager.kernels(self.device)]

    def tell(self, instance: Device) -> None:
        """Give the instance what has changed since the last time."""
        current = self.current()
        if current != self.told:
            self.told = current
            instance.set_extensions(*current)

    def definitions(self) -> CustomLayers:
        """The layer types."""
        libraries, kernels = self.current()
        if self.device == _NUMPY:
            others = (name for name in sorted(self.manager.devices()) if name != _NUMPY)
            kernels = [*kernels, *(k for name in others for k in self.manager.kernels(name) if k.function is not None)]
        return join(libraries, kernels)


def plugin_libraries(manager: PluginManager, device: str | None = None) -> list[LoadedExtension]:
    """Extension libraries that plugins provide for a device, None: any. One that cannot be opened is a failure of its plugin."""
    found: list[LoadedExtension] = []
    for origin, record in manager.extensions().values():
        if record.library is None or device not in (None, record.device):
            continue
        from ie_ctypes.devices.extension import open_extension

        try:
            found.append(open_extension(record.library()))
        except Exception as e:
            manager.fail(origin, f"has extension {record.name}, which cannot be loaded", e)
    return found


def known_layers(manager: PluginManager) -> CustomLayers:
    """Every layer type whose shapes this process can infer: of plugins, and of what any IECore has loaded."""
    from ie_ctypes.devices.extension import opened_extensions

    kernels = [k for device in sorted(manager.devices()) for k in manager.kernels(device)]
    return join([*opened_extensions(), *plugin_libraries(manager)], kernels)


def join(libraries: Iterable[LoadedExtension], kernels: Iterable[Kernel]) -> CustomLayers:
    """The layer types of Python kernels and, where those have none, of libraries."""
    own: list[CustomLayer] = []
    for kernel in kernels:
        from ie_ctypes.plugins.definitions import definition

        own.append(definition(kernel))
    return CustomLayers([*own, *(layer for one in libraries for layer in one.layers)])


def with_settings(given: Iterable[CustomLayer], others: CustomLayers) -> CustomLayers:
    """The layer types that settings define, with the shapes and the function in Python that others give the same type, and the others."""
    joined = []
    for layer in given:
        other = others.find(layer.type, "", False)
        joined.append(layer if other is None else replace(layer, infer=other.infer, compute=other.compute))
    return CustomLayers([*joined, *others]) if joined else others


def merge(parts: Iterable[CustomLayers]) -> CustomLayers:
    """The layer types of several devices, each with what any of them needs to run it.

    Built-in ones are not replaced, as only some of the devices could run them.
    """
    found: dict[tuple[str, str], CustomLayer] = {}
    for one in (one for part in parts for one in part):
        first = found.setdefault((one.type.lower(), one.opset), one.beside_built_in())
        whole = replace(first, compute=first.compute or one.compute, attributes=first.attributes or one.attributes)
        found[one.type.lower(), one.opset] = whole
    return CustomLayers(found.values())
