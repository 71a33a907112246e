# SPDX-License-Identifier: Apache-2.0
"""libiec for the rest of the package. Only this package imports ctypes; the library loads when it is first used."""

from ie_ctypes.runtime.library import path as library_path
from ie_ctypes.runtime.objects import CpuInfo, Device, Executable, Graph, Request, cpu_info, version

__all__ = [
    "CpuInfo",
    "Device",
    "Executable",
    "Graph",
    "Request",
    "cpu_info",
    "library_path",
    "version",
]
