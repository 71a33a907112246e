# SPDX-License-Identifier: Apache-2.0
"""What devices allow: work-groups and their items, local memory, arithmetic with halves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cpu_programs import Builder, infer, reference
from gpu_checks import compare, floats, node

from ie_ctypes.devices.gpu import GpuDevice

KERNELS = Path(__file__).parents[2] / "csrc" / "opencl" / "kernels"
Limited = Callable[[str], GpuDevice]


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Limited:
    """A device of which less is used than it can."""

    def make(limits: str) -> GpuDevice:
        monkeypatch.setenv("IE_CTYPES_OPENCL_LIMITS", limits)
        return GpuDevice()

    return make


def conv(shape: tuple[int, ...], outputs: int, group: int = 1) -> Builder:
    b = Builder()
    weights = floats(group, outputs // group, shape[1] // group, 3, 3, seed=2) / np.float32(np.sqrt(9 * shape[1] // group))
    b.output(b.conv(b.input(*shape), weights, floats(outputs, seed=3), pad=1))
    return b


@pytest.mark.parametrize("groups", [1, 3])
def test_launches_are_cut_where_the_device_cannot_number_their_groups(limited: Limited, groups: int) -> None:
    device = limited(f"groups={groups}")
    for b in (conv((2, 24, 9, 11), 200), conv((2, 10, 9, 11), 10, group=10)):
        compare(device, b, [floats(*b.program.tensors[0].type.shape)])
    node(device, "MatMul", [floats(5, 2, 40, 30), floats(5, 2, 30, 50, seed=2)], transpose_a=False, transpose_b=False, rtol=1e-4, atol=1e-5)
    node(device, "MatMul", [floats(4, 130), floats(70, 130, seed=2)], transpose_a=False, transpose_b=True, atol=1e-5)
    node(device, "MatMul", [floats(4, 130), floats(130, 70, seed=2)], transpose_a=False, transpose_b=False, atol=1e-5)
    node(device, "Transpose", [floats(7, 40, 50)], order=(0, 2, 1))


def test_a_cut_launch_is_counted_as_one_step(limited: Limited) -> None:
    b, device = conv((2, 10, 9, 11), 10, group=10), limited("groups=3")
    executable = device.compile(b.program, {"PERF_COUNT": "YES"})
    infer(executable, b.program, [floats(2, 10, 9, 11)])
    (counter,) = executable.exec_graph()
    assert counter["primitiveType"] == "conv_direct"
    executable.close()


@pytest.mark.parametrize("limits", ["items=64", "local=6000"])
def test_tiles_are_smaller_where_a_group_cannot_be_great(limited: Limited, limits: str) -> None:
    device = limited(limits)
    compare(device, conv((1, 64, 40, 40), 128), [floats(1, 64, 40, 40)], rtol=1e-4, atol=1e-5)
    node(device, "Transpose", [floats(40, 50)], order=(1, 0))
    node(device, "Reduce", [floats(6, 900)], op="sum", axes=(1,), keep_dims=True, atol=1e-4)


def test_products_of_halves_are_summed_in_floats(limited: Limited) -> None:
    """A tile is 16 terms: their roundings are the error, whatever the length of the sum."""
    for k in (64, 4096):
        b = Builder()
        b.output(b.node("MatMul", b.input(70, k), b.const(floats(k, 40, seed=2)), transpose_a=False, transpose_b=False))
        x = floats(70, k)
        (want,) = reference(b.program, [x])
        error = {}
        for fp16 in (0, 2):
            executable = limited(f"fp16={fp16}").compile(b.program, {"INFERENCE_PRECISION_HINT": "f16"})
            (got,) = infer(executable, b.program, [x])
            error[fp16] = np.abs(got - want).max() / np.sqrt(k)
            executable.close()
        assert error[0] < error[2] < 6e-3, "halves were used, and lose little"


def test_halves_are_not_used_in_float32(limited: Limited) -> None:
    b = conv((1, 20, 9, 11), 40)
    compare(limited("fp16=2"), b, [floats(1, 20, 9, 11)], rtol=1e-4, atol=1e-5)


@pytest.mark.without_opencl
@pytest.mark.parametrize("kernels", sorted(path.stem for path in KERNELS.glob("*.cl") if path.stem != "common"))
@pytest.mark.parametrize("half", ["-DHALF=0 -DNARROW=0", "-DHALF=1 -DNARROW=0", "-DHALF=1 -DNARROW=1"])
def test_kernels_are_opencl_c_of_1_2_for_gpus(kernels: str, half: str, tmp_path: Path) -> None:
    """PoCL has no cl_khr_fp16: at least a compiler for devices with it takes the kernels."""
    clang = shutil.which("clang")
    if not clang:
        pytest.skip("there is no clang")
    options = {
        "gemm": "-DTILE_M=32 -DTILE_N=32 -DTILE_K=16 -DGROUP_X=8 -DGROUP_Y=8 -DCONV=1",
        "ctc": "-DGROUP=32 -DLENGTHS=long -DOUT=int -DCOUNT=int",
        "detection": "-DSORT=64 -DPRIOR_FLOAT=1 -DREFINED=1 -DMXNET=0 -DLIST=2000",
        "nms": "-DSORT=64 -DOUT=long",
        "gemv": "-DGROUP=64 -DSLICES=4", "recurrent": "-DCELL=1 -DGROUP=32", "reduce": "-DT_FLOAT=1 -DGROUP=32",
        "topk": "-DT_FLOAT=1 -DOUT=long -DLEAST=1 -DSORT=64",
        "move": "-DT=uint -DI=int", "convert": "-DFROM=float -DTO=int -DCAST=convert_int", "binary": "-DT_FLOAT=1 -DOP=3",
        "unary": "-DT_FLOAT=1 -DOP=3",
        "compare": "-DT_FLOAT=1 -DOP=1", "resample": "-DT_REAL=1",
    }.get(kernels, "")  # fmt: skip
    source = tmp_path / f"{kernels}.cl"
    source.write_text((KERNELS / "common.cl").read_text() + (KERNELS / f"{kernels}.cl").read_text())
    extension = "+" if "NARROW=1" in half else "-"
    command = [clang, "-cc1", "-triple", "spir64", "-finclude-default-header", "-cl-std=CL1.2", f"-cl-ext={extension}cl_khr_fp16",
               "-DPOSTS=2", *half.split(), *options.split(), "-fsyntax-only", "-Werror", str(source)]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
