# SPDX-License-Identifier: Apache-2.0
"""Normalisation operators."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor


def _channels(op: Op, parameter: Tensor, x: Tensor) -> Tensor:
    """[C] shaped to broadcast along axis 1 of ``x``."""
    return op.unsqueeze(parameter, list(range(1, op.rank(x) - 1)))


@onnx_op("BatchNormalization")
def batch_normalization(op: Op) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, one of each a channel. Training is not supported."""
    x, scale, bias, mean, variance = (op.input(i) for i in range(5))
    if op.int("training_mode", 0) or (op.opset < 7 and not op.int("is_test", 0) and op.has_output(1)):
        raise op.fail("training mode is not supported")
    eps = op.float("epsilon", 1e-5)
    if all(op.known(t) is not None for t in (scale, bias, mean, variance)):
        parameters = [op.convert(t, x.precision) for t in (scale, bias, mean, variance)]
        return op.make("BatchNormInference", x, *parameters, epsilon=eps, version="opset5")
    factor = op.div(scale, op.make("Sqrt", op.add(variance, eps)))
    factor, mean, bias = (op.convert(t, x.precision) for t in (factor, mean, bias))
    return op.add(op.mul(op.sub(x, _channels(op, mean, x)), _channels(op, factor, x)), _channels(op, bias, x))


def _mvn(op: Op, x: Tensor, axes: list[int], eps: float) -> Tensor:
    return op.make("MVN", x, op.constant(np.array(axes, np.int64)), normalize_variance=True, eps=eps, eps_mode="inside_sqrt")


@onnx_op("InstanceNormalization")
def instance_normalization(op: Op) -> Tensor:
    x = op.input(0)
    y = _mvn(op, x, list(range(2, op.rank(x))), op.float("epsilon", 1e-5))
    return op.add(op.mul(y, _channels(op, op.input(1), x)), _channels(op, op.input(2), x))


@onnx_op("LayerNormalization")
def layer_normalization(op: Op) -> list[Tensor]:
    """Over the axes from ``axis`` on; mean and inverse deviation are further outputs."""
    x, eps = op.input(0), op.float("epsilon", 1e-5)
    axes = list(range(op.axis(x, -1), op.rank(x)))
    work = op.convert(x, "FP32")
    y = op.mul(op.convert(_mvn(op, work, axes, eps), x.precision), op.input(1))
    if op.has_input(2):
        y = op.add(y, op.input(2))
    outputs = [y]
    if op.has_output(1) or op.has_output(2):
        mean = op.reduce("ReduceMean", work, axes)
        centred = op.sub(work, mean)
        variance = op.reduce("ReduceMean", op.mul(centred, centred), axes)
        outputs += [mean, op.make("Divide", op.constant(1.0, "FP32"), op.make("Sqrt", op.add(variance, eps)))]
    return outputs


@onnx_op("GroupNormalization")
def group_normalization(op: Op) -> Tensor:
    """Each group of channels on its own; scale and bias are one a channel, before operator set 21 one a group."""
    x, groups, eps = op.input(0), op.int("num_groups"), op.float("epsilon", 1e-5)
    shape = op.shape_of(x)
    grouped = op.reshape(x, [0, groups, -1], zero_copies=True)
    y = _mvn(op, grouped, [2], eps)
    if op.opset < 21:
        y = op.add(op.mul(y, op.unsqueeze(op.input(1), [1])), op.unsqueeze(op.input(2), [1]))
        return op.reshape(y, shape)
    y = op.reshape(y, shape)
    return op.add(op.mul(y, _channels(op, op.input(1), x)), _channels(op, op.input(2), x))


@onnx_op("MeanVarianceNormalization")
def mean_variance_normalization(op: Op) -> Tensor:
    return op.make(
        "MVN",
        op.input(0),
        op.constant(op.ints("axes", (0, 2, 3))),
        normalize_variance=True,
        eps=1e-9,
        eps_mode="outside_sqrt",
    )


@onnx_op("LpNormalization")
def lp_normalization(op: Op) -> Tensor:
    """x over its norm along the axis; 0 where the norm is 0."""
    x, p = op.input(0), op.int("p", 2)
    if p not in (1, 2):
        raise op.fail(f"p is {p}, expected 1 or 2")
    norm = op.reduce(f"ReduceL{p}", x, [op.axis(x, -1)])
    return op.select(op.make("Equal", norm, 0), op.mul(x, 0), op.div(x, norm))


@onnx_op("LRN")
def lrn(op: Op) -> Tensor:
    alpha, beta, bias = op.float("alpha", 1e-4), op.float("beta", 0.75), op.float("bias", 1.0)
    return op.make("LRN", op.input(0), op.constant([1]), alpha=alpha, beta=beta, bias=bias, size=op.int("size"))
