# SPDX-License-Identifier: Apache-2.0
"""Typed reading of runtime node attributes, for shape rules and references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ie_ctypes.model.ops.registry import Attrs
from ie_ctypes.model.program import TensorType


def int_attr(attrs: Attrs, name: str) -> int:
    """Integer attribute."""
    return int(cast(int, attrs[name]))


def float_attr(attrs: Attrs, name: str) -> float:
    """Number attribute."""
    return float(cast(float, attrs[name]))


def str_attr(attrs: Attrs, name: str, allowed: Sequence[str] = ()) -> str:
    """Text attribute; with ``allowed``, anything else is a ValueError."""
    text = cast(str, attrs[name])
    if allowed and text not in allowed:
        raise ValueError(f"{name} is {text!r}, expected one of {', '.join(allowed)}")
    return text


def ints_attr(attrs: Attrs, name: str) -> tuple[int, ...]:
    """Integer list attribute."""
    return tuple(int(v) for v in cast("tuple[int, ...]", attrs[name]))


def floats_attr(attrs: Attrs, name: str) -> tuple[float, ...]:
    """Number list attribute."""
    return tuple(float(v) for v in cast("tuple[float, ...]", attrs[name]))


def input_type(types: Sequence[TensorType | None], index: int) -> TensorType:
    """Type of an input that must be there."""
    found = types[index] if index < len(types) else None
    if found is None:
        raise ValueError(f"input {index} is missing")
    return found


def input_array(arrays: Sequence[np.ndarray | None], index: int) -> np.ndarray:
    """Array of an input that must be there."""
    found = arrays[index] if index < len(arrays) else None
    if found is None:
        raise ValueError(f"input {index} is missing")
    return found


def check_axis(axis: int, rank: int) -> int:
    """``axis`` itself when it lies in 0..rank-1."""
    if not 0 <= axis < rank:
        raise ValueError(f"axis is {axis}, expected 0..{rank - 1}")
    return axis
