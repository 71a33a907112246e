# SPDX-License-Identifier: Apache-2.0
"""The devices of one IECore: records by name, instances made at first use, and how device names are read."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ie_ctypes.api.workers import WorkerPool
from ie_ctypes.errors import IEError, NotFoundError, NotImplementedIEError
from ie_ctypes.plugins.records import Device as DeviceRecord
from ie_ctypes.record import Record, field, replace

if TYPE_CHECKING:
    from ie_ctypes.devices.base import Device
    from ie_ctypes.model.definitions import CustomLayers
    from ie_ctypes.plugins.layers import DeviceLayers
    from ie_ctypes.plugins.manager import PluginManager
    from ie_ctypes.plugins.records import Kernel

_PREFIX = "" if sys.platform == "win32" else "lib"
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
_SUFFIXES = (".so", ".dylib", ".dll")  # of any system: no class is called so
#: Devices made of others, and the key that their part of the name behind ":" goes to.
COMPOSITE = {"HETERO": "TARGET_FALLBACK", "MULTI": "MULTI_DEVICE_PRIORITIES"}


class Entry(Record):
    """A registered device."""

    name: str
    location: str  # library file name, for messages
    record: DeviceRecord | None  # None: ``location`` is a library for the loader
    properties: dict[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    device: Device | None = None
    layers: DeviceLayers | None = None  # of the instance
    exclusive: WorkerPool = field(default_factory=lambda: WorkerPool(1))

    @property
    def kind(self) -> str:
        """The name by which plugins know the device, whatever it is registered as."""
        return self.record.name if self.record is not None else self.name

    @property
    def is_composite(self) -> bool:
        """Is the device made of others? A device that has not been opened is, when it has the name of one."""
        from ie_ctypes.devices.base import CompositeDevice

        return isinstance(self.device, CompositeDevice) or (self.device is None and self.kind in COMPOSITE)


class Registry:
    """Devices by name, sorted. Every method may be called from any thread."""

    def __init__(self, xml_config_file: str, manager: PluginManager):
        self._lock = threading.RLock()
        self._manager = manager
        self._records = manager.devices()
        self._entries: dict[str, Entry] = {}
        if xml_config_file:
            self.add_xml(xml_config_file)
        else:
            self._entries = {name: Entry(name, name, r) for name, r in self._records.items()}

    def names(self) -> list[str]:
        """Registered names, sorted bytewise."""
        with self._lock:
            return sorted(self._entries, key=str.encode)

    def add(self, plugin_name: str, device_name: str) -> None:
        """Register a device: by library name without prefix and suffix, a path, a dotted class name, or the name of a plugin's device."""
        with self._lock:
            if device_name in self._entries:
                raise IEError(f'Device with "{device_name}"  is already registered in the InferenceEngine')
            if "." in device_name:
                raise IEError("Device name must not contain dot '.' symbol")
            record = self._known(plugin_name)
            whole = os.path.dirname(plugin_name) or record is not None or _python_class(plugin_name) is not None
            location = plugin_name if whole else f"{_PREFIX}{plugin_name}{_SUFFIX}"
            self._entries[device_name] = Entry(device_name, location, record)

    def add_xml(self, path: str) -> None:
        """Register the plugins of a file; those of names that exist replace them."""
        from ie_ctypes.plugins.xml_config import read_plugins_xml

        entries = read_plugins_xml(path)
        with self._lock:
            for e in entries:
                stem = os.path.basename(e.location).removesuffix(_SUFFIX)
                record = self._known(stem) or self._known(stem.removeprefix("lib"))
                self._entries[e.name] = Entry(e.name, e.location, record, dict(e.properties), e.extensions)

    def _known(self, name: str) -> DeviceRecord | None:
        """The record of a device that a plugin provides."""
        return next((r for r in self._records.values() if name == r.name or name in r.aliases), None)

    def forget(self, device_name: str) -> None:
        """Drop the instance of a device; the registration stays, so that the next use makes a new one."""
        with self._lock:
            entry = self._entries.get(device_name)
            if entry is None or entry.device is None:
                raise _unknown(device_name)
            entry.device = entry.layers = None

    def entry(self, name: str) -> Entry:
        """The entry of a base device name, exact or in upper case."""
        with self._lock:
            found = self._entries.get(name) or self._entries.get(name.upper())
            if found is None:
                raise _unknown(name)
            return found

    def device(self, entry: Entry) -> Device:
        """The instance, made and configured at first use."""
        with self._lock:
            if entry.device is None:
                entry.device = self._create(entry)
            return entry.device

    def find(self, name: str) -> tuple[Device, dict[str, str]]:
        """A device that a composite one is made of, and the configuration that an id in its name stands for."""
        base, config = split_name(name, {})
        entry = self.entry(base)
        if entry.name in COMPOSITE:
            raise IEError(f"{entry.name} cannot be a part of another device: name the devices that it is made of")
        return self.device(entry), config

    def layers(self, entry: Entry, config: Mapping[str, str]) -> CustomLayers:
        """The layer types that others and the settings of a load define and a device can run.

        The instance has been given those that are new.
        """
        from ie_ctypes.devices.base import CompositeDevice
        from ie_ctypes.plugins.layers import merge

        with self._lock:
            device = self.device(entry)
            if not isinstance(device, CompositeDevice):
                return self._layers(entry, config)
            for name in device.part_names(config):
                self.find(name)
            return merge(self._layers(e, config) for e in self._entries.values() if not e.is_composite)

    def known_layers(self) -> CustomLayers:
        """Every layer type whose shapes can be inferred, those of these devices first."""
        from ie_ctypes.model.definitions import CustomLayers
        from ie_ctypes.plugins.layers import join, known_layers, with_settings

        with self._lock:
            given = [(e.device, e.layers) for e in self._entries.values() if e.device is not None and e.layers is not None]
            own = [with_settings(device.custom_layers({}), join(layers.libraries, layers.kernels)) for device, layers in given]
        return CustomLayers(one for part in (*own, known_layers(self._manager)) for one in part)

    def _layers(self, entry: Entry, config: Mapping[str, str]) -> CustomLayers:
        from ie_ctypes.plugins.layers import DeviceLayers, with_settings

        layers = entry.layers or DeviceLayers(self._manager, entry.kind)
        if entry.device is None:
            return layers.definitions()
        self._tell(entry.device, layers)
        return with_settings(entry.device.custom_layers(config), layers.definitions())

    @staticmethod
    def _tell(device: Device, layers: DeviceLayers) -> None:
        """What plugins provide for a device that cannot use it must not keep the device from working."""
        try:
            layers.tell(device)
        except NotImplementedIEError as e:
            warnings.warn(f"plugins provide layers for device {layers.device}: {e}", RuntimeWarning, stacklevel=4)

    def extend(self, entry: Entry, libraries: Sequence[str] = (), kernels: Sequence[Kernel] = ()) -> None:
        """Give a device extension libraries and Python kernels, as long as its instance lives. Nothing changes on an error."""
        from ie_ctypes.devices.extension import open_extension

        with self._lock:
            device = self.device(entry)
            assert entry.layers is not None
            layers = entry.layers
            before = layers.libraries, layers.kernels
            opened = [open_extension(path) for path in libraries]
            layers.libraries = [*layers.libraries, *(one for one in dict.fromkeys(opened) if one not in layers.libraries)]
            mine = [replace(k, device=entry.kind) for k in kernels]
            given = {(k.type, k.opset) for k in mine}
            layers.kernels = [*mine, *(k for k in layers.kernels if (k.type, k.opset) not in given)]
            try:
                layers.tell(device)
            except IEError:
                layers.libraries, layers.kernels = before
                raise

    def _create(self, entry: Entry) -> Device:
        from ie_ctypes.devices.base import CompositeDevice
        from ie_ctypes.plugins.layers import DeviceLayers

        try:
            device = self._instance(entry)
            if isinstance(device, CompositeDevice):
                device.find = self.find
            if entry.properties:
                device.set_config(entry.properties)
            layers = DeviceLayers(self._manager, entry.kind)
            if entry.extensions:
                from ie_ctypes.devices.extension import open_extension

                layers.libraries = [open_extension(self._beside(path)) for path in entry.extensions]
                layers.tell(device)
            else:
                self._tell(device, layers)
        except Exception as e:
            raise IEError(f"Failed to create plugin {entry.location} for device {entry.name}\nPlease, check your environment\n{e}\n") from e
        entry.layers = layers
        return device

    def _instance(self, entry: Entry) -> Device:
        """A new instance: of a plugin's device, of a class in Python, or of the driver in a library."""
        if entry.record is not None:
            return entry.record.create()
        from ie_ctypes.devices.native import NativeDevice

        if (cls := _python_class(entry.location)) is not None:
            return _instance_of(*cls)
        return NativeDevice(entry.name, path=self._beside(entry.location))

    @staticmethod
    def _beside(location: str) -> str:
        """The file of that name beside libiec, if there is one; else the name, for the system's loader."""
        from ie_ctypes import runtime

        beside = os.path.join(os.path.dirname(runtime.library_path()), location)
        return beside if not os.path.dirname(location) and os.path.exists(beside) else location

    def is_created(self, name: str) -> bool:
        """Is there an instance of the device?"""
        with self._lock:
            return name in self._entries and self._entries[name].device is not None


