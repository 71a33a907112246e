# SPDX-License-Identifier: Apache-2.0
"""Tests for those who make devices: a class to derive from."""

from ie_ctypes.testing.conformance import DeviceConformance

__all__ = ["DeviceConformance"]
