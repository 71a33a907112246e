# SPDX-License-Identifier: Apache-2.0
"""Kind Reduce, and the Reduce* layers of both dialects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, Attrs, array, expect_axes, expect_dtype, integer, integers, tensor, text
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

_Axes = tuple[int, ...]


def _mean(x: np.ndarray, axes: _Axes, keep: bool) -> np.ndarray:
    total = np.asarray(np.sum(x, axis=axes, keepdims=keep))
    count = prod(x.shape[a] for a in axes)
    return np.asarray(total / np.float32(count) if x.dtype.kind == "f" else np.trunc(total / count))


def _log_sum_exp(x: np.ndarray, axes: _Axes, keep: bool) -> np.ndarray:
    top = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    total: np.ndarray = np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top
    return total if keep else np.squeeze(total, axes)


def _limits(x: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest value of the type: maximum and minimum of nothing."""
    if x.dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(x.dtype).min, np.iinfo(x.dtype).max


FUNCTIONS: dict[str, Callable[[np.ndarray, _Axes, bool], np.ndarray]] = {
    "sum": lambda x, axes, keep: np.sum(x, axis=axes, keepdims=keep),
    "mean": _mean,
    "max": lambda x, axes, keep: np.max(x, axis=axes, keepdims=keep, initial=_limits(x)[0]),
    "min": lambda x, axes, keep: np.min(x, axis=axes, keepdims=keep, initial=_limits(x)[1]),
    "prod": lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep),
    "l1": lambda x, axes, keep: np.sum(np.abs(x), axis=axes, keepdims=keep),
    "l2": lambda x, axes, keep: np.sqrt(np.sum(np.square(x), axis=axes, keepdims=keep)),
    "log_sum": lambda x, axes, keep: np.log(np.sum(x, axis=axes, keepdims=keep)),
    "log_sum_exp": _log_sum_exp,
    "sum_square": lambda x, axes, keep: np.sum(np.square(x), axis=axes, keepdims=keep),
    "and": lambda x, axes, keep: np.all(x, axis=axes, keepdims=keep),
    "or": lambda x, axes, keep: np.any(x, axis=axes, keepdims=keep),
}


def infer_reduce(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape with the axes set to 1 or removed."""
    x, op, axes = tensor(inputs, 0), text(attrs, "op"), integers(attrs, "axes")
    if op not in FUNCTIONS:
        raise ValueError(f"reduction {op!r} is unknown")
    expect_dtype(inputs, ("bool",) if op in ("and", "or") else NUMBERS)
    expect_axes(axes, len(x.shape))
    keep = integer(attrs, "keep_dims")
    return [TensorType(x.dtype, tuple(1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes))]


@kind("Reduce", infer_reduce)
def reduce(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The reduction over the axes; over none, of each element alone."""
    x = array(inputs, 0)
    with np.errstate(all="ignore"):
        y = FUNCTIONS[text(attrs, "op")](x, integers(attrs, "axes"), bool(integer(attrs, "keep_dims")))
    return [np.asarray(y).astype(x.dtype, copy=False)]


# -- translators -------------------------------------------------------------------------------------------------------------

_TYPES = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
    "ReduceSumSquare": "sum_square",
    "ReduceAnd": "and",
    "ReduceOr": "or",
}
_OPSET = ("sum", "mean", "max", "min", "prod", "l1", "l2")


def _translate(layer: Layer, op: str) -> None:
    x = layer.input(0)
    rank = len(x.shape)
    axes = tuple(sorted({layer.axis(a, rank, "reduced axis") for a in layer.const_ints(1)}))
    keep = layer.bool("keep_dims", layer.legacy)
    if not axes:
        layer.set_output(0, x)
        return
    work = "bool" if op in ("and", "or") else x.dtype if x.dtype in NUMBERS else "int32"
    y = layer.emit("Reduce", [layer.convert(x, work)], op=op, axes=axes, keep_dims=int(keep))
    if layer.legacy and op == "max" and work == "float32":
        # the original started from the smallest positive float, so all-negative data gives that
        y = layer.emit("Binary", [y, layer.value(np.finfo(np.float32).tiny)], op="max")
    if layer.legacy and not y.shape:
        y = layer.reshape(y, (1,))
    layer.set_output(0, layer.convert(y, x.dtype))


def _register() -> None:
    for name, op in _TYPES.items():

        def translate(layer: Layer, op: str = op) -> None:
            _translate(layer, op)

        legacy(name)(translate)
        if op in _OPSET:
            opset(name)(translate)
        elif op in ("and", "or"):
            opset(name.replace("Reduce", "ReduceLogical"))(translate)


_register()
