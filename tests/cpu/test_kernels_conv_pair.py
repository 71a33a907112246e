# SPDX-License-Identifier: Apache-2.0
"""A convolution and the depthwise one behind it in one kernel, against the numpy references of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cpu_programs import Builder, check, infer, load
from kernel_checks import compare, floats

from ie_ctypes.model.program import AttrValue

FUSED = ("conv_pair_", "conv_first_pair_")
MAP = (1, 24, 30, 61)  # with 144 channels behind a map of 1 MB


def depthwise(
    b: Builder, x: int, rng: np.random.Generator, stride: int = 1, begin: int = 1, end: int = 1, kernel: int = 3, dilation: int = 1
) -> int:
    channels = b.program.tensors[x].type.shape[1]
    attrs: dict[str, AttrValue] = {
        "strides": (stride,) * 2,
        "dilations": (dilation,) * 2,
        "pads_begin": (begin,) * 2,
        "pads_end": (end,) * 2,
    }
    return b.node("Conv", x, b.const(floats(rng, channels, 1, 1, kernel, kernel)), b.const(floats(rng, channels)), **attrs)


def expand(b: Builder, x: int, rng: np.random.Generator, outputs: int = 144, **more: int) -> int:
    channels = b.program.tensors[x].type.shape[1]
    kernel = 3 if more else 1
    scale = np.float32(1 / kernel / channels**0.5)
    return b.conv(x, floats(rng, 1, outputs, channels, kernel, kernel) * scale, floats(rng, outputs), **more)


def runs_in_one(b: Builder, threads: str = "1") -> bool:
    steps = load(b.program, CPU_THREADS_NUM=threads).exec_graph()
    return any(step["primitiveType"].startswith(FUSED) for step in steps)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("begin", "end"), [(1, 1), (0, 0), (0, 1), (1, 0), (-1, 1)])
@pytest.mark.parametrize("size", [(1, 24, 30, 61), (2, 19, 31, 30), (1, 128, 29, 64)])
def test_borders_and_images(isa: str, stride: int, begin: int, end: int, size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(stride)
    b = Builder()
    b.output(depthwise(b, expand(b, b.input(*size), rng, 150), rng, stride, begin, end))
    assert runs_in_one(b)
    compare(b, [floats(rng, *size)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("channels", "pad"), [(3, 1), (1, 0), (7, 1)])
def test_first_layers(isa: str, stride: int, channels: int, pad: int) -> None:
    rng = np.random.default_rng(channels)
    size = (2, channels, 171 * stride, 160 * stride)
    b = Builder()
    b.output(depthwise(b, expand(b, b.input(*size), rng, 40, stride=stride, pad=pad), rng, 3 - stride))
    assert runs_in_one(b)
    compare(b, [floats(rng, *size)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("between", ["", "clamp", "prelu", "cos"])
@pytest.mark.parametrize("after", ["", "clamp", "sigmoid"])
def test_posts_on_both_sides(isa: str, between: str, after: str) -> None:
    """The cosine of what is no channel is 1: a depthwise layer must not let it through."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = expand(b, b.input(*MAP), rng, 146)
    if between == "prelu":
        x = b.binary(x, b.const(floats(rng, 1, 146, 1, 1)), "prelu")
    elif between:
        x = b.unary(x, between, -0.5, 0.75)
    y = depthwise(b, x, rng)
    if after:
        y = b.unary(y, after, -0.5, 0.75)
    b.output(b.conv(y, floats(rng, 1, 5, 146, 1, 1)))
    assert runs_in_one(b)
    compare(b, [floats(rng, *MAP)], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
def test_results_do_not_depend_on_fusing(isa: str, stride: int) -> None:
    """A map that is an output too is read from memory."""
    x = floats(np.random.default_rng(12), *MAP)
    results = []
    for apart in (False, True):
        rng = np.random.default_rng(11)
        b = Builder()
        y = b.unary(expand(b, b.input(*MAP), rng), "relu")
        b.output(depthwise(b, y, rng, stride))
        if apart:
            b.output(y)
        assert runs_in_one(b) is not apart
        results += [infer(load(b.program, CPU_THREADS_NUM=threads), b.program, [x])[0] for threads in ("1", "2", "3")]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("behind", ["pool", "depthwise"])
def test_one_channel_with_more_behind(isa: str, behind: str) -> None:
    """A convolution from one channel to one is a depthwise one too, but another kernel's, which has taken what is behind it."""
    rng = np.random.default_rng(18)
    b = Builder()
    y = depthwise(b, expand(b, b.input(1, 24, 128, 130), rng, 1), rng)
    if behind == "pool":
        window: dict[str, AttrValue] = {
            "kernel": (2, 2),
            "strides": (2, 2),
            "pads_begin": (0, 0),
            "pads_end": (0, 0),
            "dilations": (1, 1),
            "ceil": 0,
        }
        b.output(b.node("MaxPool", y, **window))
    else:
        b.output(depthwise(b, y, rng))
    compare(b, [floats(rng, 1, 24, 128, 130)], rtol=1e-4, atol=1e-4)


def test_the_second_is_reported_as_a_part_of_the_first() -> None:
    rng = np.random.default_rng(13)
    b = Builder()
    executable = check(b.output(depthwise(b, b.unary(expand(b, b.input(*MAP), rng), "relu"), rng)), rtol=1e-4, atol=1e-4)
    step = next(s for s in executable.exec_graph() if s["type"] == "Conv")
    assert step["originalLayersNames"] == "conv0,unary1,conv2"
    assert step["outputShapes"] == "1x144x30x61"


def test_every_pair_has_a_cache_file_of_its_own(tmp_path: Path) -> None:
    x = floats(np.random.default_rng(14), *MAP)
    results, files = [], []
    for seed in (15, 15, 16):  # the last one differs in the depthwise weights only
        b = Builder()
        y = expand(b, b.input(*MAP), np.random.default_rng(14))
        b.output(depthwise(b, y, np.random.default_rng(seed)))
        executable = load(b.program, CPU_THREADS_NUM="1", CACHE_DIR=str(tmp_path))
        results.append(infer(executable, b.program, [x])[0])
        executable.close()
        files.append(len(list(tmp_path.iterdir())))
        check(b, rtol=1e-4, atol=1e-4)
    assert files == [1, 1, 2]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize(
    "case", ["output", "reader", "sum", "addend", "small", "kernel", "dilation", "channels", "threads", "weights", "stride"]
)
def test_pairs_that_stay_apart(case: str) -> None:
    rng = np.random.default_rng(17)
    size = {"small": (1, 24, 12, 20), "channels": (1, 130, 30, 61), "stride": (1, 24, 60, 122)}.get(case, MAP)
    b = Builder()
    x = b.input(*size)
    y = b.conv(x, floats(rng, 1, 144, 24, 1, 1), stride=2) if case == "stride" else expand(b, x, rng)
    inputs = [floats(rng, *size)]
    if case == "sum":
        inputs.append(floats(rng, *b.program.tensors[y].type.shape))
        y = b.binary(y, b.input(*inputs[1].shape), "add")
    if case == "weights":
        inputs.append(floats(rng, 144, 1, 1, 3, 3))
        attrs: dict[str, AttrValue] = {"strides": (1, 1), "dilations": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1)}
        z = b.node("Conv", y, b.input(144, 1, 1, 3, 3), **attrs)
    else:
        z = depthwise(b, y, rng, kernel=5 if case == "kernel" else 3, dilation=2 if case == "dilation" else 1)
    if case == "addend":  # the depthwise layer has taken it
        inputs.append(floats(rng, *b.program.tensors[z].type.shape))
        z = b.binary(z, b.input(*inputs[1].shape), "add")
    b.output(z)
    if case == "output":
        b.output(y)
    if case == "reader":
        b.output(b.unary(y, "tanh"))
    threads = "8" if case == "threads" else "1"
    assert not runs_in_one(b, threads)
    check(b, rtol=1e-4, atol=1e-3, config={"CPU_THREADS_NUM": threads})
