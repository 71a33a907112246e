# SPDX-License-Identifier: Apache-2.0
"""What ie_ctypes is told of this package. The library is opened when somebody uses the device."""

from collections.abc import Iterator
from importlib.resources import files

from ie_ctypes.plugins import Device, hookimpl


@hookimpl
def ie_ctypes_devices() -> Iterator[Device]:
    """ACME."""
    yield Device(name="ACME", library=lambda: str(files("acme_ie") / "libiec_acme.so"))
