# SPDX-License-Identifier: Apache-2.0
"""Eye and RandomUniform."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.ops.generators import philox


def test_eye_has_a_diagonal_and_a_batch():
    inputs = [np.array(v) for v in (3, 4, -1)]
    y = run_one("Eye", [*inputs, np.array([2])], {"output_type": "i32"}, version="opset9", constants=[0, 1, 2, 3], result="I32")
    np.testing.assert_array_equal(y, np.stack([np.eye(3, 4, -1)] * 2))
    np.testing.assert_array_equal(run_one("Eye", [np.array(2)], version="opset9", constants=[0]), np.eye(2))
    with pytest.raises(ModelError, match="is negative"):
        run_one("Eye", [np.array(-2)], version="opset9", constants=[0])


def test_philox_gives_the_published_words():
    # Known answers of the authors' library (Random123, kat_vectors, philox4x32 10): counter and key all zeros.
    assert [hex(w) for w in philox(0, 0, 1)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def uniform(kind, low, high, shape=(200,), **seeds):
    params = {"output_type": kind, **(seeds or {"global_seed": 3, "op_seed": 5})}
    inputs = [np.array(shape), np.array(low), np.array(high)]
    precision = {"f32": "FP32", "i32": "I32", "i64": "I64"}[kind]
    return run_one("RandomUniform", inputs, params, version="opset8", constants=[0, 1, 2], result=precision)


@pytest.mark.parametrize("kind", ["f32", "i32", "i64"])
def test_numbers_lie_between_the_limits(kind):
    dtype = np.float32 if kind == "f32" else np.int64
    y = uniform(kind, dtype(-2), dtype(7), (40, 5))
    assert y.shape == (40, 5)
    assert y.min() >= -2
    assert y.max() < 7
    assert len(np.unique(y)) == (200 if kind == "f32" else 9)
    np.testing.assert_array_equal(y, uniform(kind, dtype(-2), dtype(7), (40, 5)))


def test_without_seeds_every_load_draws_anew():
    limits = np.float32(0), np.float32(1)
    assert not np.array_equal(uniform("f32", *limits, global_seed=0, op_seed=0), uniform("f32", *limits, global_seed=0, op_seed=0))
    with pytest.raises(ModelError, match="expected minimum < maximum"):
        uniform("f32", np.float32(1), np.float32(1))


@pytest.mark.parametrize("path", corpus.cases("opset/Eye", "opset/RandomUniform"))
def test_corpus(path):
    corpus.check(path)
