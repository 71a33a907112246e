# SPDX-License-Identifier: Apache-2.0
"""The devices of one IECore: records by name, instances made at first use, and how device names are read."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ie_ctypes.api.workers import WorkerPool
from ie_ctypes.errors import IEError, NotFoundError
from ie_ctypes.plugins.records import Device as Record
from ie_ctypes.plugins.records import python_device

if TYPE_CHECKING:
    from ie_ctypes.devices.base import Device
    from ie_ctypes.plugins.manager import PluginManager

_PREFIX = "" if sys.platform == "win32" else "lib"
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
#: Devices made of others, and the key that their part of the name behind ":" goes to.
COMPOSITE = {"HETERO": "TARGET_FALLBACK", "MULTI": "MULTI_DEVICE_PRIORITIES"}


@dataclass
class Entry:
    """A registered device."""

    name: str
    location: str  # library file name, for messages
    record: Record | None  # None: ``location`` is a library for the loader
    properties: dict[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    device: Device | None = None
    exclusive: WorkerPool = field(default_factory=lambda: WorkerPool(1))


class Registry:
    """Devices by name, sorted. Every method may be called from any thread."""

    def __init__(self, xml_config_file: str, manager: PluginManager):
        self._lock = threading.RLock()
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
        """Register a device by library name (without prefix and suffix), name of a device that a plugin provides, or class."""
        with self._lock:
            if device_name in self._entries:
                raise IEError(f'Device with "{device_name}"  is already registered in the InferenceEngine')
            if "." in device_name:
                raise IEError("Device name must not contain dot '.' symbol")
            record = self._known(plugin_name)
            whole = os.path.dirname(plugin_name) or record is not None
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

    def _known(self, name: str) -> Record | None:
        """The record of a device that a plugin provides, or of a device class given by its dotted name."""
        found = next((r for r in self._records.values() if name == r.name or name in r.aliases), None)
        return found or python_device(name)

    def forget(self, device_name: str) -> None:
        """Drop the instance of a device; the registration stays, so that the next use makes a new one."""
        with self._lock:
            entry = self._entries.get(device_name)
            if entry is None or entry.device is None:
                raise _unknown(device_name)
            entry.device = None

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

    def _create(self, entry: Entry) -> Device:
        from ie_ctypes.devices.base import CompositeDevice

        try:
            record = entry.record or Record(name="EXTERNAL", library=lambda: entry.location)
            device = record.create()
            if isinstance(device, CompositeDevice):
                device.find = self.find
            if entry.properties:
                device.set_config(entry.properties)
            if entry.extensions:
                raise IEError(f"extensions {', '.join(entry.extensions)} cannot be loaded: extension libraries are not supported yet")
            return device
        except (RuntimeError, OSError, ImportError) as e:
            raise IEError(f"Failed to create plugin {entry.location} for device {entry.name}\nPlease, check your environment\n{e}\n") from e

    def is_created(self, name: str) -> bool:
        """Is there an instance of the device?"""
        with self._lock:
            return name in self._entries and self._entries[name].device is not None


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
