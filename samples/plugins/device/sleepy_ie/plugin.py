# SPDX-License-Identifier: Apache-2.0
"""What ie_ctypes is told of this package. The device's module is imported when somebody uses it."""

from collections.abc import Iterator

from ie_ctypes.devices import Device as DeviceBase
from ie_ctypes.plugins import Device, hookimpl


def _create() -> DeviceBase:
    from sleepy_ie.device import SleepyDevice

    return SleepyDevice()


@hookimpl
def ie_ctypes_devices() -> Iterator[Device]:
    """SLEEPY."""
    yield Device(name="SLEEPY", driver=_create)
