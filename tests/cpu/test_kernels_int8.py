# SPDX-License-Identifier: Apache-2.0
"""Kernels of quantised bytes against the references, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, infer, load
from int8_checks import STEP, exact, fake_quantize, integer_weights, values


def random_conv(rng: np.random.Generator) -> dict[str, tuple[int, ...]]:
    rank = int(rng.integers(1, 4)) if rng.random() < 0.3 else 2
    k, dilations, pads, ends, strides, free = (
        tuple(int(v) for v in rng.integers(low, high, rank)) for low, high in ((1, 4), (1, 3), (0, 3), (0, 3), (1, 4), (1, 12))
    )
    size = tuple(v + (a - 1) * d for v, a, d in zip(free, k, dilations, strict=True))
    return {"k": k, "size": size, "strides": strides, "dilations": dilations, "pads_begin": pads, "pads_end": ends}


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(24))
def test_convolutions_of_any_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_conv(rng)
    k, size = case.pop("k"), case.pop("size")
    groups = int(rng.choice([1, 1, 1, 2]))
    c, o = (int(v) for v in (rng.integers(1, 70, 2) if groups == 1 else 16 * rng.integers(1, 3, 2)))
    zero = int(rng.choice([0, 0, 128, 77]))
    b = Builder()
    x = b.input(int(rng.integers(1, 3)), c * groups, *size)
    w = integer_weights(rng, (groups, o, c, *k), int(rng.choice([127, 30])))
    y = b.node("Conv", fake_quantize(b, x, zero), b.const(w), b.const(rng.integers(-50, 50, o * groups).astype(np.float32)), **case)
    b.output(y)
    assert "int8_conv" in exact(b, [values(rng, b.program.tensors[x].type.shape, zero)])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_of_the_largest_bytes_and_weights_do_not_saturate(sign: int) -> None:
    b = Builder()
    x = b.input(1, 512, 2, 3)
    w = np.full((1, 17, 512, 1, 1), 127 * sign, np.float32)
    w[:, ::2, ::3] = -128 * sign
    w[:, 1, ::2] = 0
    b.output(b.conv(fake_quantize(b, x, 0), w))
    assert "int8_conv" in exact(b, [np.full((1, 512, 2, 3), 99, np.float32)])


def winograd_ran(kernels: list[str], isa: str) -> bool:
    """Where the instruction set has the kernel, it took the convolution."""
    return ("int8_winograd" if isa in ("avx2", "avx512") else "int8_conv") in kernels


@pytest.mark.parametrize("seed", range(8))
def test_whole_numbers_by_winograd(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, o = (int(v) for v in rng.integers([36, 60], [80, 100]))
    size, begin, end = (tuple(int(v) for v in rng.integers(low, high, 2)) for low, high in ((17, 30), (0, 3), (0, 3)))
    size = (size[0], int(rng.choice([size[1], 67])))  # wider than a strip
    zero = int(rng.choice([0, 128, 77]))
    b = Builder()
    x = b.input(int(rng.integers(1, 3)), c, *size)
    inputs = [fake_quantize(b, x, zero), b.const(integer_weights(rng, (1, o, c, 3, 3), 60))]
    inputs.append(b.const(rng.integers(-50, 50, o).astype(np.float32)))
    y = b.node("Conv", *inputs, strides=(1, 1), dilations=(1, 1), pads_begin=begin, pads_end=end)
    b.output(y)
    b.output(b.conv(fake_quantize(b, b.unary(y, "relu"), 0, 32.0), integer_weights(rng, (1, 16, o, 1, 1), 20)))
    assert winograd_ran(exact(b, [values(rng, b.program.tensors[x].type.shape, zero)]), isa)


@pytest.mark.parametrize("together", [False, True])
def test_largest_bytes_and_weights_by_winograd(isa: str, together: bool) -> None:
    rng = np.random.default_rng(3)
    size = 20 if together else 40  # few tiles are one item of all threads
    b = Builder()
    x = b.input(1, 40, size, size)
    w = rng.choice(np.array([127, -128], np.float32), (1, 64, 40, 3, 3))
    w[:, :3] = 127
    w[:, 3:6] = -128
    b.output(b.conv(fake_quantize(b, x, 0), w, pad=1))
    data = rng.choice(np.array([0, 99], np.float32), (1, 40, size, size))
    data[:, :, :9] = 99
    assert winograd_ran(exact(b, [data]), isa)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("activation", ["none", "relu", "clamp", "leaky", "abs"])
@pytest.mark.parametrize("o", [16, 21])
def test_bytes_go_from_one_convolution_to_the_next(o: int, activation: str) -> None:
    rng = np.random.default_rng(o)
    b = Builder()
    x = b.input(1, 20, 9, 11)
    y = b.conv(fake_quantize(b, x, 128), integer_weights(rng, (1, o, 20, 3, 3), 20))
    if activation == "clamp":
        y = b.unary(y, "clamp", alpha=-3.0, beta=6.25)
    elif activation == "abs":
        y = b.unary(y, "abs")
    elif activation != "none":
        y = b.unary(y, "relu", alpha=0.25 if activation == "leaky" else 0.0)
    y = b.conv(fake_quantize(b, y, 100, 0.25), integer_weights(rng, (1, 33, o, 1, 1)))
    b.output(y)
    assert exact(b, [values(rng, (1, 20, 9, 11))]) == ["int8_quantize", "int8_conv", "int8_conv"]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("bytes_too", [False, True])
def test_residual_sum_of_bytes_and_of_numbers(bytes_too: bool) -> None:
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input(1, 40, 7, 7)
    q = fake_quantize(b, b.conv(fake_quantize(b, x, 128), integer_weights(rng, (1, 40, 40, 1, 1), 9)), 128, 0.5)
    other = q if bytes_too else b.unary(b.input(1, 40, 7, 7), "abs")
    y = b.conv(q, integer_weights(rng, (1, 40, 40, 3, 3), 9), rng.integers(-9, 9, 40).astype(np.float32), pad=1)
    y = fake_quantize(b, y, 128, 0.5)
    y = b.unary(b.binary(other, y, "add"), "relu")
    b.output(b.conv(fake_quantize(b, y, 0, 1.0), integer_weights(rng, (1, 8, 40, 1, 1))))
    inputs = [values(rng, (1, 40, 7, 7))] + ([] if bytes_too else [values(rng, (1, 40, 7, 7))])
    kernels = exact(b, inputs)
    assert kernels.count("int8_conv") == 3
    assert "binary" not in kernels
    assert "int8_dequantize" not in kernels


def test_residual_sums_round_alike_everywhere(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixths of sums: products that round to halves of a level do so before they are added, whatever the instruction set could do."""
    rng = np.random.default_rng(4)
    b = Builder()
    x = fake_quantize(b, b.input(1, 16, 19, 21), 128)
    shortcut = fake_quantize(b, b.conv(x, integer_weights(rng, (1, 48, 16, 1, 1), 30)), 128, 0.5)
    y = b.conv(x, rng.integers(-9, 10, (1, 48, 16, 1, 1)).astype(np.float32) / 32)
    y = fake_quantize(b, y, 128, STEP / 32 * 6)
    y = fake_quantize(b, b.binary(shortcut, y, "add"), 120, 0.25)
    b.output(b.conv(y, integer_weights(rng, (1, 16, 48, 1, 1))))
    data = [values(rng, (1, 16, 19, 21))]
    results = []
    for name in (isa, "scalar"):
        monkeypatch.setenv("IE_CTYPES_ISA", name)
        executable = load(b.program)
        results.append(infer(executable, b.program, data)[0])
        executable.close()
    np.testing.assert_array_equal(*results)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("before", ["nothing", "relu", "abs", "sum", "quantised sum"])
