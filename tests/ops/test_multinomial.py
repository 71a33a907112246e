# SPDX-License-Identifier: Apache-2.0
"""Multinomial: the draws that the original made with the same seeds, frequencies, faults."""

from __future__ import annotations

import numpy as np
import pytest
from layers import run_one

from ie_ctypes.errors import ModelError

PROBS = np.array([[0.1, 0.2, 0.7], [0.9, 0.05, 0.05]], np.float32)


def draw(probs, samples, replaced, logarithms=False, seeds=(1, 2)):
    params = {
        "convert_type": "i32", "with_replacement": replaced, "log_probs": logarithms, "global_seed": seeds[0], "op_seed": seeds[1],
    }  # fmt: skip
    x = np.log(probs) if logarithms else probs
    return run_one("Multinomial", [x, np.array([samples])], params, version="opset13", constants=[1], result="I32").tolist()


def test_draws_of_the_original():
    assert draw(PROBS, 8, True) == [[2, 2, 2, 1, 2, 1, 0, 0], [0] * 8]
    assert draw(PROBS, 8, True, True, (0, 7)) == [[1, 2, 2, 1, 1, 0, 0, 2], [0] * 8]
    assert draw(PROBS, 3, False) == [[2, 1, 0], [0, 1, 2]]
    assert draw(PROBS, 3, False, True, (9, 0)) == [[2, 0, 1], [0, 2, 1]]


def test_unscaled_probabilities_are_shares():
    drawn = np.bincount(draw(PROBS[:1] * 40, 4000, True)[0], minlength=3) / 4000
    np.testing.assert_allclose(drawn, PROBS[0], atol=0.03)


def test_without_seeds_every_load_draws_anew():
    even = np.full((1, 1000), 0.001, np.float32)
    assert draw(even, 50, True, seeds=(0, 0)) != draw(even, 50, True, seeds=(0, 0))


def test_more_samples_than_classes_are_refused():
    with pytest.raises(ModelError, match="4 samples are asked for, expected at least 1, at most 3 without replacement"):
        draw(PROBS, 4, False)
