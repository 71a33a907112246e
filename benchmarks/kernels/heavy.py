# SPDX-License-Identifier: Apache-2.0
"""Speed of single convolutions and matrix products on the CPU device, one thread: GFLOP/s by shape.

    python benchmarks/kernels/heavy.py [SUBSTRING]

Best of the runs in 0.3 s each. Set IE_CTYPES_ISA to compare instruction sets.
"""

from __future__ import annotations

import sys
import time
from math import prod

import numpy as np

from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import AttrValue, Program, ProgramNode, Tensor, TensorType

# name, input channels, size, output channels, kernel, stride, groups
CONVOLUTIONS = [
    ("1x1", 64, 56, 256, 1, 1, 1),
    ("1x1", 256, 56, 64, 1, 1, 1),
    ("1x1", 1024, 14, 256, 1, 1, 1),
    ("1x1", 512, 7, 2048, 1, 1, 1),
    ("1x1", 960, 65, 320, 1, 1, 1),
    ("1x1 stride 2", 256, 56, 512, 1, 2, 1),
    ("3x3", 64, 56, 64, 3, 1, 1),
    ("3x3", 128, 28, 128, 3, 1, 1),
    ("3x3", 256, 14, 256, 3, 1, 1),
    ("3x3", 512, 7, 512, 3, 1, 1),
    ("3x3 stride 2", 128, 56, 128, 3, 2, 1),
    ("3x3 few channels", 16, 360, 16, 3, 1, 1),
    ("first 7x7 stride 2", 3, 224, 64, 7, 2, 1),
    ("first 3x3 stride 2", 3, 224, 32, 3, 2, 1),
    ("depthwise 3x3", 64, 112, 64, 3, 1, 64),
    ("depthwise 3x3", 512, 14, 512, 3, 1, 512),
    ("depthwise 3x3 stride 2", 64, 112, 64, 3, 2, 64),
    ("depthwise 5x5", 240, 28, 240, 5, 1, 240),
]
# name, rows, inner, columns
PRODUCTS = [
    ("product", 128, 384, 1536),
    ("product", 128, 1536, 384),
    ("fully connected", 1, 4096, 4096),
    ("fully connected", 1, 256, 1000),
]


def program(kind: str, x: tuple[int, ...], w: np.ndarray, attrs: dict[str, AttrValue]) -> Program:
    """One node with constant weights."""
    types = [TensorType("float32", x), TensorType("float32", w.shape)]
    out = KINDS[kind].infer(attrs, types)[0]
    tensors = [Tensor("x", types[0]), Tensor("w", types[1], w), Tensor("y", out)]
    node = ProgramNode(kind, "node", "node", kind, (0, 1), (2,), attrs)
    return Program("benchmark", tensors, [node], [0], ["x"], [2], ["y"])


def measure(device: CpuDevice, p: Program, seconds: float = 0.3) -> tuple[int, str]:
    """Least microseconds of the node itself, without changes of layout around it, and the primitive that ran."""
    executable = device.compile(p, {"CPU_THREADS_NUM": "1", "PERF_COUNT": "YES"})
    x = np.random.default_rng(0).standard_normal(p.tensors[0].type.shape).astype(np.float32)
    y = np.empty(p.tensors[2].type.shape, np.float32)
    request = executable.create_request()
    best, primitive, end = sys.maxsize, "", time.perf_counter() + seconds
    while time.perf_counter() < end:
        request.infer([x], [y])
        for row in request.perf_counts():
            if row.layer == "node" and row.status == "EXECUTED" and row.real_time < best:
                best, primitive = row.real_time, row.exec_type
    return best, primitive


def convolution(c: int, size: int, o: int, k: int, stride: int, groups: int) -> Program:
    window = {"strides": stride, "dilations": 1, "pads_begin": k // 2, "pads_end": k // 2}
    attrs: dict[str, AttrValue] = {name: (v, v) for name, v in window.items()}
    w = np.random.default_rng(1).standard_normal((groups, o // groups, c // groups, k, k)).astype(np.float32)
    return program("Conv", (1, c, size, size), w, attrs)


def product(m: int, k: int, n: int) -> Program:
    w = np.random.default_rng(1).standard_normal((n, k)).astype(np.float32)
    return program("MatMul", (m, k), w, {"transpose_a": 0, "transpose_b": 1})


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    device = CpuDevice()
    shapes = [(name, numbers, convolution) for name, *numbers in CONVOLUTIONS] + [(name, numbers, product) for name, *numbers in PRODUCTS]
    for name, numbers, build in shapes:
        if wanted not in name:
            continue
        p = build(*numbers)
        w, y = p.tensors[1].type.shape, p.tensors[2].type
        inner = prod(w[2:]) if build is convolution else w[1]
        us, primitive = measure(device, p)
        print(
            f"{name:24s} {'x'.join(map(str, numbers)):24s} {primitive:28s} {us:8d} us {2 * y.size * inner / max(us, 1) / 1000:8.1f} GFLOP/s"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