def _python_class(location: str) -> tuple[str, str] | None:
    """Module and class of ``package.module:Class`` or ``package.module.Class``, None for what names a library."""
    module, colon, name = location.partition(":")
    if not colon:
        module, _, name = location.rpartition(".")
    parts = [*module.split("."), *name.split(".")]
    if not module or not all(p.isidentifier() for p in parts) or (not colon and f".{name}" in _SUFFIXES):
        return None
    return module, name


def _instance_of(module: str, name: str) -> Device:
    """A device of a class that is named by module and name. IEError unless it is one."""
    from ie_ctypes.devices.base import Device

    found: Any = importlib.import_module(module)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as e:
        raise IEError(str(e)) from None
    if not isinstance(found, type) or not issubclass(found, Device):
        raise IEError(f"{module}.{name} is not a subclass of ie_ctypes.devices.Device")
    return found()


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f'Device with "{name}" name is not registered in the InferenceEngine')


def split_name(device_name: str, config: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Base name and configuration of a full name: ``CPU.1`` gives DEVICE_ID, ``HETERO:A,B`` TARGET_FALLBACK and so on."""
    config = dict(config)
    base, colon, rest = device_name.partition(":")
    if colon and base in COMPOSITE:
        config[COMPOSITE[base]] = rest
        return base, config
    base, dot, rest = device_name.partition(".")
    if dot:
        config["DEVICE_ID"] = rest
    return base, config
