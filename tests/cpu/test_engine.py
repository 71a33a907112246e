# SPDX-License-Identifier: Apache-2.0
"""The engine as a whole: passes keep results, counters tell what became of each layer, memory is shared safely."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from cpu_programs import ISAS, Builder, check, has_isa, infer, kinds_run, load, random_inputs, reference

from ie_ctypes.model.program import AttrValue

RNG = np.random.default_rng(7)
THREADS = pytest.mark.parametrize("threads", ["1", "2", "3"])


def weights(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[2:]))).astype(np.float32)


def test_reshape_only_copies_the_input_to_the_output() -> None:
    b = Builder()
    x = b.input(2, 3, 4)
    check(b.output(b.node("Reshape", x, shape=(6, 4)), x))


def test_the_same_tensor_may_be_two_outputs() -> None:
    b = Builder()
    y = b.unary(b.input(1, 20, 5, 5), "abs")
    check(b.output(y, y, b.node("Reshape", y, shape=(20, 25))))


def test_a_constant_may_be_an_output() -> None:
    b = Builder()
    x = b.input(4)
    check(b.output(b.unary(x, "neg"), b.const(np.arange(5, dtype=np.int64))))


def test_scale_and_shift_fold_into_convolution_weights() -> None:
    b = Builder()
    x = b.input(1, 20, 9, 9)
    y = b.conv(x, weights(1, 24, 20, 3, 3), weights(1, 1, 24).reshape(24), pad=1)
    y = b.binary(y, b.const(weights(24, 1, 1)), "mul")
    y = b.binary(b.const(weights(1, 24, 1, 1)), y, "sub")
    y = b.unary(y, "power", 1.0, 0.5, 0.25)
    executable = check(b.output(y))
    assert "Binary" not in kinds_run(executable)
    assert "Unary" not in kinds_run(executable)


def test_scale_folds_into_grouped_and_transposed_convolutions() -> None:
    b = Builder()
    x = b.input(1, 12, 5, 5)
    y = b.conv(x, weights(3, 8, 4, 3, 3), pad=1)
    y = b.binary(y, b.const(weights(1, 24, 1, 1)), "mul")
    deconv = {"strides": (2, 2), "dilations": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "output_padding": (0, 0)}
    y = b.node("Deconv", y, b.const(weights(2, 12, 5, 4, 4)), **deconv)
    y = b.binary(y, b.const(weights(1, 10, 1, 1)), "div")
    executable = check(b.output(y), rtol=1e-4, atol=1e-4)
    assert "Binary" not in kinds_run(executable)


@pytest.mark.parametrize("transpose_b", [0, 1])
def test_scale_and_shift_fold_into_a_matrix_product(transpose_b: int) -> None:
    b = Builder()
    x = b.input(3, 40)
    w = weights(30, 40) if transpose_b else weights(40, 30)
    y = b.node("MatMul", x, b.const(w), transpose_a=0, transpose_b=transpose_b)
    y = b.binary(y, b.const(weights(30)), "add")
    y = b.binary(y, b.const(weights(1, 30)), "mul")
    executable = check(b.output(y), rtol=1e-4, atol=1e-4)
    assert kinds_run(executable) == ["MatMul"]


def test_a_scale_stays_when_the_convolution_is_an_output_too() -> None:
    b = Builder()
    y = b.conv(b.input(1, 16, 6, 6), weights(1, 16, 16, 1, 1))
    check(b.output(y, b.binary(y, b.const(weights(1, 16, 1, 1)), "mul")))


def test_a_scale_along_the_width_is_not_mistaken_for_channels() -> None:
    b = Builder()
    y = b.conv(b.input(1, 8, 8, 8), weights(1, 8, 8, 1, 1))
    check(b.output(b.binary(y, b.const(weights(8)), "mul")))


def residual_network(channels: int) -> Builder:
    b = Builder()
    x = b.conv(b.input(1, 3, 14, 14), weights(1, channels, 3, 3, 3), pad=1)
    x = b.unary(x, "relu")
    for _ in range(3):
        y = b.unary(b.conv(x, weights(1, channels, channels, 3, 3), pad=1), "relu")
        y = b.conv(y, weights(1, channels, channels, 1, 1))
        x = b.unary(b.binary(y, x, "add"), "relu")
    return b.output(b.node("Reduce", x, op="mean", axes=(2, 3), keep_dims=0))


@THREADS
@pytest.mark.parametrize("channels", [16, 20, 64])
def test_residual_blocks(channels: int, threads: str) -> None:
    check(residual_network(channels), rtol=1e-4, atol=1e-4, config={"CPU_THREADS_NUM": threads})


def test_two_branches_of_a_sum_are_both_convolutions() -> None:
    b = Builder()
    x = b.input(1, 16, 10, 10)
    left = b.conv(x, weights(1, 32, 16, 1, 1))
    right = b.unary(b.conv(x, weights(1, 32, 16, 3, 3), pad=1), "abs")
    check(b.output(b.unary(b.binary(left, right, "add"), "relu")), rtol=1e-4, atol=1e-4)


def test_zero_padding_moves_into_the_convolution() -> None:
    b = Builder()
    x = b.input(1, 5, 7, 8)
    y = b.node("Pad", x, pads_begin=(0, 0, 1, 2), pads_end=(0, 0, 0, 1), mode="constant", value=0.0)
    executable = check(b.output(b.conv(y, weights(1, 6, 5, 3, 3))))
    assert "Pad" not in kinds_run(executable)


def test_other_padding_stays() -> None:
    for mode, value, begin in (("constant", 1.0, (0, 0, 1, 1)), ("edge", 0.0, (0, 0, 1, 1)), ("constant", 0.0, (0, 1, 0, 0))):
        b = Builder()
        x = b.input(1, 4, 6, 6)
        y = b.node("Pad", x, pads_begin=begin, pads_end=(0, 0, 1, 0), mode=mode, value=value)
        executable = check(b.output(b.conv(y, weights(1, 6, b.program.tensors[y].type.shape[1], 3, 3))))
        assert "Pad" in kinds_run(executable)


def test_transposes_that_cancel_vanish() -> None:
    b = Builder()
    x = b.input(2, 3, 4, 5)
    y = b.node("Transpose", b.node("Transpose", x, order=(0, 2, 3, 1)), order=(0, 3, 1, 2))
    executable = check(b.output(b.unary(y, "neg")))
    assert kinds_run(executable) == ["Unary"]


def test_transposes_in_a_row_become_one() -> None:
    b = Builder()
    y = b.node("Transpose", b.input(2, 3, 4, 5), order=(1, 2, 3, 0))
    executable = check(b.output(b.node("Transpose", y, order=(0, 2, 1, 3))))
    assert kinds_run(executable) == ["Transpose"]


@pytest.mark.parametrize("channels", [(16, 32), (5, 11), (16, 7)])
def test_concat_of_convolutions(channels: tuple[int, int]) -> None:
    b = Builder()
    x = b.input(1, 8, 6, 6)
    parts = [b.unary(b.conv(x, weights(1, c, 8, 1, 1)), "sigmoid") for c in channels]
    y = b.node("Concat", *parts, axis=1)
    check(b.output(b.conv(y, weights(1, 16, sum(channels), 3, 3), pad=1), parts[0]), rtol=1e-4, atol=1e-4)


def test_dense_blocks_concat_what_was_concatenated() -> None:
    b = Builder()
    x = b.conv(b.input(1, 3, 8, 8), weights(1, 16, 3, 3, 3), pad=1)
    for i in range(4):
        y = b.unary(b.conv(x, weights(1, 16, 16 * (i + 1), 3, 3), pad=1), "relu")
        x = b.node("Concat", x, y, axis=1)
    check(b.output(b.unary(x, "relu"), x), rtol=1e-4, atol=1e-4)


def test_concat_of_one_value_twice_and_of_an_input() -> None:
    b = Builder()
    x = b.input(1, 4, 3)
    y = b.unary(x, "abs")
    check(b.output(b.node("Concat", y, y, x, axis=1), b.node("Concat", x, y, axis=2)))


@pytest.mark.parametrize("batch", [1, 2])
def test_split_parts_are_used_and_returned(batch: int) -> None:
    b = Builder()
    x = b.unary(b.input(batch, 48, 4, 4), "abs")
    parts = b.nodes("Split", x, axis=1, lengths=(16, 32))
    check(b.output(b.unary(parts[0], "neg"), parts[1], b.node("Concat", parts[1], parts[0], axis=1)))


def test_an_input_is_not_overwritten_by_work_in_place() -> None:
    b = Builder()
    x = b.input(1, 100)
    y = b.unary(x, "neg")
    y = b.unary(y, "exp")
    check(b.output(b.binary(b.unary(y, "sqrt"), y, "mul"), y))


def test_chains_of_elementwise_ops_with_several_readers() -> None:
    b = Builder()
    x = b.input(1, 33, 5, 5)
    a = b.unary(x, "tanh")
    c = b.binary(a, x, "mul")
    d = b.binary(c, a, "add")
    e = b.binary(d, b.const(weights(1, 33, 1, 1)), "mul")
    check(b.output(b.unary(e, "clamp", -0.5, 0.5), b.binary(d, c, "max")))


def test_prelu_behind_a_convolution() -> None:
    b = Builder()
    y = b.conv(b.input(2, 6, 5, 5), weights(1, 20, 6, 3, 3))
    check(b.output(b.binary(y, b.const(weights(1, 20, 1, 1)), "prelu")), rtol=1e-4, atol=1e-4)


def test_results_nobody_reads_are_not_computed() -> None:
    b = Builder()
    x = b.input(8)
    b.unary(b.unary(x, "exp"), "log")
    executable = check(b.output(b.unary(x, "neg")))
    assert kinds_run(executable) == ["Unary"]


def test_counters_name_every_layer_and_what_became_of_it() -> None:
    b = Builder()
    x = b.input(1, 16, 8, 8)
    y = b.unary(b.conv(x, weights(1, 16, 16, 3, 3), pad=1), "relu")
    y = b.node("Reshape", y, shape=(1, 16 * 64))
    b.output(b.node("Softmax", y, axis=1))
    executable = load(b.program)
    request = executable.create_request()
    assert {row.status for row in request.perf_counts()} == {"NOT_RUN", "OPTIMIZED_OUT"}
    inputs = random_inputs(b.program)
    outputs = [np.zeros((1, 16 * 64), np.float32)]
    request.infer(inputs, outputs)
    rows = {row.layer: row for row in request.perf_counts()}
    assert {"conv0", "unary1", "reshape2", "softmax3"} <= rows.keys()
    assert rows["conv0"].status == "EXECUTED"
    assert rows["conv0"].exec_type.endswith("_FP32")
    assert (rows["unary1"].status, rows["unary1"].exec_type) == ("NOT_RUN", "undef")
    assert rows["reshape2"].status == "OPTIMIZED_OUT"
    assert rows["softmax3"].order > rows["conv0"].order


def test_exec_graph_lists_steps_with_the_layers_they_compute() -> None:
    b = Builder()
    y = b.unary(b.conv(b.input(1, 16, 8, 8), weights(1, 16, 16, 3, 3), pad=1), "relu")
    executable = load(b.output(y).program)
    steps = executable.exec_graph()
    assert [s["execOrder"] for s in steps] == [str(i) for i in range(len(steps))]
    conv = next(s for s in steps if s["type"] == "Conv")
    assert conv["originalLayersNames"] == "conv0,unary1"
    assert conv["outputPrecisions"] == "FP32"
    assert conv["execTimeMcs"] == "not_executed"
    infer(executable, b.program, random_inputs(b.program))
    assert all(s["execTimeMcs"].isdigit() for s in executable.exec_graph())


def test_unsupported_kind_is_an_error_with_kind_and_node() -> None:
    b = Builder()
    x = b.input(4)
    y = b.unary(x, "neg")
    b.program.nodes[0].kind = "Frobnicate"
    with pytest.raises(RuntimeError, match="unsupported kind Frobnicate, node unary0"):
        load(b.output(y).program)


def test_query_says_which_nodes_run() -> None:
    from ie_ctypes.devices.cpu import CpuDevice

    b = Builder()
    b.output(b.unary(b.unary(b.input(4), "neg"), "abs"))
    b.program.nodes[1].kind = "Frobnicate"
    assert CpuDevice().query(b.program) == [True, False]


@pytest.mark.parametrize("streams", ["1", "2"])
def test_many_threads_on_one_executable(streams: str) -> None:
    b = residual_network(32)
    executable = load(b.program, CPU_THREADS_NUM="2", CPU_THROUGHPUT_STREAMS=streams)
    wrong: list[int] = []

    def work(seed: int) -> None:
        inputs = random_inputs(b.program, seed)
        wanted = reference(b.program, inputs)[0]
        request = executable.create_request()
        for _ in range(20):
            outputs = [np.zeros_like(wanted)]
            request.infer(inputs, outputs)
            if not np.allclose(outputs[0], wanted, rtol=1e-4, atol=1e-4):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_network(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    b = residual_network(24)
    monkeypatch.setenv("IE_CTYPES_ISA", isa)
    if not has_isa(isa):
        pytest.skip(f"this machine has no {isa}")
    executable = check(b, rtol=1e-4, atol=1e-4)
    # those with dot products have kernels of bytes of their own only
    assert any(isa.removesuffix("_vnni").removesuffix("_dot") in step["primitiveType"] for step in executable.exec_graph())


def test_random_networks_of_elementwise_ops_concats_and_splits() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        b = Builder()
        c = int(rng.choice([3, 16, 20, 32]))
        shape = (int(rng.integers(1, 3)), c, 4, 5)
        values = [b.input(*shape), b.input(*shape)]
        for _ in range(12):
            pick = [values[int(i)] for i in rng.integers(0, len(values), 2)]
            step = int(rng.integers(0, 6))
            if step == 0:
                values.append(b.unary(pick[0], str(rng.choice(["abs", "neg", "relu", "tanh"]))))
            elif step == 1:
                values.append(b.binary(pick[0], pick[1], str(rng.choice(["add", "sub", "max"]))))
            elif step == 2:
                values.append(b.conv(pick[0], weights(1, c, c, 3, 3) / c, pad=1))
            elif step == 3:
                both = b.node("Concat", pick[0], pick[1], axis=1)
                values.extend(b.nodes("Split", b.unary(both, "relu"), axis=1, lengths=(c, c)))
            elif step == 4:
                flat = b.node("Reshape", pick[0], shape=(shape[0], c * 20))
                values.append(b.node("Reshape", b.unary(flat, "neg"), shape=shape))
            else:
                values.append(b.binary(pick[0], b.const(weights(1, c, 1, 1)), "mul"))
        count = int(rng.integers(1, 4))
        b.output(*[values[int(i)] for i in rng.integers(2, len(values), count)], values[-1])
        check(b, rtol=1e-3, atol=1e-3, config={"CPU_THREADS_NUM": str(1 + seed % 2)}, seed=seed)


def test_a_split_value_is_written_into_the_concat_that_joins_its_parts() -> None:
    b = Builder()
    x = b.conv(b.input(1, 16, 6, 6), weights(1, 32, 16, 1, 1))
    left, right = b.nodes("Split", x, axis=1, lengths=(16, 16))
    y = b.conv(right, weights(1, 16, 16, 3, 3), pad=1)
    y = b.node("Concat", left, right, y, axis=1)
    executable = check(b.output(b.conv(y, weights(1, 8, 48, 1, 1))), rtol=1e-4, atol=1e-4)
    assert not {"Concat", "Split"} & set(kinds_run(executable))


def test_unread_pooling_indices_are_dropped() -> None:
    pool = {"kernel": (2, 2), "strides": (2, 2), "dilations": (1, 1), "pads_begin": (0, 0), "pads_end": (0, 0), "ceil": 0}
    steps = []
    for extra in ({}, {"index_axis": 2, "index_dtype": "int64"}):
        b = Builder()
        x = b.conv(b.input(1, 16, 8, 8), weights(1, 16, 16, 1, 1))
        steps.append(check(b.output(b.node("MaxPool", x, **pool, **extra)), rtol=1e-4, atol=1e-4).exec_graph())
    assert [s["primitiveType"] for s in steps[0]] == [s["primitiveType"] for s in steps[1]]


def test_an_addend_is_not_mistaken_for_the_absent_bias_of_a_matrix_product() -> None:
    b = Builder()
    x, addend = b.input(64, 256), b.input(64, 256)
    y = b.node("MatMul", x, b.const(weights(256, 256) / 16), transpose_a=0, transpose_b=0)
    check(b.output(b.unary(b.binary(y, addend, "add"), "tanh")), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bind", "streams"), [("YES", 1), ("NO", 1), ("YES", 2)])
def test_bound_threads_stay_on_a_core_of_their_own(bind: str, streams: int) -> None:
    """The pooled members of every stream; the caller's own thread is left alone."""
    usable = os.sched_getaffinity(0)
    if len(usable) < 2:
        pytest.skip("one processor: nothing can be bound apart")
    if 2 * streams > len(usable):
        bind = "NO"  # fewer processors than members: none is bound
    before = set(os.listdir("/proc/self/task"))
    b = Builder()
    y = b.conv(b.input(1, 16, 8, 8), weights(1, 16, 16, 3, 3), pad=1)
    executable = load(b.output(y).program, CPU_THREADS_NUM=str(2 * streams), CPU_THROUGHPUT_STREAMS=str(streams), CPU_BIND_THREAD=bind)
    for _ in range(20):
        infer(executable, b.program, random_inputs(b.program))
    sets = [os.sched_getaffinity(int(t)) for t in set(os.listdir("/proc/self/task")) - before]
    executable.close()
    assert os.sched_getaffinity(0) == usable
    assert len(sets) == streams
    if bind == "NO":
        assert all(s == usable for s in sets)
    else:
        assert all(len(s) == 1 and s <= usable for s in sets)
        assert len({frozenset(s) for s in sets}) == streams


