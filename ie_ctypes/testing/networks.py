# SPDX-License-Identifier: Apache-2.0
"""Small networks for the tests of devices, as bytes of an IR."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.writers import ir_bytes

Files = tuple[bytes, bytes]

_WINDOW = {"kernel": (3, 3), "strides": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "dilations": (1, 1)}


def activation(type: str = "ReLU", shape: tuple[int, ...] = (1, 3, 4, 5)) -> Files:
    """data -> out, one layer without attributes, IR v7."""
    b = NetworkBuilder.legacy("activation")
    b.layer(type, "out", [b.input("data", shape)], [shape])
    return ir_bytes(b.graph())


def legacy_image(precision: str = "FP32") -> Files:
    """data [1,3,8,8] -> convolution, ReLU, pooling, fully connected, SoftMax -> prob [1,5]; IR v7 in FP32 or FP16."""
    rng = np.random.default_rng(1)
    dtype = np.float16 if precision == "FP16" else np.float32
    b = NetworkBuilder.legacy("image")
    blobs = {"weights": rng.normal(0, 0.2, 4 * 27).astype(dtype), "biases": rng.normal(0, 0.1, 4).astype(dtype)}
    x = b.input("data", (1, 3, 8, 8), precision)
    x = b.layer("Convolution", "conv", [x], [(1, 4, 8, 8)], params=_WINDOW | {"output": 4, "group": 1}, blobs=blobs, precision=precision)
    x = b.layer("ReLU", "relu", [x], [(1, 4, 8, 8)], precision=precision)
    pool = {"kernel": (2, 2), "strides": (2, 2), "pads_begin": (0, 0), "pads_end": (0, 0), "pool-method": "max"}
    x = b.layer("Pooling", "pool", [x], [(1, 4, 4, 4)], params=pool, precision=precision)
    blobs = {"weights": rng.normal(0, 0.2, 5 * 64).astype(dtype), "biases": rng.normal(0, 0.1, 5).astype(dtype)}
    x = b.layer("FullyConnected", "fc", [x], [(1, 5)], params={"out-size": 5}, blobs=blobs, precision=precision)
    b.layer("SoftMax", "prob", [x], [(1, 5)], params={"axis": 1}, precision=precision)
    return ir_bytes(b.graph())


def opset_branches() -> Files:
    """left, right [1,4,6,6] -> two results: their sum behind a ReLU, and both joined along the channels; IR v10."""
    b = NetworkBuilder.opset("branches")
    left, right = b.input("left", (1, 4, 6, 6)), b.input("right", (1, 4, 6, 6))
    total = b.layer("Add", "total", [left, right], [(1, 4, 6, 6)], params={"auto_broadcast": "numpy"})
    b.result(b.layer("ReLU", "relu", [total], [(1, 4, 6, 6)]))
    b.result(b.layer("Concat", "joined", [left, right], [(1, 8, 6, 6)], params={"axis": 1}))
    return ir_bytes(b.graph())


def matrices() -> Files:
    """data [3,8] times a matrix, then the sigmoid -> out [3,6]; IR v10."""
    b = NetworkBuilder.opset("matrices")
    weights = b.constant("weights", np.random.default_rng(2).normal(0, 0.5, (8, 6)).astype(np.float32))
    params = {"transpose_a": False, "transpose_b": False}
    product = b.layer("MatMul", "product", [b.input("data", (3, 8)), weights], [(3, 6)], params=params)
    b.result(b.layer("Sigmoid", "out", [product], [(3, 6)]))
    return ir_bytes(b.graph())


NETWORKS: dict[str, Callable[[], Files]] = {
    "activation": activation,
    "legacy_image": legacy_image,
    "opset_branches": opset_branches,
    "matrices": matrices,
}
