# SPDX-License-Identifier: Apache-2.0
"""Small programs built by hand, run on the CPU device and by the numpy references."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.devices.base import Executable
from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import AttrValue, Program, ProgramNode, Tensor, TensorType
from ie_ctypes.runtime.objects import cpu_info


class Builder:
    """Collects nodes; tensors are numbers into ``program.tensors``."""

    def __init__(self, name: str = "test") -> None:
        self.program = Program(name)
        self._count = 0

    def _tensor(self, name: str, dtype: str, shape: Sequence[int], data: np.ndarray | None = None) -> int:
        self.program.tensors.append(Tensor(name, TensorType(dtype, tuple(shape)), data))
        return len(self.program.tensors) - 1

    def input(self, *shape: int, dtype: str = "float32") -> int:
        number = self._tensor(f"in{len(self.program.inputs)}", dtype, shape)
        self.program.inputs.append(number)
        self.program.input_names.append(self.program.tensors[number].name)
        return number

    def const(self, array: np.ndarray) -> int:
        array = np.array(array, order="C")
        return self._tensor(f"const{len(self.program.tensors)}", array.dtype.name, array.shape, array)

    def nodes(self, kind: str, *inputs: int, **attrs: AttrValue) -> list[int]:
        name = f"{kind.lower()}{self._count}"
        self._count += 1
        types = KINDS[kind].infer(attrs, [None if i < 0 else self.program.tensors[i].type for i in inputs])
        outputs = [self._tensor(f"{name}.{i}", t.dtype, t.shape) for i, t in enumerate(types)]
        self.program.nodes.append(ProgramNode(kind, name, name, kind, tuple(inputs), tuple(outputs), attrs))
        return outputs

    def node(self, kind: str, *inputs: int, **attrs: AttrValue) -> int:
        return self.nodes(kind, *inputs, **attrs)[0]

    def unary(self, x: int, op: str, alpha: float = 0.0, beta: float = 0.0, gamma: float = 0.0) -> int:
        return self.node("Unary", x, op=op, alpha=alpha, beta=beta, gamma=gamma)

    def binary(self, a: int, b: int, op: str) -> int:
        return self.node("Binary", a, b, op=op)

    def conv(self, x: int, w: np.ndarray, b: np.ndarray | None = None, stride: int = 1, pad: int = 0, dilation: int = 1) -> int:
        rank = w.ndim - 3
        inputs = [x, self.const(w)] + ([] if b is None else [self.const(b)])
        lists = {
            "strides": (stride,) * rank,
            "dilations": (dilation,) * rank,
            "pads_begin": (pad,) * rank,
            "pads_end": (pad,) * rank,
        }
        return self.node("Conv", *inputs, **lists)

    def output(self, *tensors: int) -> Builder:
        for number in tensors:
            self.program.outputs.append(number)
            self.program.output_names.append(f"out{len(self.program.outputs)}")
        return self


def reference(program: Program, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the numpy references compute."""
    values: dict[int, np.ndarray] = {i: t.data for i, t in enumerate(program.tensors) if t.data is not None}
    values.update(zip(program.inputs, inputs, strict=True))
    for node in program.nodes:
        results = KINDS[node.kind].reference(node.attrs, [None if i < 0 else values[i] for i in node.inputs])
        for number, result in zip(node.outputs, results, strict=True):
            values[number] = np.asarray(result).astype(program.tensors[number].type.dtype)
    return [values[i] for i in program.outputs]


def random_inputs(program: Program, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = []
    for number in program.inputs:
        t = program.tensors[number].type
        array = rng.standard_normal(t.shape) if t.dtype.startswith("float") else rng.integers(0, 100, t.shape)
        arrays.append(array.astype(t.dtype))
    return arrays


def load(program: Program, **config: str) -> Executable:
    """The program on the CPU device."""
    return CpuDevice().compile(program, config)


#: instruction sets that the library is built for on this kind of processor, the best one last
ISAS = ("scalar", "neon", "neon_dot") if platform.machine() == "aarch64" else ("scalar", "avx2", "avx2_vnni", "avx512", "avx512_vnni")


def has_isa(name: str) -> bool:
    """Must the CPU device offer this instruction set on this machine?"""
    flags = {"avx2_vnni": "avx_vnni", "avx512": "avx512f", "neon_dot": "asimddp"}
    return name in ("scalar", "neon") or flags.get(name, name) in cpu_info().isa


def infer(executable: Executable, program: Program, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    outputs = []
    for number in program.outputs:
        t = program.tensors[number].type
        # Filled, so that an element nobody writes is seen.
        outputs.append(np.full(t.shape, 77, dtype=t.dtype))
    request = executable.create_request()
    request.infer(list(inputs), outputs)
    request.close()
    return outputs


def check(builder: Builder, rtol: float = 1e-5, atol: float = 1e-5, config: Mapping[str, str] | None = None, seed: int = 1) -> Executable:
    """Compare CPU with the references, twice with one executable, and return the executable."""
    program = builder.program
    executable = load(program, **dict(config or {}))
    for s in (seed, seed + 1):
        inputs = random_inputs(program, s)
        kept = [x.copy() for x in inputs]
        got = infer(executable, program, inputs)
        for g, w in zip(got, reference(program, inputs), strict=True):
            np.testing.assert_allclose(g, w, rtol=rtol, atol=atol)
        for x, k in zip(inputs, kept, strict=True):
            np.testing.assert_array_equal(x, k)
    return executable


def kinds_run(executable: Executable) -> list[str]:
    """Kinds of the executed steps, in order."""
    return [step["type"] for step in executable.exec_graph()]
