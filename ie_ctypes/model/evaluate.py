# SPDX-License-Identifier: Apache-2.0
"""A program computed by the numpy reference of each kind: for the REFERENCE device, loop bodies and tests."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import Program, ProgramNode


def evaluate(program: Program, inputs: Sequence[np.ndarray], times: dict[int, tuple[int, int]] | None = None) -> list[np.ndarray]:
    """Outputs of a program for one array an input, in program order.

    ``times`` receives, for each node index, real and processor time in nanoseconds. An input of another shape or type, a kind
    without reference and a reference that breaks its own shape rule are errors. An output may share memory with an input.
    """
    if len(inputs) != len(program.inputs):
        raise ParameterMismatchError(f"{program.name}: {len(inputs)} inputs given, expected {len(program.inputs)}")
    values: list[np.ndarray | None] = [t.data for t in program.tensors]
    for index, array in zip(program.inputs, inputs, strict=True):
        tensor = program.tensors[index]
        if array.shape != tensor.type.shape or array.dtype != tensor.type.dtype:
            given, wanted = f"{array.dtype} {list(array.shape)}", f"{tensor.type.dtype} {list(tensor.type.shape)}"
            raise ParameterMismatchError(f"{program.name}: input {tensor.name} is {given}, expected {wanted}")
        values[index] = array
    last_use = {t: i for i, node in enumerate(program.nodes) for t in (*node.inputs, *node.outputs) if t >= 0}
    kept = set(program.outputs)
    for i, node in enumerate(program.nodes):
        start = time.perf_counter_ns(), time.thread_time_ns()
        for t, array in zip(node.outputs, _run_node(program, node, values), strict=True):
            values[t] = array
        if times is not None:
            times[i] = time.perf_counter_ns() - start[0], time.thread_time_ns() - start[1]
        for t in (*node.inputs, *node.outputs):
            if t >= 0 and last_use[t] == i and t not in kept:
                values[t] = None
    results = [values[t] for t in program.outputs]
    missing = [n for n, r in zip(program.output_names, results, strict=True) if r is None]
    if missing:
        raise ParameterMismatchError(f"{program.name}: nothing computes output {missing[0]}")
    return [r for r in results if r is not None]


def _run_node(program: Program, node: ProgramNode, values: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    if node.custom is not None:
        return node.custom.evaluate([values[t] if t >= 0 else None for t in node.inputs])
    try:
        kind = KINDS[node.kind]
    except KeyError:
        raise NotFoundError(f"{program.name}: node {node.name}: unknown kind {node.kind}") from None
    with np.errstate(all="ignore"):
        arrays = kind.reference(node.attrs, [values[t] if t >= 0 else None for t in node.inputs])
    outputs = []
    for t, array in zip(node.outputs, arrays, strict=True):
        wanted = program.tensors[t].type
        array = np.asarray(array)
        if array.shape != wanted.shape:
            raise ParameterMismatchError(
                f"{program.name}: node {node.name} of kind {node.kind} computed shape {list(array.shape)}, expected {list(wanted.shape)}"
            )
        outputs.append(array.astype(wanted.dtype, copy=False))
    return outputs
