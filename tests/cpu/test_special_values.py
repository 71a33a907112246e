# SPDX-License-Identifier: Apache-2.0
"""Properties of families of kernels: NaN, infinities, -0.0, denormals, huge values, empty and one-element dimensions as in the references.

NaN stays NaN, and an infinity gives the limit. Sums are compared on values that cannot cancel each other out of the range of float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from cpu_programs import Builder, infer, load, reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ie_ctypes.model.ops.activation import FUNCTIONS as UNARY
from ie_ctypes.model.ops.reduce import FUNCTIONS as REDUCE
from ie_ctypes.model.program import AttrValue

ANY = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-40, 1.17549435e-38, 3.4e38, -3.4e38, 88.0, -88.0, 0.5, 1.0, -1.0, 2.0, 3.0)
MILD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-40, 2.5, -3.0)
FINITE = (0.0, -0.0, 1e-45, -1e-40, 2.5, -3.0)
PROPERTY = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = st.sampled_from((1, 1, 2, 3, 5, 8, 17, 0))
SHAPES = st.lists(SIZES, min_size=1, max_size=4).map(tuple)
FILLED = st.lists(SIZES.filter(bool), min_size=1, max_size=4).map(tuple)
IMAGES = st.tuples(st.sampled_from((0, 1, 2)), st.sampled_from((1, 3, 16, 20)), st.sampled_from((1, 3, 6)), st.sampled_from((1, 4, 7)))
SEEDS = st.integers(0, 2**32 - 1)


def floats(seed: int, shape: Sequence[int], special: Sequence[float] = ANY, often: float = 0.2) -> np.ndarray:
    """Normal numbers with special ones between them, now and then nothing else or none."""
    rng = np.random.default_rng(seed)
    often = rng.choice((0.0, often, often, 1.0))
    return np.where(rng.random(shape) < often, rng.choice(special, shape), rng.standard_normal(shape)).astype(np.float32)


def agree(
    kind: str,
    inputs: Sequence[np.ndarray],
    const: Sequence[int] = (),
    rtol: float = 1e-5,
    atol: float = 1e-6,
    bits: bool = False,
    **attrs: AttrValue,
) -> None:
    """One node on CPU against its reference; ``bits``: the sign of a zero counts, too."""
    b = Builder()
    tensors = [b.const(x) if i in const else b.input(*x.shape, dtype=x.dtype.name) for i, x in enumerate(inputs)]
    program = b.output(*b.nodes(kind, *tensors, **attrs)).program
    given_inputs = [x for i, x in enumerate(inputs) if i not in const]
    with np.errstate(all="ignore"):
        wanted = reference(program, given_inputs)
    executable = load(program, CPU_THREADS_NUM="1")
    for got, want in zip(infer(executable, program, given_inputs), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)
        if bits and want.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(got) | np.isnan(got), np.signbit(want) | np.isnan(want))
    executable.close()


@pytest.mark.parametrize("op", [op for op in UNARY if op != "not"])
def test_unary(isa: str, op: str) -> None:
    alpha, beta, gamma = {"relu": (0.1, 0.0, 0.0), "clamp": (-1.0, 2.0, 0.0), "hard_sigmoid": (0.2, 0.5, 0.0)}.get(op, (1.0, 1.0, 1.0))
    for shape in ((len(ANY),), (1, len(ANY)), (1,), (0,), (2, 0, 3)):
        x = np.resize(np.float32(ANY), shape)
        agree("Unary", [x], rtol=2e-5, op=op, alpha=alpha, beta=beta, gamma=gamma)


@PROPERTY
@given(seed=SEEDS, shape=SHAPES, alpha=st.sampled_from((0.0, 0.5, 1.0, 2.0, -1.0, -0.5, 3.0)))
def test_powers_and_slopes(isa: str, seed: int, shape: tuple[int, ...], alpha: float) -> None:
    x = floats(seed, shape)
    agree("Unary", [x], rtol=2e-5, op="power", alpha=alpha, beta=1.0, gamma=0.0)
    agree("Unary", [x], op="relu", alpha=max(alpha, 0.0), beta=0.0, gamma=0.0)


BINARY = (
    *("add", "sub", "mul", "div", "max", "min", "pow", "squared_diff", "mod", "floor_mod", "floor_div", "prelu"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
)


@PROPERTY
@given(seed=SEEDS, shape=SHAPES, op=st.sampled_from(BINARY), const=st.sampled_from(((), (1,))), data=st.data())
def test_binary_with_broadcast(isa: str, seed: int, shape: tuple[int, ...], op: str, const: tuple[int, ...], data: st.DataObject) -> None:
    other = tuple(data.draw(st.sampled_from((n, 1))) for n in shape)[data.draw(st.integers(0, len(shape))) :]
    agree("Binary", [floats(seed, shape), floats(seed + 1, other)], const, rtol=2e-5, op=op)


@PROPERTY
@given(seed=SEEDS, shape=SHAPES, op=st.sampled_from([op for op in REDUCE if op not in ("and", "or")]), keep=st.integers(0, 1), bits=SEEDS)
def test_reduce(isa: str, seed: int, shape: tuple[int, ...], op: str, keep: int, bits: int) -> None:
    axes = tuple(a for a in range(len(shape)) if bits >> a & 1)
    exact = op in ("max", "min")
    agree("Reduce", [floats(seed, shape, ANY if exact else MILD)], rtol=1e-4, atol=1e-4, op=op, axes=axes, keep_dims=keep)


@PROPERTY
@given(seed=SEEDS, shape=SHAPES, kind=st.sampled_from(("Softmax", "LogSoftmax")), axis=st.integers(0, 3))
def test_softmax(isa: str, seed: int, shape: tuple[int, ...], kind: str, axis: int) -> None:
    agree(kind, [floats(seed, shape)], rtol=1e-4, atol=1e-5, axis=axis % len(shape))


@PROPERTY
@given(seed=SEEDS, shape=IMAGES)
def test_normalisations(isa: str, seed: int, shape: tuple[int, ...]) -> None:
    x = floats(seed, shape, MILD, 0.03)
    agree("MVN", [x], rtol=1e-3, atol=1e-3, axes=(2, 3), normalize_variance=1, eps=1e-3, eps_mode="inside")
    agree("NormalizeL2", [x], rtol=1e-4, atol=1e-5, axes=(1,), eps=1e-9, eps_mode=("add", "max")[seed % 2])
    agree("LRN", [x], rtol=1e-4, atol=1e-5, axes=((1,), (2, 3))[seed % 2], size=3, alpha=0.1, beta=0.75, bias=1.0)


@PROPERTY
@given(seed=SEEDS, shape=IMAGES, stride=st.integers(1, 2), divisor=st.sampled_from(("valid", "kernel", "legacy")))
def test_pools(isa: str, seed: int, shape: tuple[int, ...], stride: int, divisor: str) -> None:
    window: dict[str, AttrValue] = {"kernel": (3, 3), "strides": (stride,) * 2, "pads_begin": (1, 1), "pads_end": (1, 1), "ceil": 0}
    agree("MaxPool", [floats(seed, shape)], rtol=0, atol=0, dilations=(1, 1), **window)
    agree("AvgPool", [floats(seed, shape, MILD)], divisor=divisor, **window)
    sizes = (2, 1)
    agree("AdaptivePool", [floats(seed, shape, MILD)], mode="avg", sizes=sizes)
    agree("AdaptivePool", [floats(seed, shape)], rtol=0, atol=0, mode="max", sizes=sizes, index_dtype="int64")


@PROPERTY
@given(seed=SEEDS, shape=IMAGES, kernel=st.sampled_from((1, 3)), form=st.sampled_from(("dense", "depthwise", "transposed")))
def test_convolutions(isa: str, seed: int, shape: tuple[int, ...], kernel: int, form: str) -> None:
    c, pad = shape[1], kernel // 2
    weights = {"dense": (1, 8, c), "depthwise": (c, 1, 1), "transposed": (1, c, 8)}[form]
    w = np.random.default_rng(seed).standard_normal((*weights, kernel, kernel)).astype(np.float32) / np.float32(kernel * np.sqrt(c))
    lists: dict[str, AttrValue] = {"strides": (1, 1), "dilations": (1, 1), "pads_begin": (pad, pad), "pads_end": (pad, pad)}
    if form == "transposed":
        lists["output_padding"] = (0, 0)
    # Winograd's sums spread what is not finite over the tile, so it is one of the values only where it is not used.
    special = FINITE if form == "dense" and kernel == 3 else MILD
    agree("Deconv" if form == "transposed" else "Conv", [floats(seed, shape, special), w], (1,), rtol=1e-4, atol=1e-5, **lists)


@PROPERTY
@given(seed=SEEDS, m=SIZES, k=SIZES, n=SIZES, const=st.sampled_from(((), (1,))), batch=st.sampled_from(((), (2,), (0,))))
def test_matrix_products(isa: str, seed: int, m: int, k: int, n: int, const: tuple[int, ...], batch: tuple[int, ...]) -> None:
    a, b = floats(seed, (*batch, m, k), MILD, 0.05), np.random.default_rng(seed).standard_normal((k, n)).astype(np.float32)
    agree("MatMul", [a, b], const, rtol=1e-4, atol=1e-5, transpose_a=0, transpose_b=0)


@PROPERTY
@given(seed=SEEDS, shape=SHAPES, data=st.data())
def test_movement_keeps_every_bit(isa: str, seed: int, shape: tuple[int, ...], data: st.DataObject) -> None:
    rank, rng, x = len(shape), np.random.default_rng(seed), floats(seed, shape)
    axis = data.draw(st.integers(0, rank - 1))
    exact: dict[str, float] = {"rtol": 0, "atol": 0, "bits": True}
    other = (*shape[:axis], data.draw(SIZES), *shape[axis + 1 :])
    agree("Concat", [x, floats(seed + 1, other), x], **exact, axis=axis)
    first = int(rng.integers(0, shape[axis] + 1))
    agree("Split", [x], **exact, axis=axis, lengths=(first, shape[axis] - first))
    agree("Transpose", [x], **exact, order=tuple(int(a) for a in rng.permutation(rank)))
    agree("Reshape", [x], **exact, shape=(int(x.size), 1))
    agree("Tile", [x], **exact, repeats=tuple(int(n) for n in rng.integers(0, 3, rank)))
    agree("Broadcast", [x[tuple(slice(0, 1) for _ in shape)] if x.size else x], **exact, shape=(2, *shape))
    lengths = tuple(int(rng.integers(0, n + 1)) for n in shape)
    agree("Slice", [x], **exact, begins=(0,) * rank, strides=(1,) * rank, lengths=lengths)
    pads = tuple(int(n) for n in rng.integers(0, 3, rank))
    agree("Pad", [x], **exact, pads_begin=pads, pads_end=pads[::-1], mode="constant", value=float(rng.choice(ANY)))
    indices = rng.choice((0, 1, -1, shape[axis] - 1, shape[axis], 2**31 - 1, -(2**31)), int(rng.integers(0, 5))).astype(np.int32)
    agree("Gather", [x, indices], **exact, axis=axis, batch_dims=0, wrap=int(rng.integers(0, 2)))
    agree("Select", [rng.random(shape) < 0.5, x, floats(seed + 2, (1,))], **exact)


@PROPERTY
@given(seed=SEEDS, shape=FILLED, axis=st.integers(0, 3), mode=st.sampled_from(("max", "min")), sort=st.sampled_from(("value", "index")))
def test_sorting(isa: str, seed: int, shape: tuple[int, ...], axis: int, mode: str, sort: str) -> None:
    x, axis = floats(seed, shape, often=0.6), axis % len(shape)
    k = int(np.random.default_rng(seed).integers(0, shape[axis] + 1))
    agree("TopK", [x], rtol=0, atol=0, axis=axis, k=k, mode=mode, sort=sort, index_dtype="int64")
    agree("NonZero", [x], rtol=0, atol=0, index_dtype="int64")
    agree("Unique", [x.reshape(shape[0], -1)], rtol=0, atol=0, sorted=seed % 2, index_dtype="int64")
    agree("CumSum", [floats(seed, shape, MILD)], rtol=1e-4, atol=1e-4, axis=axis, exclusive=seed % 2, reverse=seed // 2 % 2)


@PROPERTY
@given(seed=SEEDS, shape=IMAGES, mode=st.sampled_from(("nearest", "linear", "linear_onnx", "cubic")), sizes=st.tuples(SIZES, SIZES))
def test_interpolation(isa: str, seed: int, shape: tuple[int, ...], mode: str, sizes: tuple[int, int]) -> None:
    sizes = (sizes[0] or 1, sizes[1] or 1)
    scales = tuple(out / n for out, n in zip(sizes, shape[2:], strict=True))
    # Taps of a cubic that meet at the border are one tap or several: inf - inf or not.
    x = floats(seed, shape, {"nearest": ANY, "cubic": FINITE}.get(mode, MILD))
    common: dict[str, AttrValue] = {
        "axes": (2, 3),
        "sizes": sizes,
        "scales": scales,
        "nearest": "floor",
        "antialias": 0,
        "cube_coeff": -0.75,
    }
    agree("Interpolate", [x], rtol=1e-4, atol=1e-5, mode=mode, coordinates="half_pixel", **common)


@PROPERTY
@given(seed=SEEDS, shape=IMAGES, const=st.sampled_from(((), (1, 2, 3, 4))), low=st.sampled_from((-1.0, 0.0, -0.0)))
def test_quantisation(isa: str, seed: int, shape: tuple[int, ...], const: tuple[int, ...], low: float) -> None:
    limits = [np.float32(v).reshape(1, 1, 1, 1) for v in (low, 1, low, 1)]
    agree("FakeQuantize", [floats(seed, shape), *limits], const, levels=2)


@PROPERTY
@given(seed=SEEDS, shape=SHAPES, to=st.sampled_from(("int32", "int64", "uint8", "int8", "bool", "float32")))
def test_conversion(isa: str, seed: int, shape: tuple[int, ...], to: str) -> None:
    x = floats(seed, shape)
    agree("Convert", [x], rtol=0, atol=0, dtype=to, round="nearest")
    agree("Convert", [np.where(np.abs(x) < 100, np.abs(x), 1)], rtol=0, atol=0, dtype=to, round="truncate")


@PROPERTY
@given(
    seed=SEEDS,
    cell=st.sampled_from(("lstm", "gru", "rnn")),
    batch=st.integers(0, 2),
    time=st.integers(1, 3),
    size=st.sampled_from((1, 4, 9)),
)
def test_recurrent_cells(isa: str, seed: int, cell: str, batch: int, time: int, size: int) -> None:
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
    b, rng = Builder(), np.random.default_rng(seed)
    inputs = [floats(seed, (batch, time, 2), MILD), *(floats(seed + i, (batch, 1, size), FINITE) for i in range(1 + (cell == "lstm")))]
    tensors = [b.input(*x.shape) for x in inputs] + [-1] * (cell != "lstm") + [-1]
    tensors += [b.const(rng.standard_normal((1, gates * size, *n)).astype(np.float32)) for n in ((2,), (size,), ())]
    functions = {"lstm": "sigmoid,tanh,tanh", "gru": "sigmoid,tanh", "rnn": "tanh"}[cell]
    attrs: dict[str, AttrValue] = {"cell": cell, "direction": "forward", "clip": 0.0, "activations": functions, "linear_before_reset": 0}
    program = b.output(*b.nodes("Recurrent", *tensors, **attrs, activations_alpha=(), activations_beta=())).program
    with np.errstate(all="ignore"):
        wanted = reference(program, inputs)
    for got, want in zip(infer(load(program), program, inputs), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
