# SPDX-License-Identifier: Apache-2.0
"""Loops on the GPU device: their iterations one after the other, or as one step on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from cpu_programs import Builder
from gpu_checks import compare, floats

from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.model.program import AttrValue, Program
from ie_ctypes.record import replace


def rows(prefix: str, **columns: Sequence[int]) -> dict[str, AttrValue]:
    return {f"{prefix}_{name.strip('_')}": tuple(values) for name, values in columns.items()}


def accumulate(part: int) -> Program:
    """The state times a number plus the mean of a slice along axis 1, and the slice doubled."""
    b = Builder("body")
    state, piece, scale = b.input(2, 1, 5), b.input(2, part, 5), b.input(1)
    total = b.binary(b.binary(state, scale, "mul"), b.node("Reduce", piece, op="mean", axes=(1,), keep_dims=1), "add")
    return b.output(total, b.binary(piece, piece, "add")).program


def loop(start: int, stride: int, part: int, trips: int, size: int = 6) -> Builder:
    """Outputs: the last state, all states, the slices doubled."""
    b = Builder()
    outputs = b.nodes(
        "Loop",
        b.input(2, 1, 5),
        b.input(2, size, 5),
        b.input(1),
        body=accumulate(part),
        trip_count=trips,
        carried_from=(0, -1, -1),
        **rows("input", kind=(2, 1, 0), axis=(-1, 1, -1), start=(0, start, 0), stride=(1, stride, 1), part=(1, part, 1)),
        **rows("output", _from=(0, 0, 1), axis=(-1, 1, 1), start=(0, 0, start), stride=(1, 1, stride), part=(1, 1, part)),
    )
    return b.output(*outputs)


INPUTS = [floats(2, 1, 5), floats(2, 6, 5, seed=2), np.array([0.7], np.float32)]


@pytest.mark.parametrize("hint", ["f32", "f16"])
@pytest.mark.parametrize(("start", "stride", "part"), [(0, 1, 1), (5, -1, 1), (0, 2, 2), (4, -2, 2), (0, 6, 6)])
def test_slices_states_and_pieces(device: GpuDevice, start: int, stride: int, part: int, hint: str) -> None:
    error = 1e-5 if hint == "f32" else 4e-3
    steps = compare(device, loop(start, stride, part, 6 // part), INPUTS, rtol=error, atol=error, INFERENCE_PRECISION_HINT=hint)
    assert {s["type"] for s in steps} == {"Slice", "Reduce", "Binary", "Concat"}
    assert {s["originalLayersNames"].partition(",")[0] for s in steps} == {"loop0"}
    assert len({s["name"] for s in steps}) == len(steps)


@pytest.mark.parametrize(
    ("start", "stride", "part", "trips"),
    [(0, 2, 1, 3), (1, 1, 1, 5), (0, 1, 2, 5)],  # places that nobody writes, pieces over pieces
)
def test_others_run_on_the_host(device: GpuDevice, start: int, stride: int, part: int, trips: int) -> None:
    b = Builder()
    outputs = b.nodes(
        "Loop",
        *(b.input(2, 1, 5), b.input(2, 6, 5), b.input(1)),
        body=accumulate(part),
        trip_count=trips,
        carried_from=(0, -1, -1),
        **rows("input", kind=(2, 1, 0), axis=(-1, 1, -1), start=(0, start, 0), stride=(1, stride, 1), part=(1, part, 1)),
        **rows("output", _from=(0, 1), axis=(-1, 1), start=(0, start), stride=(1, stride), part=(1, part)),
    )
    steps = compare(device, b.output(*outputs), INPUTS, rtol=1e-5, atol=1e-5)
    assert [s["primitiveType"] for s in steps] == ["host"]


def test_the_setting(device: GpuDevice) -> None:
    steps = compare(device, loop(0, 1, 1, 6), INPUTS, rtol=1e-5, atol=1e-5, GPU_ENABLE_LOOP_UNROLLING="NO")
    assert [s["primitiveType"] for s in steps] == ["host"]


@pytest.mark.parametrize("last", [False, True])
def test_what_only_passes_through(device: GpuDevice, last: bool) -> None:
    """Body outputs that are its inputs, constants, views and each other; two outputs of one value; one that nobody reads."""
    body = Builder("body")
    state, piece, fixed = body.input(2, 3), body.input(1, 3), body.input(4)
    body.output(
        state, piece, fixed, body.const(floats(4)), body.node("Reshape", piece, shape=(3, 1)), body.node("Reshape", state, shape=(6,))
    )
    b = Builder()
    tensors = [b.input(2, 3), b.input(5, 3), b.input(4)]
    columns = {"_from": (0, 0, 1, 2, 3, 4, 5, 1), "axis": (-1, 0, -1, -1, 0, -1, -1, 0), "part": (1, 2, 1, 1, 4, 1, 1, 1)}
    start, stride = ((0,) * 8, (1, 2, 1, 1, 4, 1, 1, 1))
    outputs = b.nodes(
        "Loop",
        *tensors,
        body=body.program,
        trip_count=5,
        carried_from=(0, -1, -1),
        **rows("input", kind=(2, 1, 0), axis=(-1, 0, -1), start=(0, 0, 0), stride=(1, 1, 1), part=(1, 1, 1)),
        **rows("output", start=start, stride=stride, **columns),
    )
    b.output(*(outputs if last else outputs[:-1]))
    compare(device, b, [floats(2, 3), floats(5, 3, seed=2), floats(4, seed=3)])


def test_weights_from_outside_and_a_chain_behind(device: GpuDevice) -> None:
    """An invariant input that is constant; ops of the body run fused; the loop's result is read by several."""
    body = Builder("body")
    h, x, w = body.input(4, 8), body.input(4, 1, 8), body.input(8, 8)
    y = body.node("MatMul", h, w, transpose_a=0, transpose_b=0)
    y = body.unary(body.binary(y, body.node("Reshape", x, shape=(4, 8)), "add"), "tanh")
    body.output(y, body.node("Reshape", y, shape=(4, 1, 8)))
    b = Builder()
    x = b.input(4, 7, 8)
    outputs = b.nodes(
        "Loop",
        *(b.unary(b.input(4, 8), "relu"), b.unary(x, "neg"), b.const(floats(8, 8) / 3)),
        body=body.program,
        trip_count=7,
        carried_from=(0, -1, -1),
        **rows("input", kind=(2, 1, 0), axis=(-1, 1, -1), start=(0, 0, 0), stride=(1, 1, 1), part=(1, 1, 1)),
        **rows("output", _from=(0, 1), axis=(-1, 1), start=(0, 0), stride=(1, 1), part=(1, 1)),
    )
    b.output(outputs[0], b.binary(outputs[1], x, "mul"), b.unary(outputs[1], "abs"))
    steps = compare(device, b, [floats(4, 7, 8), floats(4, 8, seed=2)], rtol=1e-4, atol=1e-5)
    assert [s["type"] for s in steps].count("MatMul") == 7
    assert "Binary" not in {s["type"] for s in steps[:-2]}
    compare(device, b, [floats(4, 7, 8), floats(4, 8, seed=2)], rtol=1e-4, atol=1e-5, CLDNN_MEM_POOL="NO")


