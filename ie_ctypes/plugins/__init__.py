# SPDX-License-Identifier: Apache-2.0
"""The doors for third parties: hooks and the records that they return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ie_ctypes.plugins.records import Device, Extension, Kernel, Reader, Subcommand

if TYPE_CHECKING:
    from ie_ctypes.plugins.hookspecs import hookimpl
    from ie_ctypes.plugins.kernels import kernel

__all__ = ["Device", "Extension", "Kernel", "Reader", "Subcommand", "hookimpl", "kernel"]


def __getattr__(name: str) -> Any:
    """``hookimpl`` and ``kernel`` on demand: importing the package must not cost the import of pluggy."""
    if name == "hookimpl":
        from ie_ctypes.plugins.hookspecs import hookimpl

        return hookimpl
    if name == "kernel":
        from ie_ctypes.plugins.kernels import kernel

        return kernel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
