# SPDX-License-Identifier: Apache-2.0
"""Reduce and its layers."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError

SCALAR = {
    "sum": math.fsum,
    "mean": lambda v: math.fsum(v) / len(v),
    "max": max,
    "min": min,
    "prod": math.prod,
    "l1": lambda v: math.fsum(map(abs, v)),
    "l2": lambda v: math.sqrt(math.fsum(x * x for x in v)),
    "log_sum": lambda v: math.log(math.fsum(v)),
    "log_sum_exp": lambda v: math.log(math.fsum(map(math.exp, v))),
    "sum_square": lambda v: math.fsum(x * x for x in v),
}


@pytest.mark.parametrize("op", SCALAR)
@pytest.mark.parametrize("keep", [0, 1])
def test_reference_equals_scalar_reduction(op, keep):
    x = random(2, 3, 4, low=0.2)
    (y,) = run_kind("Reduce", [x], op=op, axes=(0, 2), keep_dims=keep)
    assert y.shape == ((1, 3, 1) if keep else (3,))
    expected = [SCALAR[op]([float(v) for v in x[:, i].ravel()]) for i in range(3)]
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)


def test_logic_and_integers():
    truth = np.array([[True, False], [True, True]])
    assert run_kind("Reduce", [truth], op="and", axes=(1,), keep_dims=0)[0].tolist() == [False, True]
    assert run_kind("Reduce", [truth], op="or", axes=(0, 1), keep_dims=0)[0].tolist() is True
    whole = np.array([[7, -2], [1, 1]], np.int64)
    assert run_kind("Reduce", [whole], op="mean", axes=(0, 1), keep_dims=0)[0].tolist() == 1
    assert run_kind("Reduce", [whole], op="prod", axes=(0,), keep_dims=0)[0].tolist() == [7, -2]


def test_large_values_do_not_overflow_in_log_sum_exp():
    assert run_kind("Reduce", [np.full(4, 500, np.float32)], op="log_sum_exp", axes=(0,), keep_dims=0)[0] == pytest.approx(
        500 + math.log(4)
    )


def test_dialects_differ_in_what_a_full_reduction_leaves():
    x, axes = random(2, 3), np.array([0, -1], np.int32)
    assert run_one("ReduceSum", [x, axes], {"keep_dims": "false"}, constants=[1]).shape == (1,)
    assert run_one("ReduceSum", [x, axes], {"keep_dims": "false"}, constants=[1], version="opset1").shape == ()
    assert run_one("ReduceSum", [x, axes], constants=[1]).shape == (1, 1)


def test_legacy_maximum_of_negative_values_is_the_smallest_positive_float():
    x, axes = -random(2, 3, low=0.5), np.array([1], np.int32)
    assert (run_one("ReduceMax", [x, axes], constants=[1]) == np.finfo(np.float32).tiny).all()
    np.testing.assert_array_equal(run_one("ReduceMax", [x, axes], constants=[1], version="opset1"), x.max(1))


@pytest.mark.parametrize(("axes", "words"), [((3,), "3"), ((0, 0), "repeat")])
def test_bad_axes_are_named(axes, words):
    with pytest.raises(ValueError, match=words):
        run_kind("Reduce", [random(2, 3)], op="sum", axes=axes, keep_dims=0)


def test_computed_axes_are_refused():
    with pytest.raises(ModelError, match="input 1 must be a constant"):
        run_one("ReduceSum", [random(2, 3), np.array([1], np.int32)])


_TYPES = ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum")


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/Reduce{t}" for t in (*_TYPES, "And", "Or", "LogSum", "LogSumExp", "SumSquare")),
        *(f"opset/Reduce{t}" for t in (*_TYPES, "LogicalAnd", "LogicalOr")),
    ),
)
def test_corpus(path):
    corpus.check(path)
