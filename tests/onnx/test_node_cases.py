# SPDX-License-Identifier: Apache-2.0
"""A fifth of ONNX's own node tests on each device; ``node_tests.py`` runs all of them and prints why some do not pass."""

from __future__ import annotations

import collections
from typing import Any

import pytest
from node_tests import EXCLUDED, FIXED, KNOWN_DIFFERENCES, NOT_STATIC, PASSED, WRONG, cases, run

from ie_ctypes import IECore


@pytest.fixture(scope="module")
def all_cases() -> list[Any]:
    found = cases()
    assert len(found) > 1000
    return found


@pytest.mark.parametrize(("device", "start"), [("REFERENCE", 0), ("CPU", 1)])
def test_cases_pass_or_are_listed(all_cases: list[Any], device: str, start: int) -> None:
    core = IECore()
    counts: collections.Counter[str] = collections.Counter()
    wrong = {}
    for case in all_cases[start::5]:
        outcome, reason = run(case, core, device)
        counts[outcome] += 1
        if outcome == WRONG:
            wrong[case.name] = reason
    assert {name: why for name, why in wrong.items() if name not in KNOWN_DIFFERENCES} == {}
    relevant = sum(n for outcome, n in counts.items() if outcome not in (EXCLUDED, NOT_STATIC))
    assert counts[PASSED] + counts[FIXED] >= 0.95 * relevant
