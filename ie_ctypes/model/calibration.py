# SPDX-License-Identifier: Apache-2.0
"""INT8-calibrated legacy networks: ``<statistics>`` becomes FakeQuantize nodes and weights on a grid, which devices may run on integers.

As in 2019 R3, every Convolution and FullyConnected whose input has statistics is quantised, unless its attribute
``quantization_level`` is FP32: the input by the range of all its channels (256 levels from 0, or 255 around it when
something is negative), the weights by 255 levels around 0 for each output channel. Only with ``IE_CTYPES_INT8=YES`` in
the environment: of the recorded networks person-reidentification-retail-0079 comes out farther from the original's INT8 answer
(cosine 0.991) than FP32 does (0.9996), so FP32 is the default for these networks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.graph import Blob, Node
from ie_ctypes.record import replace

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Lowering, Value

#: environment variable; the CPU driver reads it too
SWITCH = "IE_CTYPES_INT8"
#: attribute that counts the output channels, by type
_CHANNELS = {"Convolution": "output", "FullyConnected": "out-size"}
_WEIGHT_LEVELS = 127  # on either side of 0


def is_on() -> bool:
    return os.environ.get(SWITCH) == "YES"


def _range(low: float, high: float) -> tuple[float, float, int]:
    """Limits and number of levels of an activation."""
    if low >= 0:
        return 0.0, high, 256
    most = max(-low, high)
    return -most, most, 255


def _rounded(blob: Blob, weights: np.ndarray, channels: int) -> Blob:
    """The weights as whole multiples of one number for each output channel."""
    rows = weights.reshape(channels, -1)
    step = np.abs(rows).max(axis=1, keepdims=True) / np.float32(_WEIGHT_LEVELS)
    whole = np.rint(np.divide(rows, step, out=np.zeros_like(rows), where=step > 0))
    return replace(blob, precision="FP32", data=(whole * step).reshape(-1))


class Calibration:
    """The statistics of one network while it is lowered."""

    def __init__(self, lowering: Lowering):
        self._lowering = lowering
        self._statistics = lowering.graph.statistics if is_on() else {}
        self._quantised: dict[tuple[int, int], Value] = {}  # by producer and output: shared by all its readers

    def apply(self, node: Node, inputs: list[Value | None]) -> Node:
        """``node`` with quantised weights, its quantised data in ``inputs[0]``; as it is when there is nothing to do."""
        from ie_ctypes.model.lowering import constant_array

        source = node.sources[0] if node.sources else None
        limits = self._statistics.get(source[0].name) if source else None
        key, blob, x = _CHANNELS.get(node.type), node.blobs.get("weights"), inputs[0] if inputs else None
        if source is None or limits is None or not limits[0] or key is None or blob is None or x is None:
            return node
        channels, low, high = node.params.get(key, ""), min(limits[0]), max(limits[1])
        if node.params.get("quantization_level") == "FP32" or not channels.isdigit() or not np.isfinite([low, high]).all() or high <= low:
            return node
        weights = constant_array(blob)
        if x.is_const or x.dtype != "float32" or weights.dtype != np.float32 or not int(channels) or weights.size % int(channels):
            return node
        inputs[0] = self._data(node, x, source, *_range(low, high))
        return replace(node, blobs={**node.blobs, "weights": _rounded(blob, weights, int(channels))})

    def _data(self, node: Node, x: Value, source: tuple[Node, int], low: float, high: float, levels: int) -> Value:
        """``x`` on its grid, made once for all readers."""
        from ie_ctypes.model.lowering import Layer

        key = (id(source[0]), source[1])
        if key not in self._quantised:
            layer = Layer(self._lowering, node, [x], f"{node.name}/quantised_input")
            limits = [layer.scalar(value) for value in (low, high, low, high)]
            self._quantised[key] = layer.emit("FakeQuantize", [x, *limits], levels=levels)
        return self._quantised[key]
