# SPDX-License-Identifier: Apache-2.0
"""Convolutions of every shape against the numpy reference, and that each shape gets the kernel meant for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from cpu_programs import Builder, load
from kernel_checks import close_to_exact, compare, floats, node

from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.model.program import AttrValue


def window(
    rank: int, stride: int = 1, dilation: int = 1, begin: int = 0, end: int | None = None, **more: AttrValue
) -> dict[str, AttrValue]:
    """The spatial attributes, the same on every axis."""
    last = begin if end is None else end
    values = {"strides": stride, "dilations": dilation, "pads_begin": begin, "pads_end": last}
    return {**{name: (v,) * rank for name, v in values.items()}, **more}


def kernel_of(x: np.ndarray, w: np.ndarray, attrs: Mapping[str, AttrValue], kind: str = "Conv", threads: int = 0) -> str:
    """The primitive that serves one node with constant weights; ``threads`` 0 is the default number."""
    b = Builder()
    program = b.output(b.node(kind, b.input(*x.shape), b.const(w), **attrs)).program
    executable = load(program, CPU_THREADS_NUM=str(threads)) if threads else load(program)
    steps = [s for s in executable.exec_graph() if s["type"] == kind]
    return str(steps[0]["primitiveType"])


def random_conv(rng: np.random.Generator, c: int, o: int, g: int = 1) -> tuple[list[np.ndarray | None], dict[str, AttrValue]]:
    """Inputs and attributes of a convolution of random rank, kernel, stride, dilation and (also negative) padding."""
    rank = int(rng.choice([1, 2, 2, 3]))
    top = {1: 40, 2: 13, 3: 6}[rank]
    kernel, strides, dilations = (rng.integers(1, n, rank) for n in (5, 4, 3))
    begin, end = rng.integers(-1, 3, rank), rng.integers(0, 3, rank)
    sizes = np.maximum(rng.integers(1, top, rank), (kernel - 1) * dilations + 1 - begin - end)
    sizes = np.maximum(sizes, 1)
    x, w = floats(rng, int(rng.integers(1, 3)), c * g, *sizes), floats(rng, g, o, c, *kernel)
    bias = floats(rng, o * g) if rng.random() < 0.7 else None
    lists = zip(("strides", "dilations", "pads_begin", "pads_end"), (strides, dilations, begin, end), strict=True)
    return [x, w, bias], {name: tuple(int(v) for v in values) for name, values in lists}


@pytest.mark.parametrize("seed", range(12))
def test_dense_convolutions_of_any_shape(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, attrs = random_conv(rng, int(rng.integers(8, 70)), int(rng.integers(1, 100)))
    node("Conv", inputs, rtol=1e-4, atol=1e-4, const=(1, 2), **attrs)


@pytest.mark.parametrize("seed", range(6))
def test_first_layers_read_plain_inputs_of_few_channels(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, attrs = random_conv(rng, 1 + seed, int(rng.integers(1, 70)))
    node("Conv", inputs, rtol=1e-4, atol=1e-4, const=(1, 2), **attrs)


@pytest.mark.parametrize("seed", range(8))
def test_depthwise_convolutions_of_any_shape(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, attrs = random_conv(rng, 1, 1, int(rng.integers(2, 50)))
    node("Conv", inputs, rtol=1e-4, atol=1e-4, const=(1, 2), **attrs)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("begin", [-1, 0, 1, 2])
@pytest.mark.parametrize("end", [0, 1, 2])
def test_depthwise_3x3_with_every_border(isa: str, stride: int, begin: int, end: int) -> None:
    """One row, two, and odd ones; windows with a row or column outside on either side or on both, images one by one."""
    rng = np.random.default_rng(stride)
    for height, width in ((1, 1), (1, 4), (2, 3), (3, 1), (5, 8), (6, 7)):
        if min(height, width) + begin + end < 3:
            continue
        inputs = [floats(rng, 2, 18, height, width), floats(rng, 18, 1, 1, 3, 3), floats(rng, 18)]
        node("Conv", inputs, rtol=1e-4, atol=1e-4, const=(1, 2), **window(2, stride=stride, begin=begin, end=end))


@pytest.mark.parametrize(
    ("c", "o", "g"),
    [(16, 32, 3), (32, 16, 2), (48, 80, 2), (3, 5, 4), (1, 2, 20), (17, 16, 2), (4, 4, 32), (1, 2, 32), (2, 1, 3), (8, 24, 6)],
)
def test_grouped_convolutions(isa: str, c: int, o: int, g: int) -> None:
    rng = np.random.default_rng(c)
    inputs, attrs = random_conv(rng, c, o, g)
    node("Conv", inputs, rtol=1e-4, atol=1e-4, const=(1, 2), **attrs)


def exact(x: np.ndarray, w: np.ndarray, begin: int, end: int) -> np.ndarray:
    """A convolution of stride 1 in float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (begin, end), (begin, end)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w.astype(np.float64), optimize=True)


