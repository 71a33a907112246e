# SPDX-License-Identifier: Apache-2.0
"""Table of ONNX operators: how each becomes layers of the operation sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, Union

if TYPE_CHECKING:
    from ie_ctypes.model.readers.onnx.op import Op
    from ie_ctypes.model.readers.onnx.scope import Tensor

#: A tensor, a sequence of tensors whose length is known, or nothing (an optional without value).
Item: TypeAlias = Union["Tensor", "tuple[Tensor, ...]", None]
Result: TypeAlias = Union["Tensor", Sequence[Item]]
Converter: TypeAlias = "Callable[[Op], Result]"

CONVERTERS: dict[tuple[str, str], Converter] = {}

_C = TypeVar("_C", bound=Converter)


def onnx_op(*types: str, domain: str = "") -> Callable[[_C], _C]:
    """Register the converter of ONNX operators. It returns the first output, or a list of outputs; missing ones may be left out."""

    def register(function: _C) -> _C:
        for t in types:
            if (domain, t) in CONVERTERS:
                raise ValueError(f"ONNX operator {domain}:{t} is registered twice")
            CONVERTERS[domain, t] = function
        return function

    return register


def find(domain: str, op_type: str) -> Converter | None:
    """The converter of an operator, or None. ``ai.onnx`` is the default domain."""
    return CONVERTERS.get(("" if domain == "ai.onnx" else domain, op_type))