def test_a_body_that_needs_the_host(device: GpuDevice) -> None:
    body = Builder("body")
    piece = body.input(1, 9)
    body.output(*body.nodes("Unique", piece, sorted=1, index_dtype="int32")[:2])
    b = Builder()
    outputs = b.nodes(
        "Loop",
        b.input(4, 9),
        body=body.program,
        trip_count=4,
        carried_from=(-1,),
        **rows("input", kind=(1,), axis=(0,), start=(0,), stride=(1,), part=(1,)),
        **rows("output", _from=(0, 1), axis=(0, 0), start=(0, 0), stride=(1, 1), part=(1, 1)),
    )
    steps = compare(device, b.output(*outputs), [floats(4, 9)])
    assert [s["primitiveType"] for s in steps] == ["host"]


def test_conditions_run_on_the_host(device: GpuDevice) -> None:
    body = Builder("body")
    state = body.input(3)
    more = body.binary(body.node("Reduce", state, op="sum", axes=(0,), keep_dims=1), body.const(np.array([20], np.float32)), "less")
    body.output(body.binary(state, state, "add"), more)
    b = Builder()
    outputs = b.nodes(
        "Loop",
        b.input(3),
        body=body.program,
        trip_count=50,
        condition_output=1,
        carried_from=(0,),
        **rows("input", kind=(2,), axis=(-1,), start=(0,), stride=(1,), part=(1,)),
        **rows("output", _from=(0,), axis=(-1,), start=(0,), stride=(1,), part=(1,)),
    )
    steps = compare(device, b.output(*outputs), [np.ones(3, np.float32)])
    assert [s["primitiveType"] for s in steps] == ["host"]


def test_counters_are_those_of_the_loop(device: GpuDevice) -> None:
    b = loop(0, 1, 1, 6)
    executable = device.compile(b.program, {"PERF_COUNT": "YES"})
    request = executable.create_request()
    request.infer(INPUTS, [np.zeros(b.program.tensors[i].type.shape, np.float32) for i in b.program.outputs])
    counts = request.perf_counts()
    assert {(c.layer, c.layer_type) for c in counts} == {("loop0", "Loop")}
    assert sum(c.real_time for c in counts) > 0
    request.close()
    executable.close()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("input_stride", (1, 1 << 62, 1)),
        ("input_stride", (1, 2, 1)),
        ("input_start", (0, -1, 0)),
        ("input_axis", (-1, 0, -1)),
        ("input_axis", (-1, 7, -1)),
        ("input_part", (1, 2, 1)),
        ("input_kind", (2, 0, 0)),
        ("carried_from", (9, -1, -1)),
        ("carried_from", (-1, -1, 0)),
        ("output_from", (0, 0, -2)),
        ("output_axis", (-1, 1, 0)),
        ("output_axis", (-1, 1, -1)),
        ("output_stride", (1, -(1 << 63), 1)),
        ("output_start", (0, 3, 0)),
    ],
)
def test_lists_that_do_not_fit_are_refused(device: GpuDevice, name: str, values: tuple[int, ...]) -> None:
    b = loop(0, 1, 1, 6)
    node = b.program.nodes[0]
    b.program.nodes[0] = replace(node, attrs={**node.attrs, name: values})
    with pytest.raises(RuntimeError, match="Loop"):
        device.compile(b.program, {})
