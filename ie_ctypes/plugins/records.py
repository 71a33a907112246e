# SPDX-License-Identifier: Apache-2.0
"""What plugins hand over: frozen records. Nothing that a record names is opened or called before it is used."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from ie_ctypes.devices.base import Device as DeviceBase
    from ie_ctypes.model.graph import Graph

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that a plugin provides: exactly one of ``driver`` and ``library``; neither is called before the device is used.

    ``driver`` makes a :class:`ie_ctypes.devices.Device`; ``library`` gives the path of a shared library with a C driver. ``aliases``
    are library names that ``register_plugin`` and plugins.xml may use for it, without prefix and suffix.
    """

    name: str
    driver: Callable[[], DeviceBase] | None = None
    library: Callable[[], str] | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"device name {self.name!r}, expected upper-case letters, digits and underscores")
        if (self.driver is None) == (self.library is None):
            raise ValueError(f"device {self.name}: exactly one of driver and library is needed")

    def create(self) -> DeviceBase:
        """A new instance of the device."""
        if self.driver is not None:
            return self.driver()
        from ie_ctypes.devices.native import NativeDevice

        assert self.library is not None
        return NativeDevice(self.name, path=self.library())


def python_device(location: str) -> Device | None:
    """The record of a device class by its dotted name, ``package.module.Class``; None for a text that is none, such as ``libacme.so``."""
    module, _, name = location.rpartition(".")
    if not module or not all(map(str.isidentifier, location.split("."))) or name in ("so", "dll", "dylib"):
        return None

    def create() -> DeviceBase:
        from ie_ctypes.devices.base import Device as DeviceBase
        from ie_ctypes.errors import IEError

        found = getattr(importlib.import_module(module), name, None)
        if not (isinstance(found, type) and issubclass(found, DeviceBase)):
            raise IEError(f"{location} is no subclass of ie_ctypes.devices.base.Device")
        return found()

    return Device(name="EXTERNAL", driver=create)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A file format: ``read(model, weights)`` makes the graph of a network.

    ``suffixes`` are the ends of file names, with the dot, in lower case; ``begins`` the first bytes by which a model in memory is known.
    ``model`` is a path, bytes-like or a binary file object; ``weights`` the same or None.
    """

    name: str
    read: Callable[[Any, Any], Graph]
    suffixes: tuple[str, ...]
    begins: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not self.suffixes or not all(s.startswith(".") and s == s.lower() for s in self.suffixes):
            raise ValueError(f"reader {self.name}: suffixes {self.suffixes}, expected some, each with a dot in front and in lower case")


@dataclass(frozen=True, kw_only=True)
class Subcommand:
    """``python -m ie_ctypes NAME``: ``configure`` adds the arguments to its parser, ``run`` gives the exit status."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    configure: Callable[[argparse.ArgumentParser], None] | None = None
