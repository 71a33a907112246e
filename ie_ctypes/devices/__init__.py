# SPDX-License-Identifier: Apache-2.0
"""Devices. A device in Python is a subclass of :class:`Device`."""

from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, Request

__all__ = ["Device", "Executable", "Parameter", "PerfCount", "Request"]