def test_levels_that_stay_numbers(before: str) -> None:
    rng = np.random.default_rng(11)
    b = Builder()
    x = fake_quantize(b, b.input(1, 40, 7, 9), 128)
    shortcut = fake_quantize(b, b.conv(x, integer_weights(rng, (1, 40, 40, 1, 1), 9)), 128, 0.5)
    y = b.conv(shortcut, integer_weights(rng, (1, 40, 40, 3, 3), 9), rng.integers(-9, 9, 40).astype(np.float32), pad=1)
    if before == "quantised sum":
        y = fake_quantize(b, y, 128, 0.5)
    if before.endswith("sum"):
        y = b.binary(shortcut, y, "add")
    elif before != "nothing":
        y = b.unary(y, before)
    step = np.float32(2.0) ** rng.integers(-1, 3, (1, 40, 1, 1)).astype(np.float32)
    b.output(fake_quantize(b, y, 100, step))
    assert exact(b, [values(rng, (1, 40, 7, 9))]).count("int8_conv") == 2


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("read_again", [False, True])
def test_an_addend_that_the_network_quantises_comes_as_bytes(read_again: bool) -> None:
    rng = np.random.default_rng(8)
    b = Builder()
    x = fake_quantize(b, b.input(1, 20, 9, 11), 0)
    shortcut = fake_quantize(b, b.conv(x, integer_weights(rng, (1, 21, 20, 1, 1), 40)), 128, 2.0)
    y = fake_quantize(b, b.conv(x, integer_weights(rng, (1, 21, 20, 1, 1), 60)), 100, 4.0)
    if read_again:  # the sum is in the store of the other convolution then, which adds numbers
        b.output(b.unary(y, "abs"))
    y = b.unary(b.binary(shortcut, y, "add"), "relu")
    b.output(b.conv(fake_quantize(b, y, 0, 2.0), integer_weights(rng, (1, 16, 21, 1, 1), 9)))
    kernels = exact(b, [values(rng, (1, 20, 9, 11), 0)])
    assert kernels.count("int8_conv") == 3
    assert not {"int8_dequantize", "binary"} & set(kernels)
    types = [step["primitiveType"] for step in load(b.program).exec_graph()]
    assert sum(name.startswith("int8_conv") and name.endswith("U8") for name in types) == (1 if read_again else 2)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(16))
