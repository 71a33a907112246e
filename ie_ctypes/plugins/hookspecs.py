# SPDX-License-Identifier: Apache-2.0
"""Hooks that plugins implement. The entry-point group and the prefix of every hook is ``ie_ctypes``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pluggy

from ie_ctypes.plugins.records import Device, Extension, Kernel, Reader, Subcommand

if TYPE_CHECKING:
    from ie_ctypes.api.executable import ExecutableNetwork

PROJECT = "ie_ctypes"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ie_ctypes_devices() -> Iterable[Device]:  # type: ignore[empty-body]
    """Devices that the plugin provides. Called at every IECore."""


@hookspec
def ie_ctypes_extensions() -> Iterable[Extension]:  # type: ignore[empty-body]
    """Libraries and Python kernels with layers for a device. Called when a network is loaded; a library is opened once."""


@hookspec
def ie_ctypes_kernels(device: str) -> Iterable[Kernel]:  # type: ignore[empty-body]
    """Python kernels for a device; those for other devices are left out. Called when a network is loaded."""


@hookspec
def ie_ctypes_readers() -> Iterable[Reader]:  # type: ignore[empty-body]
    """File formats that the plugin reads. Called when a network is read."""


@hookspec
def ie_ctypes_subcommands() -> Iterable[Subcommand]:  # type: ignore[empty-body]
    """Commands of ``python -m ie_ctypes``. Called when it starts."""


@hookspec(firstresult=True)
def ie_ctypes_default_device(available: Sequence[str]) -> str | None:
    """The device that ``AUTO`` stands for, one of ``available``; None leaves the choice to others. Called when a network is loaded."""


@hookspec
def ie_ctypes_network_compiled(exec_network: ExecutableNetwork) -> None:
    """Told of every network that was loaded on a device."""
