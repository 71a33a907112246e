# SPDX-License-Identifier: Apache-2.0
"""Errors of the API that are also the builtin exception which one of its generations raised, and argument checks."""

from __future__ import annotations

from typing import Any

from ie_ctypes.api.constants import LAYOUT_RANK, supported_layouts, supported_precisions
from ie_ctypes.errors import NotFoundError, ParameterMismatchError


class InvalidValueError(ParameterMismatchError, AttributeError):
    """A property was given a value it cannot take: ``AttributeError`` of 2019, ``ValueError`` of later releases."""


class UnknownInputError(NotFoundError, AssertionError):
    """Data was given for an input that the network does not have."""


class UnknownNameError(NotFoundError, AttributeError):
    """``reshape`` names an input that the network does not have."""


class MissingFileError(NotFoundError, FileNotFoundError):
    """A model or weights path does not exist or is a directory."""


def check_type(value: Any, kind: type, argument: str) -> None:
    """Raise the ``TypeError`` of a typed argument when ``value`` is not a ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"Argument '{argument}' has incorrect type (expected {kind.__name__}, got {type(value).__name__})")


def check_config(config: dict[str, str] | None) -> dict[str, str]:
    """A copy of a configuration; keys and values that are not ``str`` raise ``TypeError``."""
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise TypeError(f"Argument 'config' has incorrect type (expected dict, got {type(config).__name__})")
    if not all(type(k) is str and type(v) is str for k, v in config.items()):
        raise TypeError("Only string keys and values are allowed!")
    return dict(config)


def check_precision(value: str) -> str:
    """The precision in upper case, or :class:`InvalidValueError`."""
    if isinstance(value, str) and value.upper() in supported_precisions:
        return value.upper()
    raise InvalidValueError(f"Unsupported precision {value}! List of supported precisions: {supported_precisions}")


def check_layout(value: str, rank: int) -> str:
    """The layout in upper case, or :class:`InvalidValueError`; a layout of another rank is :class:`ParameterMismatchError`."""
    if not isinstance(value, str) or value.upper() not in supported_layouts:
        raise InvalidValueError(f"Unsupported layout {value}! List of supported layouts: {supported_layouts}")
    check_rank(value.upper(), rank)
    return value.upper()


def check_rank(layout: str, rank: int) -> None:
    """Raise when ``layout`` demands another number of dimensions."""
    if LAYOUT_RANK.get(layout, rank) != rank:
        raise ParameterMismatchError(f"Size of dims({rank}) and format({layout}) are inconsistent.")
