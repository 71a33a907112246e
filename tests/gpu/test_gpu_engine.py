# SPDX-License-Identifier: Apache-2.0
"""Fusion, memory, streams, precision, program cache and counters of the GPU device."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from cpu_programs import Builder, infer, reference
from gpu_checks import compare, floats

from ie_ctypes.devices.gpu import GpuDevice


def chain() -> Builder:
    """Convolution, bias, residual sum, slope, scale, quantisation; a branch; a reshape; a product with its activation."""
    b = Builder()
    x = b.input(2, 5, 9, 7)
    side = b.conv(x, floats(1, 18, 5, 1, 1), floats(18))
    y = b.conv(x, floats(1, 18, 5, 3, 3, seed=2) / 5, pad=1)
    y = b.binary(y, b.const(floats(1, 18, 1, 1, seed=3)), "add")
    y = b.binary(y, side, "add")
    y = b.binary(y, b.const(np.abs(floats(18, 1, 1, seed=4))), "prelu")
    y = b.binary(b.const(floats(18, 1, 1, seed=5)), y, "sub")
    y = b.unary(y, "sigmoid")
    limits = [b.const(np.full((1, 18, 1, 1), v, np.float32)) for v in (0.0, 1.0, -1.0, 1.0)]
    y = b.node("FakeQuantize", y, *limits, levels=256)
    flat = b.node("Reshape", y, shape=(2, 18 * 63))
    z = b.node("MatMul", flat, b.const(floats(18 * 63, 11, seed=6)), transpose_a=0, transpose_b=0)
    z = b.binary(z, b.const(floats(11, seed=7)), "add")
    return b.output(b.unary(z, "clamp", -3, 3), y)


def test_elementwise_ops_run_inside_the_kernel_before_them(device: GpuDevice) -> None:
    # a level of the quantiser may be hit from the other side
    steps = compare(device, chain(), [floats(2, 5, 9, 7)], rtol=1e-3, atol=1e-2)
    assert [s["type"] for s in steps] == ["Conv", "Conv", "MatMul"]
    assert steps[1]["originalLayersNames"] == "conv1,binary2,binary3,binary4,binary5,unary6,fakequantize7"


def test_what_others_read_is_not_fused_away(device: GpuDevice) -> None:
    b = Builder()
    x = b.conv(b.input(1, 3, 6, 6), floats(1, 16, 3, 3, 3))
    y = b.unary(x, "relu")
    b.output(b.binary(y, x, "mul"), y)
    assert [s["type"] for s in compare(device, b, [floats(1, 3, 6, 6)], rtol=1e-4, atol=1e-5)] == ["Conv", "Unary", "Binary"]


@pytest.mark.parametrize(("op", "second"), [("sub", True), ("sub", False), ("div", True), ("mul", False)])
def test_order_of_operands_of_fused_constants(device: GpuDevice, op: str, second: bool) -> None:
    b = Builder()
    x = b.conv(b.input(1, 3, 6, 6), floats(1, 16, 3, 1, 1))
    c = b.const(floats(16, 1, 1, seed=2))
    b.output(b.binary(x, c, op) if second else b.binary(c, x, op))
    assert len(compare(device, b, [floats(1, 3, 6, 6)], rtol=1e-4, atol=1e-5)) == 1


def test_a_constant_along_another_axis_is_not_channel_data(device: GpuDevice) -> None:
    b = Builder()
    x = b.conv(b.input(1, 3, 16, 16), floats(1, 16, 3, 1, 1))
    b.output(b.binary(x, b.const(floats(16)), "mul"))
    assert len(compare(device, b, [floats(1, 3, 16, 16)], rtol=1e-4, atol=1e-5)) == 2


def test_outputs_that_are_inputs_constants_or_views(device: GpuDevice) -> None:
    b = Builder()
    x = b.input(4, 6)
    c = b.const(floats(3, 3))
    b.output(x, c, b.node("Reshape", x, shape=(24,)), b.unary(x, "neg"), b.node("Reshape", c, shape=(9,)))
    compare(device, b, [floats(4, 6)])


def deep(layers: int = 12) -> Builder:
    b = Builder()
    x = b.input(1, 8, 33, 31)
    for i in range(layers):
        x = b.unary(b.conv(x, floats(1, 8, 8, 3, 3, seed=i) / 8, pad=1), "relu")
        x = b.node("MaxPool", x, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), pads_begin=(1, 1), pads_end=(1, 1), ceil=0)
    return b.output(x)


def test_buffers_are_shared_by_lifetime(device: GpuDevice) -> None:
    sizes = {}
    for pool in ("YES", "NO"):
        executable = device.compile(deep().program, {"CLDNN_MEM_POOL": pool})
        sizes[pool] = int(executable._native.get_property("MEMORY_BYTES"))  # type: ignore[attr-defined]
        got = infer(executable, deep().program, [floats(1, 8, 33, 31)])
        np.testing.assert_allclose(got[0], reference(deep().program, [floats(1, 8, 33, 31)])[0], rtol=1e-3, atol=1e-4)
        executable.close()
    one = 8 * 33 * 31 * 4
    assert sizes["NO"] - sizes["YES"] >= 20 * one


def test_requests_on_several_streams(device: GpuDevice) -> None:
    b = chain()
    executable = device.compile(b.program, {"GPU_THROUGHPUT_STREAMS": "2"})
    assert executable.streams == 2
    inputs = [floats(2, 5, 9, 7, seed=i) for i in range(12)]
    wanted = [infer(executable, b.program, [x]) for x in inputs]
    failures: list[str] = []

    def work(first: int) -> None:
        for i in range(first, 12, 4):
            got = infer(executable, b.program, [inputs[i]])
            if not all(np.array_equal(g, w) for g, w in zip(got, wanted[i], strict=True)):
                failures.append(f"inference {i} differs")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    executable.close()


def test_half_precision(device: GpuDevice) -> None:
    b = chain()
    x = floats(2, 5, 9, 7)
    executable = device.compile(b.program, {"INFERENCE_PRECISION_HINT": "f16"})
    assert {s["outputPrecisions"] for s in executable.exec_graph()} == {"FP16"}
    full, half = reference(b.program, [x]), infer(executable, b.program, [x])
    assert not np.array_equal(full[1], half[1])
    for f, h in zip(full, half, strict=True):
        assert np.abs(f - h).mean() < 2e-2
    executable.close()


def test_half_precision_moves_reduces_and_asks_the_host(device: GpuDevice) -> None:
    b = Builder()
    x = b.input(3, 40)
    y = b.node("Transpose", b.node("Softmax", x, axis=1), order=(1, 0))
    y = b.node("Pad", y, pads_begin=(1, 2), pads_end=(0, 1), mode="constant", value=0.5)
    values, places = b.nodes("TopK", y, axis=0, k=3, mode="max", sort="value", index_dtype="int64")
    rows, firsts, _, _ = b.nodes("Unique", x, sorted=1, index_dtype="int64")  # on the host
    b.output(b.node("Concat", values, values, axis=1), places, rows, firsts, b.node("Reduce", y, op="sum", axes=(0,), keep_dims=0))
    compare(device, b, [floats(3, 40) * 3], rtol=3e-3, atol=1e-3, INFERENCE_PRECISION_HINT="f16")


def test_programs_come_from_the_cache(tmp_path: Path) -> None:
    b = deep(1)
    x = floats(1, 8, 33, 31)
    folder = tmp_path / "cache"
    want = infer(GpuDevice().compile(b.program, {"CACHE_DIR": str(folder)}), b.program, [x])
    files = sorted(folder.glob("*.clbin"))
    assert files
    assert not list(folder.glob("*.tmp"))
    before = {f: f.read_bytes() for f in files}
    files[0].write_bytes(before[files[0]][:-9])  # cut short
    broken = bytearray(before[files[-1]])
    broken[-1] ^= 1
    files[-1].write_bytes(broken)
    got = infer(GpuDevice().compile(b.program, {"CACHE_DIR": str(folder)}), b.program, [x])
    np.testing.assert_array_equal(got[0], want[0])
    assert sorted(folder.glob("*.clbin")) == files
    for f in (files[0], files[-1]):  # written again
        assert len(f.read_bytes()) >= len(before[f]) - 64
        assert f.read_bytes() != broken
    unchanged = files[1].stat().st_mtime_ns if len(files) > 2 else 0
    got = infer(GpuDevice().compile(b.program, {"CACHE_DIR": str(folder)}), b.program, [x])
    np.testing.assert_array_equal(got[0], want[0])
    assert not unchanged or files[1].stat().st_mtime_ns == unchanged


def test_a_folder_that_cannot_be_written_is_no_error(device: GpuDevice, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    b = deep(1)
    executable = device.compile(b.program, {"CACHE_DIR": str(tmp_path / "file" / "below")})
    infer(executable, b.program, [floats(1, 8, 33, 31)])


def test_counters(device: GpuDevice) -> None:
    b = chain()
    x = floats(2, 5, 9, 7)
    for on in ("NO", "YES"):
        executable = device.compile(b.program, {"PERF_COUNT": on})
        request = executable.create_request()
        assert all(row.status != "EXECUTED" for row in request.perf_counts())
        outputs = [np.zeros(b.program.tensors[i].type.shape, np.float32) for i in b.program.outputs]
        request.infer([x], outputs)
        rows = {row.layer: row for row in request.perf_counts()}
        assert rows["conv1"].status == "EXECUTED"
        assert rows["conv1"].exec_type == "conv_gemm"
        assert rows["binary2"].status == "NOT_RUN"
        assert rows["reshape8"].status == "OPTIMIZED_OUT"
        assert (sum(row.real_time for row in rows.values()) > 0) == (on == "YES")
        request.close()
        executable.close()


def test_tiles_are_measured_once_and_kept(device: GpuDevice, tmp_path: Path) -> None:
    b, x, file = deep(2), floats(1, 8, 33, 31), tmp_path / "tuning.txt"
    b.output(b.node("MatMul", b.program.outputs[0], b.const(floats(31, 40)), transpose_a=0, transpose_b=0))
    compare(device, b, [x], rtol=1e-3, atol=1e-4, TUNING_MODE="TUNING_CREATE", TUNING_FILE=str(file))
    text = file.read_text()
    assert [line.split()[2:6] for line in text.splitlines()[1:]] == [["gemm", "8", "1023", "72"], ["gemm", "264", "40", "31"]]
    compare(device, b, [x], rtol=1e-3, atol=1e-4, TUNING_MODE="TUNING_USE_EXISTING", TUNING_FILE=str(file))
    assert file.read_text() == text
    lines = text.splitlines()
    file.write_text("\n".join([lines[0], "nonsense", lines[1]]) + "\n")
    compare(device, b, [x], rtol=1e-3, atol=1e-4, TUNING_MODE="TUNING_UPDATE", TUNING_FILE=str(file))
    assert [line.split()[2:6] for line in file.read_text().splitlines()[1:]] == [line.split()[2:6] for line in lines[1:]]
