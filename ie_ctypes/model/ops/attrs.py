# SPDX-License-Identifier: Apache-2.0
"""Typed reading of runtime node attributes and inputs, for shape rules and references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ie_ctypes.model.ops.registry import Attrs
from ie_ctypes.model.program import Shape, TensorType

__all__ = [
    "FLOAT", "NUMBERS", "Attrs", "array", "broadcast", "check_axis", "expect_axes", "expect_dtype", "expect_rank", "integer", "integers",
    "number", "numbers", "optional", "tensor", "text",
]  # fmt: skip

FLOAT = ("float32",)
NUMBERS = ("float32", "int32", "int64")


def integer(attrs: Attrs, name: str, default: int | None = None) -> int:
    """Integer attribute."""
    return int(cast(int, attrs[name] if default is None else attrs.get(name, default)))


def number(attrs: Attrs, name: str, default: float | None = None) -> float:
    """Number attribute."""
    return float(cast(float, attrs[name] if default is None else attrs.get(name, default)))


def text(attrs: Attrs, name: str, allowed: Sequence[str] = ()) -> str:
    """Text attribute; with ``allowed``, anything else is a ValueError."""
    value = cast(str, attrs[name])
    if allowed and value not in allowed:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
    return value


def integers(attrs: Attrs, name: str) -> tuple[int, ...]:
    """Integer list attribute."""
    values: Any = attrs[name]
    return tuple(map(int, values))


def numbers(attrs: Attrs, name: str) -> tuple[float, ...]:
    """Number list attribute."""
    values: Any = attrs[name]
    return tuple(map(float, values))


def tensor(types: Sequence[TensorType | None], index: int) -> TensorType:
    """Type of an input that must be there."""
    found = types[index] if index < len(types) else None
    if found is None:
        raise ValueError(f"input {index} is missing")
    return found


def array(arrays: Sequence[np.ndarray | None], index: int) -> np.ndarray:
    """Array of an input that must be there."""
    found = arrays[index] if index < len(arrays) else None
    if found is None:
        raise ValueError(f"input {index} is missing")
    return found


def optional(arrays: Sequence[np.ndarray | None], index: int) -> np.ndarray | None:
    """Array of an input that may be absent, or beyond the end of the list."""
    return arrays[index] if index < len(arrays) else None


def expect_dtype(types: Sequence[TensorType | None], allowed: Sequence[str]) -> str:
    """The one type of all inputs, which is one of ``allowed``; else a ValueError."""
    found = [t.dtype for t in types if t is not None]
    for dtype in found:
        if dtype not in allowed:
            raise ValueError(f"element type {dtype} is not supported, expected {' or '.join(allowed)}")
        if dtype != found[0]:
            raise ValueError(f"inputs have different element types: {', '.join(found)}")
    return found[0]


def broadcast(*shapes: Shape) -> Shape:
    """Shape of a numpy broadcast; shapes that do not fit are a ValueError."""
    rank = max(map(len, shapes))
    out = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            if size not in (1, out[i]):
                if out[i] != 1:
                    raise ValueError(f"shapes {' and '.join(str(list(s)) for s in shapes)} cannot be broadcast")
                out[i] = size
    return tuple(out)


def check_axis(axis: int, rank: int) -> int:
    """``axis`` itself when it lies in 0..rank-1; else a ValueError."""
    if not 0 <= axis < rank:
        raise ValueError(f"axis is {axis}, expected 0..{rank - 1}")
    return axis


def expect_axes(axes: Sequence[int], rank: int) -> None:
    """Every axis lies in 0..rank-1, none twice; else a ValueError."""
    for axis in axes:
        check_axis(axis, rank)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axes {list(axes)} repeat")


def expect_rank(t: TensorType, low: int, high: int, what: str = "input 0") -> int:
    """Rank of ``t``; outside of ``low``..``high`` it is a ValueError."""
    if not low <= len(t.shape) <= high:
        raise ValueError(f"{what} has shape {list(t.shape)}, expected rank {low} to {high}")
    return len(t.shape)
