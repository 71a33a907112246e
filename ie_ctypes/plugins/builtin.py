# SPDX-License-Identifier: Apache-2.0
"""What comes with the package, provided through the same hooks as third parties' plugins and switched off in the same way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ie_ctypes.plugins.hookspecs import hookimpl
from ie_ctypes.plugins.kernels import Declared
from ie_ctypes.plugins.records import Device, Reader, Subcommand

if TYPE_CHECKING:
    from ie_ctypes.devices.base import Device as DeviceBase
    from ie_ctypes.model.graph import Graph


def _cpu() -> DeviceBase:
    from ie_ctypes.devices.cpu import CpuDevice

    return CpuDevice()


def _reference() -> DeviceBase:
    from ie_ctypes.devices.reference import ReferenceDevice

    return ReferenceDevice()


def _gpu() -> DeviceBase:
    from ie_ctypes.devices.gpu import GpuDevice

    return GpuDevice()


def _hetero() -> DeviceBase:
    from ie_ctypes.devices.hetero import HeteroDevice

    return HeteroDevice()


def _multi() -> DeviceBase:
    from ie_ctypes.devices.multi import MultiDevice

    return MultiDevice()


def _read_ir(model: Any, weights: Any) -> Graph:
    from ie_ctypes.model.readers import read_ir

    return read_ir(model, weights)


def _read_onnx(model: Any, weights: Any) -> Graph:
    from ie_ctypes.model.readers import read_onnx

    return read_onnx(model)  # the weights are in it


class _Devices:
    """A plugin that provides devices."""

    def __init__(self, *records: Device) -> None:
        self._records = records

    @hookimpl
    def ie_ctypes_devices(self) -> Sequence[Device]:
        return self._records


class _Virtual:
    """The virtual devices that the environment asks for."""

    @hookimpl
    def ie_ctypes_devices(self) -> Sequence[Device]:
        wanted = os.environ.get("IE_CTYPES_VIRTUAL_DEVICES", "")
        if not wanted.strip():
            return ()
        from ie_ctypes.devices.virtual import requested

        return [Device(name=name, driver=make) for name, make in requested(wanted).items()]


class _Readers:
    """A plugin that provides readers."""

    def __init__(self, *records: Reader) -> None:
        self._records = records

    @hookimpl
    def ie_ctypes_readers(self) -> Sequence[Reader]:
        return self._records


class _Commands:
    """The subcommands that come with the package."""

    @hookimpl
    def ie_ctypes_subcommands(self) -> Sequence[Subcommand]:
        from ie_ctypes.cli import commands

        return commands()


#: plugin name -> plugin
PLUGINS: dict[str, object] = {
    "builtin.cpu": _Devices(Device(name="CPU", driver=_cpu, aliases=("MKLDNNPlugin", "openvino_intel_cpu_plugin"))),
    "builtin.gpu": _Devices(Device(name="GPU", driver=_gpu, aliases=("clDNNPlugin", "openvino_intel_gpu_plugin"))),
    "builtin.reference": _Devices(Device(name="REFERENCE", driver=_reference)),
    "builtin.hetero": _Devices(Device(name="HETERO", driver=_hetero, aliases=("HeteroPlugin",))),
    "builtin.multi": _Devices(Device(name="MULTI", driver=_multi, aliases=("MultiDevicePlugin",))),
    "builtin.virtual": _Virtual(),
    "builtin.declared": Declared(),
    "builtin.ir": _Readers(Reader(name="ir", read=_read_ir, suffixes=(".xml",), begins=(b"<",))),
    # An ONNX model begins with its version field; an XML text cannot begin with this byte.
    "builtin.onnx": _Readers(Reader(name="onnx", read=_read_onnx, suffixes=(".onnx", ".prototxt"), begins=(b"\x08",))),
    "builtin.commands": _Commands(),
}
