# SPDX-License-Identifier: Apache-2.0
"""A device for the tests that name one by module and class."""

from __future__ import annotations

from ie_ctypes.devices.reference import ReferenceDevice


class Outer:
    """Holds a device."""

    class Inner(ReferenceDevice):
        """REFERENCE under another description."""

        description = "inner"


class Fails(ReferenceDevice):
    """Cannot be made."""

    def __init__(self) -> None:
        raise ZeroDivisionError("no power")


class NoDevice:
    """Something else."""
