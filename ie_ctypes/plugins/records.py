# SPDX-License-Identifier: Apache-2.0
"""What plugins hand over."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ie_ctypes.devices.base import Device as DeviceBase

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that a plugin provides: exactly one of ``driver`` and ``library``; neither is called before the device is used.

    ``driver`` makes a :class:`ie_ctypes.devices.base.Device`; ``library`` gives the path of a shared library with a C driver. ``aliases``
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
        from ie_ctypes.devices.native import load_driver

        assert self.library is not None
        return load_driver(self.library(), self.name)
