# SPDX-License-Identifier: Apache-2.0
"""The doors for third parties: hooks and the records that they return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ie_ctypes.plugins.records import Device, Reader, Subcommand

if TYPE_CHECKING:
    from ie_ctypes.plugins.hookspecs import hookimpl

__all__ = ["Device", "Reader", "Subcommand", "hookimpl"]


def __getattr__(name: str) -> Any:
    """``hookimpl`` on demand: importing the package must not cost the import of pluggy."""
    if name == "hookimpl":
        from ie_ctypes.plugins.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
