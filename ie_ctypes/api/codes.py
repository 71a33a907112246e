# SPDX-License-Identifier: Apache-2.0
"""Enumerations of the Inference Engine Python API (values: CONFIG.md of the reference texts). IECore() does not need them."""

from __future__ import annotations

from enum import IntEnum


class _Code(IntEnum):
    """An integer with a name; prints as the integer in every Python version."""

    def __str__(self) -> str:
        return str(int(self))


class StatusCode(_Code):
    """What ``InferRequest.wait`` returns and completion callbacks receive."""

    OK = 0
    GENERAL_ERROR = -1
    NOT_IMPLEMENTED = -2
    NETWORK_NOT_LOADED = -3
    PARAMETER_MISMATCH = -4
    NOT_FOUND = -5
    OUT_OF_BOUNDS = -6
    UNEXPECTED = -7
    REQUEST_BUSY = -8
    RESULT_NOT_READY = -9
    NOT_ALLOCATED = -10
    INFER_NOT_STARTED = -11
    NETWORK_NOT_READ = -12
    INFER_CANCELLED = -13


class WaitMode(_Code):
    """Special timeouts of ``wait``."""

    RESULT_READY = -1
    STATUS_ONLY = 0


class MeanVariant(_Code):
    """How the mean of an input is given."""

    MEAN_IMAGE = 0
    MEAN_VALUE = 1
    NONE = 2


class ResizeAlgorithm(_Code):
    """How a blob of another height and width is brought to the size of the input."""

    NO_RESIZE = 0
    RESIZE_BILINEAR = 1
    RESIZE_AREA = 2


class ColorFormat(_Code):
    """Colour order of the blob given; every one but RAW is converted to BGR."""

    RAW = 0
    RGB = 1
    BGR = 2
    RGBX = 3
    BGRX = 4
    NV12 = 5
    I420 = 6