def test_depthwise_convolutions_of_any_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_conv(rng)
    k, size = case.pop("k"), case.pop("size")
    c, zero = int(rng.integers(2, 50)), int(rng.choice([0, 128, 77]))
    b = Builder()
    x = b.input(int(rng.integers(1, 3)), c, *size)
    w = integer_weights(rng, (c, 1, 1, *k))
    y = b.node("Conv", fake_quantize(b, x, zero), b.const(w), b.const(rng.integers(-50, 50, c).astype(np.float32)), **case)
    b.output(y)
    assert "int8_depthwise" in exact(b, [values(rng, b.program.tensors[x].type.shape, zero)])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(12))
def test_pools_of_any_window(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_conv(rng)
    size = case.pop("size")
    case["kernel"] = k = case.pop("k")
    for pads in ("pads_begin", "pads_end"):  # no window lies outside
        case[pads] = tuple(min(p, (n - 1) * d) for p, n, d in zip(case[pads], k, case["dilations"], strict=True))
    c, zero = int(rng.integers(2, 50)), int(rng.choice([0, 128, 77]))
    b = Builder()
    x = b.input(int(rng.integers(1, 3)), c, *size)
    y = b.node("MaxPool", fake_quantize(b, x, zero), ceil=0, **case)
    b.output(b.node("Conv", y, b.const(integer_weights(rng, (1, 16, c, *(1,) * len(k)), 60)), **window(len(k))))
    assert "int8_pool" in exact(b, [values(rng, b.program.tensors[x].type.shape, zero)])


@pytest.mark.usefixtures("isa")
def test_limits_and_steps_of_each_channel() -> None:
    rng = np.random.default_rng(5)
    b = Builder()
    step = np.float32(2.0) ** rng.integers(-3, 3, (1, 21, 1, 1)).astype(np.float32)
    x = b.input(2, 21, 5, 6)
    y = fake_quantize(b, b.unary(x, "abs"), 0, step)
    y = b.node("MaxPool", y, kernel=(3, 2), strides=(2, 1), dilations=(1, 1), pads_begin=(1, 1), pads_end=(1, 0), ceil=0)
    b.output(y)
    # A depthwise convolution is what reads such a grid.
    b.output(b.node("Conv", y, b.const(integer_weights(rng, (21, 1, 1, 2, 2), 60)), **window()))
    kernels = exact(b, [rng.integers(-300, 300, (2, 21, 5, 6)).astype(np.float32)])
    assert kernels.count("int8_pool") == kernels.count("int8_depthwise") == kernels.count("int8_dequantize") == 1


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("k", [3, 7])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_images_of_few_channels_and_what_is_no_number(channels: int, k: int) -> None:
    rng = np.random.default_rng(channels)
    b = Builder()
    x = b.input(2, channels, 7, 37)
    b.output(b.conv(fake_quantize(b, x, 0), integer_weights(rng, (1, 40, channels, k, k)), pad=k // 2))
    data = values(rng, (2, channels, 7, 37), 0)
    data[0, -1, 3, ::5] = np.inf
    data[1, 0, 3, ::4] = -np.inf
    assert exact(b, [data])[0] == "int8_quantize"
    missing = data.copy()
    data[0, 0, 2, ::3], missing[0, 0, 2, ::3] = 0, np.nan  # becomes the lowest number
    executable = load(b.program)
    np.testing.assert_array_equal(infer(executable, b.program, [missing])[0], infer(executable, b.program, [data])[0])
    executable.close()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("channels", [17, 20, 35])
def test_few_channels_in_the_last_block_have_limits_of_their_own(channels: int) -> None:
    rng = np.random.default_rng(channels)
    b = Builder()
    x = b.input(1, channels, 7, 37)
    y = fake_quantize(b, x, 0, np.float32(2.0) ** rng.integers(-3, 3, (1, channels, 1, 1)).astype(np.float32))
    b.output(b.node("Conv", y, b.const(integer_weights(rng, (channels, 1, 1, 2, 2), 60)), **window()))
    assert "int8_depthwise" in exact(b, [rng.integers(-300, 300, (1, channels, 7, 37)).astype(np.float32)])


def window(rank: int = 2) -> dict[str, tuple[int, ...]]:
    return {"strides": (1,) * rank, "dilations": (1,) * rank, "pads_begin": (0,) * rank, "pads_end": (0,) * rank}


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize(("shape", "n"), [((1, 64), 40), ((3, 20), 1000), ((70, 132), 17), ((2, 5, 36), 21)])
def test_matrix_products(shape: tuple[int, ...], n: int, transposed: int) -> None:
    rng = np.random.default_rng(n)
    b = Builder()
    x = b.input(*shape)
    w = integer_weights(rng, (1, n, shape[-1]))[0]
    bias = b.const(rng.integers(-50, 50, n).astype(np.float32))
    inputs = [fake_quantize(b, x, 100), b.const(w if transposed else np.ascontiguousarray(w.T)), bias]
    y = b.unary(b.node("MatMul", *inputs, transpose_a=0, transpose_b=transposed), "relu")
    if len(shape) == 2:  # bytes to the next product
        y = fake_quantize(b, y, 10, 4.0)
        y = b.node("MatMul", y, b.const(integer_weights(rng, (1, 8, n))[0, :, :n]), transpose_a=0, transpose_b=1)
    b.output(y)
    kernels = exact(b, [values(rng, shape, 100)])
    assert kernels.count("int8_matmul") == (2 if len(shape) == 2 and n % 4 == 0 else 1)
    assert "unary" not in kernels
