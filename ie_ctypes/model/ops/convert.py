# SPDX-License-Identifier: Apache-2.0
"""Kind Convert, and the layers that hold or copy data: Convert, ConvertLike, ConvertPromoteTypes, Copy, Identity, Const."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.dtypes import BY_ELEMENT_TYPE, BY_NAME
from ie_ctypes.model.ops.attrs import Attrs, array, tensor, text
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import DTYPES, TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def infer_convert(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape in type ``dtype``."""
    dtype = text(attrs, "dtype")
    if dtype not in DTYPES:
        raise ValueError(f"element type {dtype!r} is unknown")
    if attrs.get("round", "truncate") not in ("truncate", "nearest"):
        raise ValueError(f"rounding is {attrs['round']!r}, expected truncate or nearest")
    return [TensorType(dtype, tensor(inputs, 0).shape)]


@kind("Convert", infer_convert)
def convert(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The same numbers in another type; see docs/kinds.md for the two roundings.

    Truncation of a float that the integer type cannot hold saturates first at 64 bits, then wraps (NaN gives 0).
    """
    x, dtype = array(inputs, 0), np.dtype(text(attrs, "dtype"))
    if dtype == np.bool_:
        return [x != 0]
    if dtype.kind == "f" or x.dtype == np.bool_:
        with np.errstate(over="ignore"):
            return [x.astype(dtype)]
    nearest = attrs.get("round", "truncate") == "nearest"
    limits = np.iinfo(dtype)
    if x.dtype.kind == "f":
        wide = np.nan_to_num(x.astype(np.float64), nan=0.0)
        if nearest:
            wide = np.rint(wide)
        low, high = (limits.min, limits.max) if nearest else (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
        high = min(high, np.iinfo(np.int64).max)
        inside = np.clip(wide, float(low), np.nextafter(float(high), 0) if high > 2**53 else float(high)).astype(np.int64)
        return [np.where(wide >= high, high, inside).astype(dtype)]
    if nearest:
        source = np.iinfo(x.dtype)
        return [np.clip(x, max(limits.min, source.min), min(limits.max, source.max)).astype(dtype)]
    return [x.astype(dtype)]


# -- translators -------------------------------------------------------------------------------------------------------------


@opset("Convert")
def convert_opset(layer: Layer) -> None:
    name = layer.str("destination_type").lower()
    precision = BY_ELEMENT_TYPE.get(name)
    if precision is None:
        raise layer.fail(f"attribute 'destination_type' is {name!r}, expected one of {', '.join(BY_ELEMENT_TYPE)}")
    layer.set_output(0, layer.to_precision(layer.input(0), precision.name))


@legacy("Convert")
def convert_legacy(layer: Layer) -> None:
    name = layer.str("precision").upper()
    if name not in BY_NAME:
        raise layer.fail(f"attribute 'precision' is {name!r}, expected one of {', '.join(BY_NAME)}")
    layer.set_output(0, layer.to_precision(layer.input(0), name))


@opset("ConvertLike")
def convert_like(layer: Layer) -> None:
    layer.set_output(0, layer.convert(layer.input(0), layer.input(1).dtype))


@opset("ConvertPromoteTypes")
def convert_promote_types(layer: Layer) -> None:
    """Both inputs in the type that holds either, as the original's file says it: that of its output ports."""
    for i in range(2):
        layer.set_output(i, layer.to_precision(layer.input(i), layer.node.outputs[i].precision or "FP32"))


@legacy("Copy")
@opset("Identity")
def copy(layer: Layer) -> None:
    layer.set_output(0, layer.input(0))


@legacy("Const")
@opset("Const", "Constant")
def constant(layer: Layer) -> None:
    """The blob ``custom``, in the shape of the output port."""
    value = layer.blob("custom", layer.node.outputs[0].shape)
    if value is None:
        raise layer.fail("the constant has no data")
    layer.set_output(0, value)
