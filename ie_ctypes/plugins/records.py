# SPDX-License-Identifier: Apache-2.0
"""What plugins hand over: frozen records. Nothing that a record names is opened or called before it is used."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ie_ctypes.record import Record

if TYPE_CHECKING:
    import argparse

    from ie_ctypes.devices.base import Device as DeviceBase
    from ie_ctypes.model.graph import Graph

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class Device(Record, frozen=True, kw_only=True):
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


class Kernel(Record, frozen=True, kw_only=True, eq=False):
    """A layer type in Python: made by :func:`ie_ctypes.plugins.kernel`, called like the function that it decorates.

    ``shape(params, *inputs, **blobs)`` gives the shape of the output, or a list of shapes for several; inputs have ``shape``, ``dtype``
    and, when constant, ``data``. Without it the shapes are the file's. ``function(params, *arrays, **blobs)`` gives the output, or a
    list; without it kernels of C extensions run the layer. ``dtypes`` are the numpy type names of the outputs, else those of the file.
    ``opset`` limits it to operations of that set. A ``priority`` of 100 or more replaces a built-in type of that name.
    """

    type: str
    function: Callable[..., Any] | None
    shape: Callable[..., Any] | None = None
    device: str = "CPU"
    dtypes: tuple[str, ...] = ()
    opset: str = ""
    priority: int = 100

    def __post_init__(self) -> None:
        if not self.type:
            raise ValueError("a kernel needs a layer type")
        if not _NAME.fullmatch(self.device):
            raise ValueError(f"kernel {self.type}: device {self.device!r}, expected upper-case letters, digits and underscores")
        if self.priority < 1:
            raise ValueError(f"kernel {self.type}: priority {self.priority}, expected at least 1")

    def __call__(self, *arguments: Any, **blobs: Any) -> Any:
        if self.function is None:
            raise TypeError(f"kernel {self.type} has no function")
        return self.function(*arguments, **blobs)


class Extension(Record, frozen=True, kw_only=True):
    """Layers for a device: a C library (``library`` gives its path when the device is first used) or Python kernels; one of the two."""

    name: str
    device: str = "CPU"
    library: Callable[[], str] | None = None
    kernels: tuple[Kernel, ...] = ()

    def __post_init__(self) -> None:
        if (self.library is None) == (not self.kernels):
            raise ValueError(f"extension {self.name}: exactly one of library and kernels is needed")


class Reader(Record, frozen=True, kw_only=True):
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


class Subcommand(Record, frozen=True, kw_only=True):
    """``python -m ie_ctypes NAME``: ``configure`` adds the arguments to its parser, ``run`` gives the exit status."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    configure: Callable[[argparse.ArgumentParser], None] | None = None
