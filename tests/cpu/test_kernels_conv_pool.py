# SPDX-License-Identifier: Apache-2.0
"""A convolution and the maximum pool behind it in one kernel, against the numpy references of both."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, check, infer, load
from kernel_checks import compare, floats

from ie_ctypes.model.program import AttrValue

FUSED = "conv_first_pool_"


def window(
    kernel: int = 2, stride: int = 2, pad: int = 0, pad_end: int | None = None, dilation: int = 1, ceil: int = 0
) -> dict[str, AttrValue]:
    end = pad if pad_end is None else pad_end
    return {
        "kernel": (kernel,) * 2,
        "strides": (stride,) * 2,
        "dilations": (dilation,) * 2,
        "pads_begin": (pad,) * 2,
        "pads_end": (end,) * 2,
        "ceil": ceil,
    }


def network(
    rng: np.random.Generator,
    size: tuple[int, int, int, int],
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    pad: int = 1,
    post: str = "",
    *,
    pool: dict[str, AttrValue],
) -> tuple[Builder, int]:
    """A convolution with bias, ``post`` and a pool; the number of the pool's result."""
    b = Builder()
    x = b.conv(b.input(*size), floats(rng, 1, outputs, size[1], kernel, kernel), floats(rng, outputs), stride=stride, pad=pad)
    if post == "prelu":
        x = b.binary(x, b.const(floats(rng, 1, outputs, 1, 1)), "prelu")
    elif post:
        x = b.unary(x, post, alpha=0.1 if post == "relu" else 0.0)
    return b, b.node("MaxPool", x, **pool)


def runs_in_one(b: Builder, threads: str = "1") -> bool:
    steps = load(b.program, CPU_THREADS_NUM=threads).exec_graph()
    return any(step["primitiveType"].startswith(FUSED) for step in steps)


@pytest.mark.parametrize("outputs", [3, 16, 40, 64, 90])
@pytest.mark.parametrize(
    "pool",
    [
        window(),
        window(3, 2, ceil=1),
        window(3, 2, 1),
        window(3, 1, 1),
        window(2, 3),
        window(3, 2, 2, 0, dilation=2, ceil=1),
        window(1, 2),
        window(5, 1, 4),
    ],
    ids=lambda p: "-".join(str(v[0] if isinstance(v, tuple) else v) for v in p.values()),
)
def test_windows_of_every_kind(isa: str, outputs: int, pool: dict[str, AttrValue]) -> None:
    rng = np.random.default_rng(outputs)
    b, y = network(rng, (2, 3, 37, 31), outputs, pool=pool)
    b.output(y)
    assert runs_in_one(b)
    compare(b, [floats(rng, 2, 3, 37, 31)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 5, 7])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(1, 1, 0), (2, 2, 0), (3, 1, 0), (3, 2, 1), (5, 3, 2), (8, 2, 3), (4, 1, 3)])
def test_convolutions_of_every_kind(isa: str, channels: int, kernel: int, stride: int, pad: int) -> None:
    rng = np.random.default_rng(channels)
    b, y = network(rng, (1, channels, 53, 40), 18, kernel, stride, pad, pool=window(3, 2, 1))
    b.output(y)
    assert runs_in_one(b) is (channels * kernel**2 <= 64)
    compare(b, [floats(rng, 1, channels, 53, 40)], rtol=1e-4, atol=1e-4)


