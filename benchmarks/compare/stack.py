# SPDX-License-Identifier: Apache-2.0
"""Operations with shapes worked out, on top of NetworkBuilder: enough to write the benchmark networks briefly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph, Node

Tensor = tuple[Node, int]


def shape(x: Tensor) -> tuple[int, ...]:
    return x[0].outputs[x[1]].shape


class Stack:
    """An IR v10 network under construction, with random weights scaled so that activations keep their size."""

    def __init__(self, name: str, seed: int = 1):
        self.net = NetworkBuilder.opset(name)
        self._rng = np.random.default_rng(seed)
        self._count = 0

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"

    def _layer(
        self, kind: str, inputs: Sequence[Tensor], out: Sequence[int], version: str = "opset1", precision: str = "FP32", **params: object
    ) -> Tensor:
        return self.net.layer(kind, self._name(kind.lower()), inputs, [out], params=params, version=version, precision=precision), 0

    def input(self, name: str, dims: Sequence[int], precision: str = "FP32") -> Tensor:
        return self.net.input(name, dims, precision), 0

    def const(self, array: np.ndarray) -> Tensor:
        return self.net.constant(self._name("const"), array), 0

    def ints(self, *values: int) -> Tensor:
        return self.const(np.array(values, np.int64))

    def weights(self, dims: Sequence[int], fan_in: int, gain: float = 2.0) -> Tensor:
        return self.const((self._rng.standard_normal(dims) * np.sqrt(gain / fan_in)).astype(np.float32))

    def graph(self, *outputs: Tensor) -> Graph:
        for x in outputs:
            self.net.result(x)
        return self.net.graph()

    # -- layers ----------------------------------------------------------------------------------------------------------
    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        pad: int | None = None,
        groups: int = 1,
        act: str = "relu",
        gain: float = 2.0,
    ) -> Tensor:
        """Convolution, bias, activation ("", "relu", "relu6", "leaky"). ``pad`` defaults to half of the kernel."""
        n, c, h, w = shape(x)
        pad = kernel // 2 if pad is None else pad
        out = (n, channels, (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1)
        fan_in = c // groups * kernel * kernel
        common = {"strides": [stride] * 2, "pads_begin": [pad] * 2, "pads_end": [pad] * 2, "dilations": [1, 1], "auto_pad": "explicit"}
        if groups == 1:
            y = self._layer("Convolution", [x, self.weights((channels, c, kernel, kernel), fan_in, gain)], out, **common)
        else:
            w4 = self.weights((groups, channels // groups, c // groups, kernel, kernel), fan_in, gain)
            y = self._layer("GroupConvolution", [x, w4], out, **common)
        y = self._layer("Add", [y, self.weights((1, channels, 1, 1), 100)], out, auto_broadcast="numpy")
        return self.activation(y, act)

    def activation(self, x: Tensor, act: str) -> Tensor:
        if act == "relu":
            return self._layer("ReLU", [x], shape(x))
        if act == "relu6":
            return self._layer("Clamp", [x], shape(x), min=0, max=6)
        if act == "leaky":
            return self._layer("PReLU", [x, self.const(np.array([0.1], np.float32))], shape(x))
        if act == "gelu":
            return self._layer("Gelu", [x], shape(x), version="opset2")
        return x

    def affine(self, x: Tensor, act: str = "relu") -> Tensor:
        """A batch normalisation that nothing could fold: scale and shift by channel, then an activation."""
        c = shape(x)[1]
        scale = self.const((1 + 0.1 * self._rng.standard_normal((1, c, 1, 1))).astype(np.float32))
        y = self._layer("Multiply", [x, scale], shape(x), auto_broadcast="numpy")
        y = self._layer("Add", [y, self.weights((1, c, 1, 1), 100)], shape(x), auto_broadcast="numpy")
        return self.activation(y, act)

    def add(self, a: Tensor, b: Tensor, act: str = "") -> Tensor:
        out = np.broadcast_shapes(shape(a), shape(b))
        return self.activation(self._layer("Add", [a, b], out, auto_broadcast="numpy"), act)

    def binary(self, kind: str, a: Tensor, b: Tensor) -> Tensor:
        return self._layer(kind, [a, b], np.broadcast_shapes(shape(a), shape(b)), auto_broadcast="numpy")

    def unary(self, kind: str, x: Tensor) -> Tensor:
        return self._layer(kind, [x], shape(x))

    def pool(
        self, x: Tensor, kernel: int, stride: int, pad: int = 0, average: bool = False, ceil: bool = False, end: int | None = None
    ) -> Tensor:
        n, c, h, w = shape(x)
        end = pad if end is None else end

        def size(d: int) -> int:
            whole = d + pad + end - kernel
            return (-(-whole // stride) if ceil else whole // stride) + 1

        common = {
            "kernel": [kernel] * 2,
            "strides": [stride] * 2,
            "pads_begin": [pad] * 2,
            "pads_end": [end] * 2,
            "rounding_type": "ceil" if ceil else "floor",
        }
        extra: dict[str, object] = {"exclude-pad": True} if average else {}
        return self._layer("AvgPool" if average else "MaxPool", [x], (n, c, size(h), size(w)), auto_pad="explicit", **common, **extra)

    def mean(self, x: Tensor, axes: Sequence[int], keep: bool = True) -> Tensor:
        dims = shape(x)
        out = tuple(1 if i in axes else d for i, d in enumerate(dims) if keep or i not in axes)
        return self._layer("ReduceMean", [x, self.ints(*axes)], out, keep_dims=keep)

    def concat(self, parts: Sequence[Tensor], axis: int = 1) -> Tensor:
        out = list(shape(parts[0]))
        out[axis] = sum(shape(p)[axis] for p in parts)
        return self._layer("Concat", parts, out, axis=axis)

    def reshape(self, x: Tensor, *dims: int) -> Tensor:
        return self._layer("Reshape", [x, self.ints(*dims)], dims, special_zero=False)

    def transpose(self, x: Tensor, *order: int) -> Tensor:
        return self._layer("Transpose", [x, self.ints(*order)], [shape(x)[i] for i in order])

    def matmul(self, a: Tensor, b: Tensor, transpose_b: bool = False) -> Tensor:
        sa, sb = shape(a), shape(b)
        columns = sb[-2] if transpose_b else sb[-1]
        return self._layer("MatMul", [a, b], (*sa[:-1], columns), transpose_a=False, transpose_b=transpose_b)

    def dense(self, x: Tensor, outputs: int, act: str = "") -> Tensor:
        """x @ W^T + b on the last axis."""
        inputs = shape(x)[-1]
        y = self.matmul(x, self.weights((outputs, inputs), inputs), transpose_b=True)
        bias = self.weights((1,) * (len(shape(x)) - 1) + (outputs,), 100)
        return self.activation(self._layer("Add", [y, bias], shape(y), auto_broadcast="numpy"), act)

    def softmax(self, x: Tensor, axis: int) -> Tensor:
        return self._layer("SoftMax", [x], shape(x), axis=axis)

    def layer_norm(self, x: Tensor) -> Tensor:
        width = shape(x)[-1]
        axes = self.ints(len(shape(x)) - 1)
        y = self._layer("MVN", [x, axes], shape(x), version="opset6", normalize_variance=True, eps=1e-12, eps_mode="inside_sqrt")
        y = self.binary("Multiply", y, self.const((1 + 0.1 * self._rng.standard_normal((1, 1, width))).astype(np.float32)))
        return self.binary("Add", y, self.weights((1, 1, width), 100))

    def resize2(self, x: Tensor) -> Tensor:
        """Nearest neighbour, twice as high and wide."""
        n, c, h, w = shape(x)
        scales = self.const(np.array([2, 2], np.float32))
        return self._layer(
            "Interpolate", [x, self.ints(2 * h, 2 * w), scales, self.ints(2, 3)], (n, c, 2 * h, 2 * w), version="opset4", mode="nearest",
            shape_calculation_mode="scales", coordinate_transformation_mode="asymmetric", nearest_mode="floor", antialias=False,
            pads_begin=[0, 0, 0, 0], pads_end=[0, 0, 0, 0], cube_coeff=-0.75,
        )  # fmt: skip

    def lstm(self, x: Tensor, hidden: int) -> Tensor:
        """One direction over [N,T,D] -> [N,T,hidden]."""
        n, t, d = shape(x)
        state = self.const(np.zeros((n, 1, hidden), np.float32))
        lengths = self.const(np.full((n,), t, np.int64))
        inputs = [x, state, state, lengths, self.weights((1, 4 * hidden, d), d, 1.0), self.weights((1, 4 * hidden, hidden), hidden, 1.0)]
        inputs.append(self.weights((1, 4 * hidden), 100))
        node = self.net.layer(
            "LSTMSequence", self._name("lstm"), inputs, [(n, 1, t, hidden), (n, 1, hidden), (n, 1, hidden)],
            params={"hidden_size": hidden, "direction": "forward", "activations": "sigmoid,tanh,tanh", "clip": 0}, version="opset5",
        )  # fmt: skip
        return self.reshape((node, 0), n, t, hidden)
