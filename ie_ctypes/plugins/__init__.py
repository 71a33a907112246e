# SPDX-License-Identifier: Apache-2.0
"""The doors for third parties: hooks and the records that they return."""

from ie_ctypes.plugins.hookspecs import hookimpl
from ie_ctypes.plugins.records import Device

__all__ = ["Device", "hookimpl"]