@pytest.mark.parametrize(
    ("shape", "o", "size", "kind", "bound"),
    [
        ((2, 37, 9, 9), 50, 3, "4", 2**-19),  # one item, tiles that stick out
        ((1, 16, 41, 83), 40, 3, "4", 2**-19),  # many items; strips of tiles
        ((3, 300, 10, 17), 20, 3, "4", 2**-19),  # several images, sums in slabs
        ((1, 512, 7, 7), 33, 3, "2", 2**-21),
        ((1, 530, 7, 6), 64, 3, "2", 2**-21),
        ((1, 530, 7, 7), 520, 3, "2", 2**-21),  # two and three threads transform the kernels late, in slabs
        ((1, 40, 13, 41), 50, 5, "4x5", 2**-18),
        ((2, 270, 8, 9), 33, 5, "4x5", 2**-18),
        ((1, 48, 7, 7), 128, 5, "2x5", 2**-20),
        ((2, 270, 7, 6), 208, 5, "2x5", 2**-20),
    ],
)
@pytest.mark.parametrize(("begin", "end"), [(1, 1), (0, 2), (2, 0)])
def test_winograd_is_close_to_the_exact_sum(
    isa: str, shape: tuple[int, ...], o: int, size: int, kind: str, bound: float, begin: int, end: int
) -> None:
    rng = np.random.default_rng(sum(shape))
    x, w = floats(rng, *shape), floats(rng, o, shape[1], size, size)
    # The bound in units of the greatest sum of absolute products: a few roundings of the sum, times what the transforms amplify.
    bound *= exact(np.abs(x), np.abs(w), begin, end).max()
    b = Builder()
    program = b.output(b.node("Conv", b.input(*shape), b.const(w[None]), **window(2, begin=begin, end=end))).program
    primitive = f"winograd{kind}_{isa.removesuffix('_vnni').removesuffix('_dot')}"
    close_to_exact(program, x, exact(x, w, begin, end), bound, primitive)


