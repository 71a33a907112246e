# SPDX-License-Identifier: Apache-2.0
"""TensorDesc and Blob: a description of a tensor, and memory that follows it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ie_ctypes.api.constants import layout_str_to_enum
from ie_ctypes.api.errors import InvalidValueError, check_rank
from ie_ctypes.errors import NotAllocatedError, ParameterMismatchError
from ie_ctypes.model.layouts import default_layout

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

#: numpy type of a blob of each precision. BF16 stands in float16 as raw bits; one byte holds one BIN, I4 or U4 value.
format_map: dict[str, DTypeLike] = {
    "FP32": np.float32, "FP64": np.float64, "FP16": np.float16, "I64": np.int64, "U64": np.uint64, "I32": np.int32, "U32": np.uint32,
    "I16": np.int16, "U16": np.uint16, "I8": np.int8, "BIN": np.int8, "I4": np.int8, "U4": np.int8, "U8": np.uint8, "BOOL": np.uint8,
    "BF16": np.float16,
}  # fmt: skip


class TensorDesc:
    """Precision, dimensions (logical order N, C, D, H, W) and layout of a tensor.

    Raises ``ValueError`` for an unknown precision, ``KeyError`` for an unknown layout given to the constructor and
    :class:`~ie_ctypes.errors.ParameterMismatchError` when the layout does not have that many dimensions.
    """

    __slots__ = ("_dims", "_layout", "_precision")

    def __init__(self, precision: str, dims: Iterable[int], layout: str):
        self._precision = _precision(precision)
        self._dims = tuple(int(d) for d in dims)
        if layout not in layout_str_to_enum:
            raise KeyError(layout)
        check_rank(layout, len(self._dims))
        self._layout = layout

    @property
    def precision(self) -> str:
        return self._precision

    @precision.setter
    def precision(self, value: str) -> None:
        self._precision = _precision(value)

    @property
    def dims(self) -> list[int]:
        return list(self._dims)

    @dims.setter
    def dims(self, value: Iterable[int]) -> None:
        dims = tuple(int(d) for d in value)
        check_rank(self._layout, len(dims))
        self._dims = dims

    @property
    def layout(self) -> str:
        return self._layout

    @layout.setter
    def layout(self, value: str) -> None:
        if value not in layout_str_to_enum:
            raise InvalidValueError(f"Unsupported layout {value}! List of supported layouts: {list(layout_str_to_enum)}")
        check_rank(value, len(self._dims))
        self._layout = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorDesc):
            return NotImplemented
        return (self._precision, self._dims, self._layout) == (other._precision, other._dims, other._layout)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TensorDesc({self._precision!r}, {self._dims}, {self._layout!r})"


def _precision(value: str) -> str:
    if value not in format_map:
        raise InvalidValueError(f"Unsupported precision {value}! List of supported precisions: {list(format_map)}")
    return value


class Blob:
    """Memory of a tensor.

    ``Blob(desc)`` allocates; ``Blob(desc, array)`` shares the array's memory when it is C-contiguous, else takes a copy. ``buffer``
    is a numpy view of the memory in the array's own shape, or in ``desc.dims``: the layout never permutes it, so the buffer of an
    NHWC blob allocated for dims [1, 3, H, W] has that shape over memory in NHWC order.
    Raises ``AttributeError`` for a wrong number of elements, ``ValueError`` for a wrong type.
    """

    def __init__(self, tensor_desc: TensorDesc | None = None, array: np.ndarray | None = None):
        self._desc: TensorDesc | None = None
        self._buffer: np.ndarray | None = None
        if tensor_desc is None:
            if array is not None:
                raise ParameterMismatchError("Blob: an array needs a TensorDesc")
            return
        if not isinstance(tensor_desc, TensorDesc):
            raise TypeError(f"Argument 'tensor_desc' has incorrect type (expected TensorDesc, got {type(tensor_desc).__name__})")
        self._desc = TensorDesc(tensor_desc.precision, tensor_desc.dims, tensor_desc.layout)
        dims, precision = self._desc.dims, self._desc.precision
        if array is None:
            self._buffer = np.empty(dims or (1,), dtype=format_map[precision])
            return
        array = np.asarray(array)
        if array.size != math.prod(dims):
            raise InvalidValueError(
                f"Number of elements in provided numpy array {array.size} and required by TensorDesc {math.prod(dims)} are not equal"
            )
        if not _holds(precision, array.dtype):
            raise ParameterMismatchError(
                f"Data type {array.dtype} of provided numpy array doesn't match to TensorDesc precision {precision}"
            )
        self._buffer = np.ascontiguousarray(array) if array.ndim else array.reshape(1)

    @classmethod
    def _over(cls, desc: TensorDesc, memory: np.ndarray) -> Blob:
        """A blob over memory that a request owns; ``memory`` is C-contiguous and has the shape to be shown."""
        blob = cls()
        blob._desc, blob._buffer = desc, memory
        return blob

    @property
    def buffer(self) -> np.ndarray:
        """numpy view of the memory (writable unless the blob is constant)."""
        if self._buffer is None:
            raise NotAllocatedError("[NOT_ALLOCATED] Blob has no memory: it was made without a TensorDesc")
        return self._buffer

    @property
    def tensor_desc(self) -> TensorDesc:
        """A copy of the description."""
        if self._desc is None:
            raise NotAllocatedError("[NOT_ALLOCATED] Blob has no description: it was made without a TensorDesc")
        return TensorDesc(self._desc.precision, self._desc.dims, self._desc.layout)

    def __deepcopy__(self, memo: dict[int, Any]) -> Blob:
        if self._buffer is None or self._desc is None:
            return Blob()
        return Blob._over(self.tensor_desc, self._buffer.copy())

    def __repr__(self) -> str:
        return f"Blob({self._desc!r})" if self._desc is not None else "Blob()"


def _holds(precision: str, dtype: np.dtype[Any]) -> bool:
    """Can an array of ``dtype`` be the memory of ``precision``? 16-bit floats may come as raw int16, BOOL as numpy bool."""
    if dtype == np.dtype(format_map[precision]):
        return True
    if precision in ("FP16", "BF16"):
        return dtype in (np.dtype(np.int16), np.dtype(np.uint16))
    return precision == "BOOL" and dtype == np.dtype(np.bool_)


def desc_of(precision: str, shape: Iterable[int], layout: str = "") -> TensorDesc:
    """The description of a network tensor; an unset layout is the default of the rank."""
    shape = tuple(shape)
    return TensorDesc(precision, shape, layout or default_layout(len(shape)))
