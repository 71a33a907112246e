# SPDX-License-Identifier: Apache-2.0
"""Each kind on the GPU device against its reference, with sizes that are no multiple of any tile."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cpu_programs import Builder
from gpu_checks import compare, floats, integers, node

from ie_ctypes.devices.gpu import GpuDevice

ALL_BINARY = ["add", "sub", "mul", "div", "floor_div", "max", "min", "pow", "squared_diff", "mod", "floor_mod", "prelu"]
COMPARE = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
UNARY = {
    "relu": (0.1, 0, 0), "sigmoid": (0, 0, 0), "tanh": (0, 0, 0), "elu": (0.7, 0, 0), "clamp": (-0.5, 0.7, 0), "exp": (0, 0, 0),
    "abs": (0, 0, 0), "neg": (0, 0, 0), "square": (0, 0, 0), "sign": (0, 0, 0), "binary_sign": (0, 0, 0), "floor": (0, 0, 0),
    "ceil": (0, 0, 0), "round_even": (0, 0, 0), "round_away": (0, 0, 0), "erf": (0, 0, 0), "sin": (0, 0, 0), "cos": (0, 0, 0),
    "tan": (0, 0, 0), "atan": (0, 0, 0), "sinh": (0, 0, 0), "cosh": (0, 0, 0), "asinh": (0, 0, 0), "softplus": (0, 0, 0),
    "softsign": (0, 0, 0), "mish": (0, 0, 0), "swish": (1.3, 0, 0), "hswish": (0, 0, 0), "hsigmoid": (0, 0, 0),
    "hard_sigmoid": (0.3, 0.4, 0), "selu": (1.6, 0, 1.05), "gelu": (0, 0, 0), "gelu_tanh": (0, 0, 0), "reciprocal": (0, 0, 0),
    "power": (2, 0.5, 0.3),
}  # fmt: skip
POSITIVE = {"log": 0, "sqrt": 0, "asin": 1, "acos": 1, "atanh": 1, "acosh": 2}


@pytest.mark.parametrize("op", [*UNARY, *POSITIVE])
def test_unary(device: GpuDevice, op: str) -> None:
    alpha, beta, gamma = UNARY.get(op, (0, 0, 0))
    x = floats(3, 5, 7)
    if op in POSITIVE:
        x = np.abs(x) + 0.01 if POSITIVE[op] == 0 else np.tanh(x) if POSITIVE[op] == 1 else np.abs(x) + 1
    node(device, "Unary", [x], op=op, alpha=float(alpha), beta=float(beta), gamma=float(gamma), atol=1e-5)


@pytest.mark.parametrize(
    ("op", "dtype"), [*itertools.product(["relu", "clamp", "abs", "neg", "sign"], ["int32", "int64"]), ("not", "bool")]
)
def test_unary_of_integers(device: GpuDevice, op: str, dtype: str) -> None:
    x = integers(dtype, 3, 37) if dtype != "bool" else floats(3, 37) > 0
    node(device, "Unary", [x], op=op, alpha=-3.0 if op == "clamp" else 2.0, beta=4.0, gamma=0.0)


@pytest.mark.parametrize("op", ALL_BINARY)
def test_binary(device: GpuDevice, op: str) -> None:
    a, b = floats(2, 3, 5, 7), floats(2, 3, 5, 7, seed=2) + (3 if op in ("div", "floor_div", "mod", "floor_mod") else 0)
    if op == "pow":
        a = np.abs(a)
    node(device, "Binary", [a, b], op=op)
    node(device, "Binary", [a, b[:1, :, :1]], op=op)
    node(device, "Binary", [a[0], b], op=op)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "max", "min", "squared_diff", "mod", "floor_mod", "prelu"])
def test_binary_of_integers(device: GpuDevice, op: str) -> None:
    for dtype in ("int32", "int64"):
        a, b = integers(dtype, 4, 1, 9), integers(dtype, 3, 9, seed=2)
        if op in ("div", "mod", "floor_mod"):
            b = np.where(b == 0, 2, b).astype(dtype)
        node(device, "Binary", [a, b], op=op)


@pytest.mark.parametrize("op", COMPARE)
def test_comparisons(device: GpuDevice, op: str) -> None:
    node(device, "Binary", [integers("int32", 4, 9).astype(np.float32), integers("int32", 9).astype(np.float32)], op=op)
    node(device, "Binary", [integers("int64", 4, 9), integers("int64", 9)], op=op)


@pytest.mark.parametrize("op", ["logical_and", "logical_or", "logical_xor"])
def test_logic(device: GpuDevice, op: str) -> None:
    node(device, "Binary", [floats(4, 9) > 0, floats(9) > 0], op=op)


def test_select(device: GpuDevice) -> None:
    for dtype in ("float32", "int32", "bool"):
        node(device, "Select", [floats(3, 1, 5) > 0, integers(dtype, 4, 5), integers(dtype, 1, seed=3)])


@pytest.mark.parametrize("limits", [(), (1, 4, 1, 1)])
def test_fake_quantize(device: GpuDevice, limits: tuple[int, ...]) -> None:
    low, high = -np.abs(floats(*limits)) - 0.1, np.abs(floats(*limits, seed=2)) + 0.1
    for levels in (2, 16, 256):
        node(device, "FakeQuantize", [floats(2, 4, 5, 3), low, high, low * 2, high * 2], levels=levels, const=(1, 2, 3, 4))


@pytest.mark.parametrize("target", ["int32", "int64", "uint8", "int8", "bool", "float32", "float16"])
def test_convert(device: GpuDevice, target: str) -> None:
    for source in ("float32", "int32", "int64", "uint8", "int8", "bool", "float16"):
        x = (floats(3, 37) * 100).astype(source) if source.startswith("f") else integers(source, 3, 37, low=-100, high=100)
        for rounding in ("truncate", "nearest"):
            node(device, "Convert", [x], dtype=target, round=rounding)


# -- convolutions and products -----------------------------------------------------------------------------------------------


def window(rank: int, stride: int = 1, dilation: int = 1, pad: int = 0) -> dict[str, tuple[int, ...]]:
    return {"strides": (stride,) * rank, "dilations": (dilation,) * rank, "pads_begin": (pad,) * rank, "pads_end": (pad,) * rank}


CONV = {
    "3x3": ((2, 5, 11, 13), (1, 33, 5, 3, 3), window(2, pad=1)),
    "stride": ((1, 7, 19, 23), (1, 70, 7, 3, 3), window(2, 2, pad=1)),
    "dilation": ((1, 3, 17, 17), (1, 20, 3, 3, 3), window(2, 1, 2, 2)),
    "1x1": ((2, 37, 5, 9), (1, 41, 37, 1, 1), window(2)),
    "big tile": ((1, 19, 40, 40), (1, 70, 19, 3, 3), window(2, pad=1)),
    "groups": ((2, 12, 9, 8), (3, 17, 4, 3, 3), window(2, pad=1)),
    "depthwise": ((2, 19, 10, 11), (19, 1, 1, 3, 3), window(2, 2, pad=1)),
    "few outputs": ((1, 6, 9, 9), (1, 3, 6, 5, 5), window(2, pad=2)),
    "whole image": ((2, 6, 5, 7), (1, 33, 6, 5, 7), window(2)),
    "row": ((2, 9, 31), (1, 18, 9, 5), window(1, 2, pad=2)),
    "volume": ((1, 4, 5, 7, 6), (1, 18, 4, 3, 3, 3), window(3, pad=1)),
    "crop": ((1, 4, 9, 9), (1, 18, 4, 3, 3), window(2, pad=-1)),
}


@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(device: GpuDevice, name: str, bias: bool) -> None:
    x, w, attrs = CONV[name]
    b = floats(w[0] * w[1], seed=3) if bias else None
    node(device, "Conv", [floats(*x), floats(*w, seed=2), b], const=(1, 2), rtol=1e-4, atol=1e-4, **attrs)


def test_conv_of_computed_weights(device: GpuDevice) -> None:
    node(device, "Conv", [floats(1, 4, 9, 9), floats(1, 18, 4, 3, 3), None], rtol=1e-4, atol=1e-4, **window(2))


@pytest.mark.parametrize(
    ("x", "w", "stride", "pad"),
    [
        ((1, 5, 7, 6), (1, 5, 9, 4, 4), 2, 1),
        ((2, 6, 5, 5), (6, 1, 1, 4, 4), 2, 1),
        ((1, 8, 6), (2, 4, 3, 3), 3, 0),
        ((1, 3, 4, 3, 4), (1, 3, 2, 2, 2, 2), 2, 0),
    ],
)
def test_deconv(device: GpuDevice, x: tuple[int, ...], w: tuple[int, ...], stride: int, pad: int) -> None:
    rank = len(x) - 2
    attrs = {**window(rank, stride, pad=pad), "output_padding": (0,) * rank}
    node(device, "Deconv", [floats(*x), floats(*w, seed=2), floats(w[0] * w[2], seed=3)], const=(1, 2), rtol=1e-4, atol=1e-5, **attrs)


MATMUL = {
    "fully connected": ((1, 301), (67, 301), 0, 1),
    "columns": ((3, 301), (301, 67), 0, 0),
    "rows": ((40, 33), (33, 70), 0, 0),
    "both turned": ((33, 40), (70, 33), 1, 1),
    "batches": ((2, 3, 17, 9), (2, 3, 9, 21), 0, 0),
    "broadcast": ((4, 1, 17, 9), (3, 21, 9), 0, 1),
    "one right matrix": ((4, 5, 9), (9, 21), 0, 0),
    "vector left": ((9,), (9, 21), 0, 0),
    "vector right": ((5, 9), (9,), 0, 0),
}


@pytest.mark.parametrize("name", MATMUL)
def test_matmul(device: GpuDevice, name: str) -> None:
    a, b, ta, tb = MATMUL[name]
    node(device, "MatMul", [floats(*a), floats(*b, seed=2), None], rtol=1e-4, atol=1e-4, transpose_a=ta, transpose_b=tb)
    if len(b) > 1:
        n = b[-2] if tb else b[-1]
        inputs = [floats(*a), floats(*b, seed=2), floats(n, seed=3)]
        node(device, "MatMul", inputs, const=(1, 2), rtol=1e-4, atol=1e-4, transpose_a=ta, transpose_b=tb)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pools(device: GpuDevice, rank: int) -> None:
    x = floats(2, 3, *(9, 7, 5)[:rank])
    for kernel, stride, pad, ceil in ((3, 2, 1, 0), (2, 2, 0, 1), (3, 1, 1, 1)):
        shape = {
            "kernel": (kernel,) * rank,
            "strides": (stride,) * rank,
            "pads_begin": (pad,) * rank,
            "pads_end": (pad,) * rank,
            "ceil": ceil,
        }
        node(device, "MaxPool", [x], dilations=(1,) * rank, **shape)
        for divisor in ("valid", "kernel", "legacy"):
            node(device, "AvgPool", [x], divisor=divisor, **shape)


# -- reductions --------------------------------------------------------------------------------------------------------------

AXES = [(2, 3), (1,), (0, 2), (0, 1, 2, 3)]


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"])
def test_reduce(device: GpuDevice, op: str) -> None:
    x = floats(3, 4, 5, 37)
    x = np.abs(x) if op == "log_sum" else np.exp(x / 20) if op == "prod" else x
    for axes in AXES:
        node(device, "Reduce", [x], op=op, axes=axes, keep_dims=0, rtol=5e-5, atol=2e-5)
    if op in ("sum", "mean", "max", "min", "prod", "l1"):
        node(device, "Reduce", [integers("int64", 3, 4, 5)], op=op, axes=(1,), keep_dims=1)
        node(device, "Reduce", [integers("int32", 3, 4, 5)], op=op, axes=(0, 2), keep_dims=1)


@pytest.mark.parametrize("op", ["and", "or"])
def test_reduce_truth(device: GpuDevice, op: str) -> None:
    node(device, "Reduce", [np.random.default_rng(3).random((4, 3, 5)) > 0.4], op=op, axes=(0, 2), keep_dims=1)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_softmax(device: GpuDevice, kind: str) -> None:
    for shape, axis in (((2, 5, 7, 9), 1), ((3, 1000), 1), ((4, 70, 3), 1), ((3, 4, 5), 2), ((6, 3), 0)):
        node(device, kind, [floats(*shape) * 5], axis=axis, atol=1e-5)


def test_normalisations(device: GpuDevice) -> None:
    x = floats(2, 6, 5, 37)
    for axes in ((2, 3), (1, 2, 3), (1,)):
        for mode in ("inside", "outside"):
            node(device, "MVN", [x], axes=axes, normalize_variance=1, eps=1e-3, eps_mode=mode, rtol=1e-4, atol=1e-5)
        node(device, "MVN", [x], axes=axes, normalize_variance=0, eps=1e-3, eps_mode="inside", rtol=1e-4, atol=1e-5)
        for mode in ("add", "max"):
            node(device, "NormalizeL2", [x], axes=axes, eps=0.3, eps_mode=mode)
    for axes in ((1,), (2, 3)):
        node(device, "LRN", [x], axes=axes, size=3, alpha=0.5, beta=0.75, bias=1.0)


# -- movement ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_movement(device: GpuDevice, dtype: str) -> None:
    def data(*shape: int) -> np.ndarray:
        return integers(dtype, *shape)

    for order in ((0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (0, 1, 3, 2)):
        node(device, "Transpose", [data(2, 19, 4, 21)], order=order)
    for axis in (0, 1, 3):
        shapes = [[2, 3, 4, 5] for _ in range(3)]
        for i, shape in enumerate(shapes):
            shape[axis] = i + 1
        node(device, "Concat", [data(*s) for s in shapes], axis=axis)
        node(device, "Split", [data(6, 6, 4, 6)], axis=axis, lengths=(1, 3, 2))
    node(device, "Slice", [data(5, 6, 7)], begins=(4, 0, 1), strides=(-1, 2, 3), lengths=(3, 3, 2))
    node(device, "Reshape", [data(4, 6)], shape=(2, 3, 4))
    node(device, "Tile", [data(2, 3, 5)], repeats=(2, 1, 3))
    node(device, "Broadcast", [data(3, 1, 5)], shape=(2, 3, 4, 5))
    for mode in ("constant", "edge", "reflect", "symmetric"):
        node(device, "Pad", [data(3, 5, 6)], pads_begin=(0, 2, 1), pads_end=(0, 1, 3), mode=mode, value=3.0)
    node(device, "Pad", [data(3, 5, 6)], pads_begin=(0, -1, 1), pads_end=(0, -2, 0), mode="constant", value=0.0)


@pytest.mark.parametrize("index", ["int32", "int64"])
def test_gather(device: GpuDevice, index: str) -> None:
    x = floats(4, 5, 6)
    node(device, "Gather", [x, integers(index, 3, 2, low=-2, high=7)], axis=1, batch_dims=0, wrap=0)
    node(device, "Gather", [x, integers(index, 3, low=-5, high=5)], axis=1, batch_dims=0, wrap=1)
    node(device, "Gather", [x, integers(index, 4, 3, low=0, high=6)], axis=2, batch_dims=1, wrap=0)


@pytest.mark.parametrize("mode", ["nearest", "linear", "linear_onnx", "cubic", "bilinear_pillow", "bicubic_pillow"])
def test_interpolate(device: GpuDevice, mode: str) -> None:
    x = floats(2, 3, 7, 9)
    for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric", "tf_half_pixel_for_nn", "align_corners"):
        for sizes in ((13, 20), (4, 5), (1, 9)):
            attrs = {"axes": (2, 3), "sizes": sizes, "scales": (sizes[0] / 7, sizes[1] / 9), "mode": mode, "coordinates": coordinates}
            for antialias in (0, 1) if mode == "linear" else (0,):
                node(device, "Interpolate", [x], **attrs, nearest="round_prefer_floor", antialias=antialias, cube_coeff=-0.75, atol=1e-5)
    channels_last = {"axes": (1, 2), "sizes": (13, 5), "scales": (13 / 6, 5 / 7), "mode": mode, "coordinates": "half_pixel"}
    node(device, "Interpolate", [floats(2, 6, 7, 3)], **channels_last, nearest="floor", antialias=0, cube_coeff=-0.75, atol=1e-5)


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple"])
def test_nearest(device: GpuDevice, nearest: str) -> None:
    for dtype in ("float32", "uint8"):
        attrs = {"axes": (2, 3), "sizes": (5, 17), "scales": (5 / 7, 17 / 9), "mode": "nearest", "coordinates": "half_pixel"}
        node(device, "Interpolate", [integers(dtype, 1, 2, 7, 9)], **attrs, nearest=nearest, antialias=0, cube_coeff=-0.75)


@pytest.mark.parametrize("merge", [0, 1])
def test_ctc(device: GpuDevice, merge: int) -> None:
    """Few classes with many equal scores: repeats, blanks and ties."""
    for steps, batch, classes in ((12, 5, 4), (1, 3, 70), (9, 1, 100)):
        x = integers("int32", steps, batch, classes, low=0, high=3).astype(np.float32)
        mask = (np.arange(steps)[:, None] < np.arange(1, batch + 1)).astype(np.float32)
        assert node(device, "CTCGreedyDecoder", [x, mask], merge_repeated=merge)[0]["primitiveType"] == "ctc"
        lengths = np.minimum(np.arange(batch) + 2, steps)
        for dtype in ("int32", "int64"):
            inputs = [x.transpose(1, 0, 2).copy(), lengths.astype(dtype), np.array([1], dtype)]
            steps_run = node(
                device, "CTCGreedyDecoderSeqLen", inputs, const=(2,), merge_repeated=merge, index_dtype=dtype, length_dtype="int32"
            )
            assert steps_run[0]["primitiveType"] == "ctc"


# -- on the host -------------------------------------------------------------------------------------------------------------


def test_host_steps_read_and_write_device_memory(device: GpuDevice) -> None:
    b = Builder()
    x = b.unary(b.input(3, 40), "abs")
    values, places, _, _ = b.nodes("Unique", x, sorted=1, index_dtype="int32")
    b.output(b.unary(values, "neg"), places)
    steps = compare(device, b, [floats(3, 40)])
    assert [s["primitiveType"] for s in steps] == ["unary", "host", "unary"]


def test_unsupported_kinds_are_told(device: GpuDevice) -> None:
    b = Builder()
    x = b.input(4, 6)
    b.output(b.node("CumSum", b.unary(x, "abs"), axis=1, exclusive=0, reverse=0))
    assert device.query(b.program) == [True, False]
    with pytest.raises(RuntimeError, match=r"cumsum1.* of type CumSum .*HETERO:GPU,CPU"):
        device.compile(b.program, {})


@pytest.mark.parametrize(("cell", "before"), [("rnn", 0), ("lstm", 0), ("gru", 0), ("gru", 1)])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent(device: GpuDevice, cell: str, before: int, direction: str) -> None:
    gates, rows, steps, width, size = {"rnn": 1, "lstm": 4, "gru": 3}[cell], 2, 5, 7, 37
    dirs = 2 if direction == "bidirectional" else 1
    weights = [floats(dirs, gates * size, n, seed=n) / 4 for n in (width, size)]
    bias = floats(dirs, (gates + before) * size, seed=3)
    usual = {"rnn": "tanh", "lstm": "sigmoid,tanh,tanh", "gru": "sigmoid,tanh"}[cell]
    attrs = {"cell": cell, "direction": direction, "clip": 0.0, "linear_before_reset": before, "activations": usual}
    state = floats(rows, dirs, size, seed=4)
    inputs = [floats(rows, steps, width), state, state / 2 if cell == "lstm" else None, None, *weights, bias]
    common = {"activations_alpha": (), "activations_beta": (), "const": (4, 5, 6), "rtol": 1e-4, "atol": 1e-5}
    assert node(device, "Recurrent", inputs, **attrs, **common)[0]["primitiveType"] == "recurrent"
    clipped = node(device, "Recurrent", inputs, **{**attrs, "clip": 0.5}, **common)
    assert clipped[0]["primitiveType"] == "host"


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("sort", ["value", "index", "none"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8", "int8"])
def test_topk_of_equal_values(device: GpuDevice, mode: str, sort: str, dtype: str) -> None:
    x = integers(dtype, 3, 50, 4, low=-4, high=5)
    for axis in range(3):
        for k in (1, 3, x.shape[axis]):
            (step,) = node(device, "TopK", [x], rtol=0, atol=0, axis=axis, k=k, mode=mode, sort=sort, index_dtype="int32")
            scanned = k * x.shape[axis] <= 256
            assert step["primitiveType"] == ("topk_scan" if scanned else "host" if dtype == "int64" else "topk_sort")


@pytest.mark.parametrize("k", [1, 5, 700, 1000])
@pytest.mark.parametrize("sort", ["value", "index"])
def test_topk_of_long_rows(device: GpuDevice, k: int, sort: str) -> None:
    (step,) = node(device, "TopK", [floats(2, 1000)], rtol=0, atol=0, axis=1, k=k, mode="max", sort=sort, index_dtype="int64")
    assert step["primitiveType"] == "topk_sort"


@pytest.mark.parametrize("sort", ["value", "index"])
def test_topk_of_many_rows(device: GpuDevice, sort: str) -> None:
    (step,) = node(device, "TopK", [floats(2, 40, 700)], rtol=0, atol=0, axis=1, k=10, mode="min", sort=sort, index_dtype="int32")
    assert step["primitiveType"] == "topk_scan"


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("n", [6, 300])
def test_topk_of_what_is_no_number(device: GpuDevice, mode: str, n: int) -> None:
    x = np.resize(np.array([1, np.nan, -2, np.inf, np.nan, -np.inf, -0.0, 0.0], np.float32), n)
    node(device, "TopK", [x], axis=0, k=n, mode=mode, sort="value", index_dtype="int32")