@pytest.mark.parametrize("sizes", [(9, 14), (23, 42)])
def test_winograd_adds_the_residual_and_clamps(isa: str, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input(1, 40, *sizes)
    y = b.conv(x, floats(rng, 1, 40, 40, 3, 3) * np.float32(0.1), floats(rng, 40), pad=1)
    y = b.unary(b.binary(y, x, "add"), "clamp", -0.5, 0.75)
    compare(b.output(y), [floats(rng, 1, 40, *sizes)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "o"),
    [
        ((1, 256, 10, 10), 256),
        ((2, 320, 7, 19), 288),  # two images, an odd number of pixels, gemm groups of different width
        ((1, 544, 14, 28), 512),  # pieces of pixels; sums in slabs
        ((1, 256, 97), 320),
        ((1, 512, 13, 13), 1000),  # half a block is missing
        ((1, 256, 10, 10), 257),  # and nearly two
    ],
)
def test_strassens_method_is_close_to_the_exact_sum(isa: str, shape: tuple[int, ...], o: int) -> None:
    rng = np.random.default_rng(o)
    c, rank = shape[1], len(shape) - 2
    x, w, bias = floats(rng, *shape), floats(rng, o, c), floats(rng, o)
    products = np.einsum("nc...,oc->no...", x.astype(np.float64), w.astype(np.float64))
    expected = products + bias.reshape(-1, *(1,) * rank)
    # in units of the greatest sum of absolute products, as for Winograd's method
    bound = 2**-21 * np.einsum("nc...,oc->no...", np.abs(x), np.abs(w)).max()
    b = Builder()
    weights = b.const(w.reshape(1, o, c, *(1,) * rank))
    program = b.output(b.node("Conv", b.input(*shape), weights, b.const(bias), **window(rank))).program
    close_to_exact(program, x, expected, bound, "conv_strassen")


@pytest.mark.parametrize("o", [256, 270])
def test_strassens_method_adds_the_residual_and_goes_on(isa: str, o: int) -> None:
    rng = np.random.default_rng(0)
    b = Builder()
    x, other = b.input(1, 256, 9, 13), b.input(1, o, 9, 13)
    y = b.conv(x, floats(rng, 1, o, 256, 1, 1) * np.float32(0.1), floats(rng, o))
    y = b.unary(b.binary(y, other, "add"), "clamp", -0.5, 0.75)
    y = b.binary(b.unary(y, "sigmoid"), b.const(floats(rng, 1, o, 1, 1)), "mul")
    # A second convolution adds up all lanes, wrong ones too.
    y = b.conv(y, floats(rng, 1, 7, o, 1, 1) * np.float32(0.1))
    compare(b.output(y), [floats(rng, 1, 256, 9, 13), floats(rng, 1, o, 9, 13)], rtol=1e-4, atol=1e-4)


def test_weights_and_bias_computed_at_run_time(isa: str) -> None:
    rng = np.random.default_rng(3)
    inputs, attrs = random_conv(rng, 20, 18)
    inputs[2] = floats(rng, 18)
    node("Conv", inputs, rtol=1e-4, atol=1e-4, **attrs)


@pytest.mark.parametrize("o", [5, 16, 40])
def test_fused_operations_follow_in_order_and_leave_no_trace_past_the_channels(isa: str, o: int) -> None:
    rng = np.random.default_rng(o)
    b = Builder()
    x = b.input(1, 36, 11, 10)
    w = floats(rng, 1, o, 36, 3, 3) * np.float32(0.1)
    y = b.conv(x, w, floats(rng, o), pad=1)
    y = b.unary(y, "sigmoid")
    y = b.binary(y, b.const(floats(rng, 1, o, 1, 1)), "add")
    y = b.binary(y, b.conv(x, floats(rng, 1, o, 36, 1, 1)), "add")
    y = b.unary(y, "clamp", -2.0, 1.5)
    # A second convolution adds up all lanes, wrong ones too.
    y = b.conv(y, floats(rng, 1, 7, o, 1, 1))
    compare(b.output(y), [floats(rng, 1, 36, 11, 10)], rtol=1e-4, atol=2e-4)


def test_large_maps_are_shared_out_in_pieces(isa: str) -> None:
    rng = np.random.default_rng(0)
    x = floats(rng, 1, 16, 70, 61)
    node("Conv", [x, floats(rng, 1, 33, 16, 1, 1), None], rtol=1e-4, atol=1e-4, const=(1,), **window(2))
    node("Conv", [x, floats(rng, 1, 33, 16, 3, 3), None], rtol=1e-4, atol=1e-4, const=(1,), **window(2, stride=2, begin=1))


@pytest.mark.parametrize(("n", "o", "size"), [(1, 400, 14), (5, 300, 7), (1, 20, 60)])
def test_items_of_pixels_and_channels_cover_all_images(isa: str, n: int, o: int, size: int) -> None:
    rng = np.random.default_rng(n)
    x = floats(rng, n, 330, size, size)
    node("Conv", [x, floats(rng, 1, o, 330, 1, 1), floats(rng, o)], rtol=1e-4, atol=3e-4, const=(1, 2), **window(2))
    node("Conv", [x, floats(rng, 1, o, 330, 1, 1), floats(rng, o)], rtol=1e-4, atol=3e-4, const=(1, 2), **window(2, stride=2))


def test_deep_inputs_are_summed_in_slabs(isa: str) -> None:
    rng = np.random.default_rng(0)
    x, w = floats(rng, 1, 700, 5, 6), floats(rng, 1, 70, 700, 3, 3) * np.float32(0.05)
    node("Conv", [x, w, floats(rng, 70)], rtol=1e-4, atol=1e-4, const=(1, 2), **window(2, begin=1))


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "expected"),
    [
        ((1, 3, 30, 30), (1, 16, 3, 7, 7), "conv_first"),
        ((1, 64, 30, 30), (1, 64, 64, 1, 1), "conv_direct"),
        ((1, 64, 5, 5), (1, 64, 64, 3, 3), "conv_direct"),
        ((1, 512, 9, 9), (1, 512, 512, 3, 3), "winograd2"),
        ((1, 64, 30, 30), (1, 64, 64, 3, 3), "winograd4"),
        ((1, 64, 30, 30), (1, 64, 64, 5, 5), "winograd4x5"),
        ((1, 48, 11, 11), (1, 128, 48, 5, 5), "winograd2x5"),
        ((1, 64, 30, 30), (1, 64, 64, 5, 3), "conv_direct"),
        ((1, 64, 30, 30), (64, 1, 1, 3, 3), "conv_depthwise"),
        ((1, 64, 30, 30), (2, 32, 32, 3, 3), "conv_direct"),
        ((1, 8, 30, 30), (2, 4, 4, 3, 3), "conv_direct"),
        ((1, 128, 30, 30), (32, 4, 4, 3, 3), "conv_direct"),
        ((1, 20, 30, 30), (20, 2, 1, 3, 3), "conv_ref"),
        ((1, 256, 10, 10), (1, 256, 256, 1, 1), "conv_strassen"),
        ((1, 256, 9, 10), (1, 256, 256, 1, 1), "conv_direct"),
        ((1, 224, 10, 10), (1, 256, 224, 1, 1), "conv_direct"),
        ((1, 272, 10, 10), (1, 256, 272, 1, 1), "conv_direct"),
        ((1, 256, 10, 10), (1, 240, 256, 1, 1), "conv_direct"),
        ((1, 256, 10, 10), (1, 260, 256, 1, 1), "conv_strassen"),
    ],
)
def test_each_shape_gets_its_kernel(x_shape: tuple[int, ...], w_shape: tuple[int, ...], expected: str) -> None:
    x, w = np.zeros(x_shape, np.float32), np.ones(w_shape, np.float32)
    assert kernel_of(x, w, window(2)).startswith(expected)


