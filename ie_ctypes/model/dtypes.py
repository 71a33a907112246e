# SPDX-License-Identifier: Apache-2.0
"""Precisions: legacy names and codes, element types of IR v10/v11, and the numpy type that holds each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ie_ctypes.record import Record

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class Precision(Record, frozen=True, kw_only=True):
    """One precision. ``numpy`` names the type of the array that holds it (``BF16`` as its bits, types under 8 bits as packed bytes)."""

    name: str  # legacy spelling, "FP32"
    code: int  # value in the Inference Engine enum
    bits: int
    element_type: str  # spelling in IR v10/v11, "f32"; "" when there is none
    numpy: str

    def bytes_for(self, elements: int) -> int:
        """Size in bytes of a blob of that many elements; types under 8 bits are packed."""
        return (elements * self.bits + 7) // 8


_TABLE = (
    Precision(name="FP32", code=10, bits=32, element_type="f32", numpy="float32"),
    Precision(name="FP16", code=11, bits=16, element_type="f16", numpy="float16"),
    Precision(name="BF16", code=12, bits=16, element_type="bf16", numpy="uint16"),
    Precision(name="FP64", code=13, bits=64, element_type="f64", numpy="float64"),
    Precision(name="Q78", code=20, bits=16, element_type="", numpy="int16"),
    Precision(name="I16", code=30, bits=16, element_type="i16", numpy="int16"),
    Precision(name="U4", code=39, bits=4, element_type="u4", numpy="uint8"),
    Precision(name="U8", code=40, bits=8, element_type="u8", numpy="uint8"),
    Precision(name="BOOL", code=41, bits=8, element_type="boolean", numpy="bool"),
    Precision(name="I4", code=49, bits=4, element_type="i4", numpy="uint8"),
    Precision(name="I8", code=50, bits=8, element_type="i8", numpy="int8"),
    Precision(name="U16", code=60, bits=16, element_type="u16", numpy="uint16"),
    Precision(name="I32", code=70, bits=32, element_type="i32", numpy="int32"),
    Precision(name="BIN", code=71, bits=1, element_type="u1", numpy="uint8"),
    Precision(name="I64", code=72, bits=64, element_type="i64", numpy="int64"),
    Precision(name="U64", code=73, bits=64, element_type="u64", numpy="uint64"),
    Precision(name="U32", code=74, bits=32, element_type="u32", numpy="uint32"),
)
BY_NAME = {p.name: p for p in _TABLE}
BY_ELEMENT_TYPE = {p.element_type: p for p in _TABLE if p.element_type}
BY_CODE = {p.code: p for p in _TABLE}


def from_numpy(dtype: DTypeLike) -> Precision:
    """The precision that a numpy type is, e.g. ``FP32`` for ``float32``."""
    import numpy as np

    wanted = np.dtype(dtype)
    for p in _TABLE:
        if p.bits >= 8 and p.name not in ("BF16", "Q78") and np.dtype(p.numpy) == wanted:
            return p
    raise TypeError(f"no precision holds numpy type {wanted}")
