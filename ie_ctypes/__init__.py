# SPDX-License-Identifier: Apache-2.0
"""The legacy Inference Engine Python API (2019 R3 and the names of later releases) over a small C runtime."""

from ie_ctypes._version import __version__ as _build
from ie_ctypes.api.blob import Blob, TensorDesc
from ie_ctypes.api.constants import (
    ColorFormat,
    MeanVariant,
    ResizeAlgorithm,
    StatusCode,
    WaitMode,
    format_map,
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


def get_version() -> str:
    """Version of the Inference Engine API and of this package: ``2.1.<package version>``."""
    return f"2.1.{_build}"


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
    "get_version",
    "known_plugins",
    "layout_int_to_str_map",
    "layout_str_to_enum",
    "supported_layouts",
    "supported_precisions",
]