@pytest.mark.parametrize(("threads", "expected"), [(1, "winograd4"), (2, "winograd2")])
def test_threads_that_share_the_memory_read_fewer_weights(threads: int, expected: str) -> None:
    x, w = np.zeros((1, 256, 14, 14), np.float32), np.ones((1, 256, 256, 3, 3), np.float32)
    assert kernel_of(x, w, window(2, begin=1), threads=threads).startswith(expected)


def test_threads_that_share_the_memory_keep_kernels_of_few_tiles_as_they_are() -> None:
    b = Builder()
    w = b.const(np.ones((1, 512, 512, 3, 3), np.float32))
    program = b.output(b.node("Conv", b.input(1, 512, 7, 7), w, **window(2, begin=1))).program
    one, two = (len(CpuDevice().export_program(program, {"CPU_THREADS_NUM": n})) for n in ("1", "2"))
    assert 512 * 512 * 4 * 9 < two < 512 * 512 * 4 * 10
    assert one > 512 * 512 * 4 * 16


@pytest.mark.parametrize("seed", range(8))
def test_transposed_convolutions_of_any_shape(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.choice([1, 2, 2, 3]))
    g, c, o = ((1, 20, 37), (1, 33, 3), (2, 16, 32), (3, 4, 5), (18, 1, 1))[seed % 5]
    kernel, strides, dilations = (rng.integers(1, n, rank) for n in (5, 4, 3))
    sizes = rng.integers(1, {1: 30, 2: 9, 3: 5}[rank], rank)
    full = (sizes - 1) * strides + (kernel - 1) * dilations + 1
    begin = np.minimum(rng.integers(0, 3, rank), full - 1)
    end = np.minimum(rng.integers(0, 3, rank), full - 1 - begin)
    attrs = {"strides": strides, "dilations": dilations, "pads_begin": begin, "pads_end": end, "output_padding": strides > 1}
    lists: dict[str, AttrValue] = {name: tuple(int(v) for v in values) for name, values in attrs.items()}
    inputs = [floats(rng, 2, g * c, *sizes), floats(rng, g, c, o, *kernel), floats(rng, g * o)]
    node("Deconv", inputs, rtol=1e-4, atol=1e-4, const=(1, 2), **lists)
    node("Deconv", inputs, rtol=1e-4, atol=1e-4, **lists)


