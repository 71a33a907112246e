# SPDX-License-Identifier: Apache-2.0
"""Run one layer or one runtime kind by the numpy references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.dtypes import from_numpy
from ie_ctypes.model.network import Network
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import AttrValue, TensorType


def run_kind(name: str, inputs: Sequence[np.ndarray | None], **attrs: AttrValue) -> list[np.ndarray]:
    """Outputs of a kind's reference; its shape rule must announce exactly their types."""
    types = KINDS[name].infer(attrs, [None if a is None else TensorType(a.dtype.name, a.shape) for a in inputs])
    arrays = KINDS[name].reference(attrs, inputs)
    assert [TensorType(a.dtype.name, a.shape) for a in arrays] == types
    return arrays


def run_layer(
    type: str,
    inputs: Sequence[np.ndarray],
    params: Mapping[str, object] | None = None,
    *,
    version: str = "",
    blobs: Mapping[str, np.ndarray] | None = None,
    constants: Sequence[int] = (),
    outputs: int = 1,
    precision: str = "FP32",
    result: str = "FP32",
) -> list[np.ndarray]:
    """Outputs of a network of one layer: legacy when ``version`` is empty. ``constants``: inputs that are Const layers.

    ``result`` is the precision of the network outputs. Ports carry no shapes, as if the network had just been reshaped: the
    layer's own rule is what counts.
    """
    builder = NetworkBuilder.opset() if version else NetworkBuilder.legacy()
    sources = []
    for i, a in enumerate(inputs):
        make = builder.constant(f"in{i}", a) if i in constants else builder.input(f"in{i}", a.shape, from_numpy(a.dtype).name)
        sources.append(make)
    extra = {"version": version} if version else {}
    layer = builder.layer(type, "out", sources, [()] * outputs, params=params or {}, blobs=blobs or {}, precision=precision, **extra)
    for port in (*layer.inputs, *layer.outputs):
        port.shape = ()
    if version:
        for i in range(outputs):
            builder.result((layer, i))
    network = Network(builder.graph())
    for state in network.inputs.values():
        state.precision = from_numpy(next(a for i, a in enumerate(inputs) if f"in{i}" == state.name).dtype).name
    for out in network.outputs.values():
        out.precision = result
    program = network.lower()
    return evaluate(program, [inputs[int(n[2:])] for n in program.input_names])[:outputs]


def run_one(type: str, inputs: Sequence[np.ndarray], params: Mapping[str, object] | None = None, **options: object) -> np.ndarray:
    """The only output of :func:`run_layer`."""
    (array,) = run_layer(type, inputs, params, **options)  # type: ignore[arg-type]
    return array


def random(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """float32 noise of a fixed seed."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)
