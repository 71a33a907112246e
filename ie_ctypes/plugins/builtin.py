# SPDX-License-Identifier: Apache-2.0
"""The devices that come with the package, provided through the same hook as third parties' ones."""

from __future__ import annotations

from collections.abc import Iterable

from ie_ctypes.devices.base import Device as DeviceBase
from ie_ctypes.plugins.hookspecs import hookimpl
from ie_ctypes.plugins.records import Device


def _cpu() -> DeviceBase:
    from ie_ctypes.devices.cpu import CpuDevice

    return CpuDevice()


def _reference() -> DeviceBase:
    from ie_ctypes.devices.reference import ReferenceDevice

    return ReferenceDevice()


@hookimpl
def ie_ctypes_devices() -> Iterable[Device]:
    """CPU and REFERENCE."""
    yield Device(name="CPU", driver=_cpu, aliases=("MKLDNNPlugin", "openvino_intel_cpu_plugin"))
    yield Device(name="REFERENCE", driver=_reference)