@pytest.mark.parametrize("bilinear_pad", [0, 1])
@pytest.mark.parametrize("with_mask", [False, True])
def test_deformable_convolution(isa: str, bilinear_pad: int, with_mask: bool) -> None:
    rng = np.random.default_rng(5)
    x, w = floats(rng, 2, 12, 9, 8), floats(rng, 2, 5, 6, 3, 2)
    attrs = window(2, stride=2, begin=1, deformable_group=3, bilinear_pad=bilinear_pad)
    out = (5, 5)
    offsets = floats(rng, 2, 2 * 3 * 6, *out) * 2
    mask = rng.random((2, 3 * 6, *out)).astype(np.float32) if with_mask else None
    node("DeformConv", [x, offsets, w, mask, floats(rng, 10)], rtol=1e-4, atol=1e-4, const=(2, 4), **attrs)


def test_deformable_convolution_reads_nothing_at_absurd_offsets(isa: str) -> None:
    b = Builder()
    x, offsets = b.input(1, 1, 4, 4), b.input(1, 2, 4, 4)
    attrs = window(2, deformable_group=1, bilinear_pad=0)
    program = b.output(b.node("DeformConv", x, offsets, b.const(np.ones((1, 1, 1, 1, 1), np.float32)), **attrs)).program
    executable = load(program)
    for far in (1e30, -1e30, np.inf, -np.inf, np.nan):
        out = np.full((1, 1, 4, 4), 7, np.float32)
        request = executable.create_request()
        request.infer([np.ones((1, 1, 4, 4), np.float32), np.full((1, 2, 4, 4), far, np.float32)], [out])
        assert not out.any()


@pytest.mark.parametrize("kind", ["Conv", "Deconv"])
@pytest.mark.parametrize(("n", "c", "o", "size"), [(1, 16, 0, 5), (1, 0, 16, 5), (0, 16, 16, 5), (1, 16, 16, 0), (0, 0, 0, 5)])
def test_convolutions_of_nothing(isa: str, kind: str, n: int, c: int, o: int, size: int) -> None:
    shape = (1, o, c, 3, 3) if kind == "Conv" else (1, c, o, 3, 3)
    attrs = window(2, begin=1) if kind == "Conv" else window(2, begin=1, output_padding=(0, 0))
    if size == 0:
        attrs |= {"pads_begin": (2, 2), "pads_end": (2, 2)} if kind == "Conv" else {"pads_begin": (-2, -2)}
    for bias in (None, np.ones(o, np.float32)):
        node(kind, [np.ones((n, c, size, size), np.float32), np.ones(shape, np.float32), bias], const=(1, 2), **attrs)
