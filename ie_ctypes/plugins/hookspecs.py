# SPDX-License-Identifier: Apache-2.0
"""Hooks that plugins implement. The entry-point group and the prefix of every hook is ``ie_ctypes``."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from ie_ctypes.plugins.records import Device

PROJECT = "ie_ctypes"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ie_ctypes_devices() -> Iterable[Device]:  # type: ignore[empty-body]
    """Devices that the plugin provides. Called at the first IECore."""