@pytest.mark.parametrize("bind", ["NUMA", "YES", "NO"])
def test_every_way_of_binding_is_accepted(bind: str) -> None:
    b = Builder()
    y = b.unary(b.input(4), "neg")
    check(b.output(y), config={"CPU_BIND_THREAD": bind})


@pytest.mark.parametrize("channels", [3, 20, 32])
def test_convolutions_and_pools_of_constants(isa: str, channels: int) -> None:
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, channels, 9, 10)).astype(np.float32)
    lists: dict[str, AttrValue] = {"strides": (1, 1), "dilations": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1)}
    pool: dict[str, AttrValue] = {"kernel": (3, 3), "strides": (2, 2), "pads_begin": (1, 1), "pads_end": (1, 1), "ceil": 0}
    for weights in ((1, 32, channels, 3, 3), (1, 32, channels, 1, 1), (channels, 1, 1, 3, 3)):
        b = Builder()
        w = b.const(rng.standard_normal(weights).astype(np.float32))
        check(b.output(b.node("Conv", b.const(x), w, **lists)), atol=1e-4)
    b = Builder()
    w = b.const(rng.standard_normal((1, channels, 16, 3, 3)).astype(np.float32))
    check(b.output(b.node("Deconv", b.const(x), w, **lists, output_padding=(0, 0))), atol=1e-4)
    b = Builder()
    y = b.node("MaxPool", b.const(x), **pool, dilations=(1, 1))
    check(b.output(y, b.node("AvgPool", b.const(x), **pool, divisor="valid")))
