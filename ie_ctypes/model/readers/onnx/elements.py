# SPDX-License-Identifier: Apache-2.0
"""Element types of ONNX: the precision that carries each, and constants as blobs."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Blob

T = TensorProto

#: ONNX element type -> precision. Types that the Inference Engine never had travel in a wider one that holds all their values.
PRECISIONS: dict[int, str] = {
    T.FLOAT: "FP32", T.FLOAT16: "FP16", T.BFLOAT16: "BF16", T.DOUBLE: "FP64",
    T.INT8: "I8", T.UINT8: "U8", T.INT16: "I16", T.UINT16: "U16", T.INT32: "I32", T.UINT32: "U32", T.INT64: "I64", T.UINT64: "U64",
    T.BOOL: "BOOL", T.INT4: "I8", T.UINT4: "U8",
    T.FLOAT8E4M3FN: "FP32", T.FLOAT8E4M3FNUZ: "FP32", T.FLOAT8E5M2: "FP32", T.FLOAT8E5M2FNUZ: "FP32",
}  # fmt: skip
for _name, _precision in (("FLOAT4E2M1", "FP32"), ("FLOAT8E8M0", "FP32"), ("INT2", "I8"), ("UINT2", "U8")):
    if hasattr(T, _name):  # newer than the oldest supported onnx package
        PRECISIONS[getattr(T, _name)] = _precision

#: Precision -> the ONNX type that it is; the carried types above are not among them.
ELEMENTS: dict[str, int] = {
    PRECISIONS[t]: t
    for t in (
        T.FLOAT, T.FLOAT16, T.BFLOAT16, T.DOUBLE, T.INT8, T.UINT8, T.INT16, T.UINT16, T.INT32, T.UINT32, T.INT64, T.UINT64, T.BOOL,
    )
}  # fmt: skip

FLOATS = ("FP32", "FP16", "BF16", "FP64")


def type_name(element: int) -> str:
    """Name of an ONNX element type, for messages."""
    return TensorProto.DataType.Name(element) if element in TensorProto.DataType.values() else str(element)


def precision_of(element: int, what: str) -> str:
    """The precision that carries an ONNX element type; ModelError for strings and complex numbers."""
    if element not in PRECISIONS:
        raise ModelError(f"{what} has element type {type_name(element)}, which is not supported")
    return PRECISIONS[element]


def carried(array: np.ndarray, precision: str) -> np.ndarray:
    """``array`` in the numpy type that holds a precision: BF16 as bits, carried types as their values."""
    if precision == "BF16":
        if array.dtype == np.uint16:
            return array
        bits = array.astype(np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.where(np.isnan(array.astype(np.float32)), 0x7FC0, rounded).astype(np.uint16)
    return array.astype(BY_NAME[precision].numpy, copy=False)


def blob(array: np.ndarray, precision: str) -> Blob:
    """A writable blob of the values of ``array``."""
    data = np.ascontiguousarray(carried(np.asarray(array), precision)).reshape(-1)
    return Blob(precision, data if data.flags.writeable else data.copy())
