# SPDX-License-Identifier: Apache-2.0
"""The legacy Inference Engine Python API (2019 R3 and the names of later releases) over a small C runtime."""

from typing import TYPE_CHECKING, Any

from ie_ctypes._version import __version__ as _build

if TYPE_CHECKING:
    from ie_ctypes.api.blob import Blob, TensorDesc, format_map
    from ie_ctypes.api.codes import ColorFormat, MeanVariant, ResizeAlgorithm, StatusCode, WaitMode
    from ie_ctypes.api.constants import (
        known_plugins,
        layout_int_to_str_map,
        layout_str_to_enum,
        supported_layouts,
        supported_precisions,
    )
    from ie_ctypes.api.core import IECore
    from ie_ctypes.api.data import CDataPtr, DataPtr, InputInfo, InputInfoCPtr, InputInfoPtr, OutputInfo
    from ie_ctypes.api.executable import ExecutableNetwork
    from ie_ctypes.api.layer import IENetLayer, LayersStatsMap, LayerStats
    from ie_ctypes.api.network import IENetwork
    from ie_ctypes.api.plugin import IEPlugin
    from ie_ctypes.api.preprocess import PreProcessChannel, PreProcessInfo
    from ie_ctypes.api.request import InferRequest
    from ie_ctypes.errors import IEError

#: Module -> the names of the API that live there. They are imported when they are first asked for: a script that needs IECore does not wait
#: for the rest.
_HOMES = {
    "ie_ctypes.api.blob": "Blob TensorDesc format_map",
    "ie_ctypes.api.codes": "ColorFormat MeanVariant ResizeAlgorithm StatusCode WaitMode",
    "ie_ctypes.api.constants": "known_plugins layout_int_to_str_map layout_str_to_enum supported_layouts supported_precisions",
    "ie_ctypes.api.core": "IECore",
    "ie_ctypes.api.data": "CDataPtr DataPtr InputInfo InputInfoCPtr InputInfoPtr OutputInfo",
    "ie_ctypes.api.executable": "ExecutableNetwork",
    "ie_ctypes.api.layer": "IENetLayer LayersStatsMap LayerStats",
    "ie_ctypes.api.network": "IENetwork",
    "ie_ctypes.api.plugin": "IEPlugin",
    "ie_ctypes.api.preprocess": "PreProcessChannel PreProcessInfo",
    "ie_ctypes.api.request": "InferRequest",
    "ie_ctypes.errors": "IEError",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def get_version() -> str:
    """Version of the Inference Engine API and of this package: ``2.1.<package version>``."""
    return f"2.1.{_build}"


def get_include() -> str:
    """The folder of the C headers for drivers and extensions: ``cc -I...``, ``#include "iec/driver.h"``."""
    from importlib.resources import files

    package = files("ie_ctypes")
    installed, tree = package / "include", package / ".." / "csrc" / "include"
    return str(installed if installed.is_dir() or not tree.is_dir() else tree)


__version__ = get_version()

__all__ = [
    "Blob",
    "CDataPtr",
    "ColorFormat",
    "DataPtr",
    "ExecutableNetwork",
    "IECore",
    "IEError",
    "IENetLayer",
    "IENetwork",
    "IEPlugin",
    "InferRequest",
    "InputInfo",
    "InputInfoCPtr",
    "InputInfoPtr",
    "LayerStats",
    "LayersStatsMap",
    "MeanVariant",
    "OutputInfo",
    "PreProcessChannel",
    "PreProcessInfo",
    "ResizeAlgorithm",
    "StatusCode",
    "TensorDesc",
    "WaitMode",
    "format_map",
    "get_include",
    "get_version",
    "known_plugins",
    "layout_int_to_str_map",
    "layout_str_to_enum",
    "supported_layouts",
    "supported_precisions",
]