def test_rows_wider_than_a_part(isa: str) -> None:
    """Windows that do not overlap are computed in parts of a row; the last one is shorter, and one starts in the padding."""
    rng = np.random.default_rng(5)
    for pool in (window(), window(2, 2, 1), window(2, 5, 1, ceil=1)):
        b, y = network(rng, (1, 2, 23, 1201), 33, pool=pool)
        b.output(y)
        assert runs_in_one(b)
        compare(b, [floats(rng, 1, 2, 23, 1201)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [2, 3])
def test_bands_of_a_tall_map(isa: str, kernel: int) -> None:
    rng = np.random.default_rng(kernel)
    b, y = network(rng, (2, 3, 301, 150), 16, pool=window(kernel, 2))
    b.output(y)
    assert runs_in_one(b)
    compare(b, [floats(rng, 2, 3, 301, 150)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("before", ["", "relu", "prelu", "sigmoid", "cos"])
@pytest.mark.parametrize("after", ["", "exp", "sum"])
def test_posts_on_both_sides_of_the_pool(isa: str, before: str, after: str) -> None:
    rng = np.random.default_rng(7)
    b, y = network(rng, (1, 3, 24, 20), 21, post=before, pool=window(3, 2, 1))
    shape = b.program.tensors[y].type.shape
    inputs = [floats(rng, 1, 3, 24, 20)]
    if after == "sum":
        y = b.binary(y, b.input(*shape), "add")
        inputs.append(floats(rng, *shape))
    elif after:
        y = b.unary(y, after)
    b.output(y)
    assert len([s for s in load(b.program).exec_graph() if s["type"] != "Reorder"]) == 1
    compare(b, inputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("negative", [False, True])
def test_slopes_move_behind_the_pool_where_they_keep_the_order(isa: str, negative: bool) -> None:
    rng = np.random.default_rng(8)
    slopes = np.abs(floats(rng, 1, 18, 1, 1)) + 0.01
    slopes[0, 9] *= -1 if negative else 1
    for pool in (window(), window(3, 2, 1), window(2, 2, 3)):
        b = Builder()
        x = b.conv(b.input(1, 3, 20, 22), floats(rng, 1, 18, 3, 3, 3) - 0.3)
        b.output(b.node("MaxPool", b.binary(x, b.const(slopes), "prelu"), **pool))
        assert runs_in_one(b)
        compare(b, [floats(rng, 1, 3, 20, 22)], rtol=1e-4, atol=1e-4)


def test_lanes_that_are_no_channels_stay_zero(isa: str) -> None:
    """Windows in the padding give the lowest float: a convolution behind would see it in lanes past the channels."""
    rng = np.random.default_rng(9)
    b, y = network(rng, (1, 3, 16, 16), 5, post="cos", pool=window(2, 2, 3))
    b.output(b.conv(b.unary(y, "sign"), floats(rng, 1, 4, 5, 1, 1)))
    assert runs_in_one(b)
    compare(b, [floats(rng, 1, 3, 16, 16)], rtol=1e-4, atol=1e-4)


def test_not_a_number_wins(isa: str) -> None:
    rng = np.random.default_rng(10)
    b, y = network(rng, (1, 3, 18, 18), 4, 1, pad=0, pool=window(3, 2, 1))
    x = floats(rng, 1, 3, 18, 18)
    x[0, 1, 7, 9] = np.nan
    (got,) = compare(b.output(y), [x], rtol=1e-4, atol=1e-4)
    assert np.isnan(got).any()


def test_results_do_not_depend_on_fusing(isa: str) -> None:
    """A map that is an output too is pooled apart."""
    x = floats(np.random.default_rng(12), 1, 3, 61, 59)
    results = []
    for apart in (False, True):
        b, y = network(np.random.default_rng(11), (1, 3, 61, 59), 24, post="relu", pool=window(3, 2, 1))
        b.output(y)
        if apart:
            b.output(b.program.nodes[-1].inputs[0])
        assert runs_in_one(b) is not apart
        results.append(infer(load(b.program), b.program, [x])[0])
    np.testing.assert_array_equal(*results)


def test_the_pool_is_reported_as_a_part_of_the_convolution() -> None:
    b, y = network(np.random.default_rng(13), (1, 3, 30, 30), 16, post="sigmoid", pool=window())
    executable = check(b.output(y), rtol=1e-4, atol=1e-4)
    step = next(s for s in executable.exec_graph() if s["type"] == "Conv")
    assert step["originalLayersNames"] == "conv0,unary1,maxpool2"
    assert step["outputShapes"] == "1x16x15x15"
    request = executable.create_request()
    out = np.zeros((1, 16, 15, 15), np.float32)
    request.infer([floats(np.random.default_rng(1), 1, 3, 30, 30)], [out])
    status = {row.layer: row.status for row in request.perf_counts()}
    assert status["conv0"] == "EXECUTED"
    assert status["unary1"] == status["maxpool2"] == "NOT_RUN"
    request.close()


@pytest.mark.parametrize("case", ["reader", "channels", "sum", "threads", "indices", "rank"])
def test_pools_that_stay_apart(case: str) -> None:
    rng = np.random.default_rng(14)
    channels, threads = (8, "1") if case == "channels" else (3, "8" if case == "threads" else "1")
    b = Builder()
    if case == "rank":
        x = b.conv(b.input(1, 3, 40), floats(rng, 1, 16, 3, 3))
        y = b.node("MaxPool", x, kernel=(2,), strides=(2,), pads_begin=(0,), pads_end=(0,), dilations=(1,), ceil=0)
    else:
        x = b.conv(b.input(1, channels, 40, 40), floats(rng, 1, 16, channels, 3, 3))
        if case == "sum":
            x = b.binary(x, b.input(1, 16, 38, 38), "add")
        extra: dict[str, AttrValue] = {"index_axis": 0, "index_dtype": "int64"} if case == "indices" else {}
        outputs = b.nodes("MaxPool", x, **window(), **extra)
        y = outputs[0]
        if case == "indices":
            b.output(outputs[1])
    if case == "reader":
        b.output(b.unary(x, "tanh"))
    b.output(y)
    assert not runs_in_one(b, threads)
    check(b, rtol=1e-4, atol=1e-4, config={"CPU_THREADS_NUM": threads})


WINOGRAD = [  # input, output channels, kernel, primitive
    ((2, 37, 12, 20), 50, 3, "winograd4_pool"),
    ((1, 16, 42, 86), 40, 3, "winograd4_pool"),
    ((1, 512, 6, 8), 33, 3, "winograd2_pool"),
    ((2, 40, 14, 42), 48, 5, "winograd4x5_pool"),
    ((1, 40, 6, 10), 50, 5, "winograd2x5_pool"),
]


def between(b: Builder, x: int, post: str, outputs: int) -> int:
    rng = np.random.default_rng(outputs)
    if post == "prelu":
        return b.binary(x, b.const(np.abs(floats(rng, 1, outputs, 1, 1))), "prelu")
    if post == "sum":
        return b.binary(x, b.input(*b.program.tensors[x].type.shape), "add")
    values = {"leaky": ("relu", 0.1), "clamp": ("clamp", -0.5, 0.75)}.get(post, (post,))
    return b.unary(x, *values) if post else x


def winograd(
    rng: np.random.Generator, size: tuple[int, ...], outputs: int, kernel: int, *posts: str, pool: dict[str, AttrValue]
) -> Builder:
    b = Builder()
    scale = np.float32(1 / kernel / size[1] ** 0.5)
    x = b.conv(b.input(*size), floats(rng, 1, outputs, size[1], kernel, kernel) * scale, floats(rng, outputs), pad=kernel // 2)
    for post in posts:
        x = between(b, x, post, outputs)
    return b.output(b.node("MaxPool", x, **pool))


@pytest.mark.parametrize("posts", [(), ("relu",), ("leaky",), ("prelu",), ("clamp", "leaky"), ("relu", "prelu", "leaky")])
@pytest.mark.parametrize(("size", "outputs", "kernel", "primitive"), WINOGRAD)
def test_winograds_tiles_are_pooled(
    isa: str, size: tuple[int, ...], outputs: int, kernel: int, primitive: str, posts: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(outputs)
    b = winograd(rng, size, outputs, kernel, *posts, pool=window())
    for threads in ("1", "2"):
        assert primitive in str(load(b.program, CPU_THREADS_NUM=threads).exec_graph())
    compare(b, [floats(rng, *size)], rtol=1e-4, atol=1e-4)


def test_not_a_number_wins_in_winograds_tiles(isa: str) -> None:
    rng = np.random.default_rng(1)
    b = winograd(rng, (1, 16, 24, 24), 16, 3, "leaky", pool=window())
    x = floats(rng, 1, 16, 24, 24)
    x[0, 3, 13, 13] = np.nan
    got = infer(load(b.program), b.program, [x])[0]
    assert np.isnan(got[0, :, 6, 6]).all()
    assert not np.isnan(got[0, :, :5]).any()


@pytest.mark.parametrize(
    ("size", "posts", "pool"),
    [
        ((1, 16, 25, 24), (), window()),
        ((1, 16, 24, 24), (), window(3, 2, ceil=1)),
        ((1, 16, 24, 24), (), window(2, 1)),
        ((1, 16, 24, 24), (), window(2, 2, 1)),
        ((1, 16, 24, 24), ("sigmoid",), window()),
        ((1, 16, 24, 24), ("leaky", "sigmoid"), window()),
    ],
)
def test_pools_that_stay_behind_winograds_method(size: tuple[int, ...], posts: tuple[str, ...], pool: dict[str, AttrValue]) -> None:
    rng = np.random.default_rng(2)
    executable = check(winograd(rng, size, 16, 3, *posts, pool=pool), rtol=1e-4, atol=1e-4)
    assert "winograd4_" in str(executable.exec_graph())
    assert "_pool_" not in str(executable.exec_graph())


def test_an_addend_of_the_map_stays_in_front_of_the_pool(isa: str) -> None:
    rng = np.random.default_rng(3)
    check(winograd(rng, (1, 16, 24, 24), 16, 3, "sum", "relu", pool=window()), rtol=1e-4, atol=1e-4)
