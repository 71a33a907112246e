# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the CPU tests."""

import pytest
from kernel_checks import isa  # noqa: F401  a fixture


@pytest.fixture(autouse=True)
def _small_steps_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of test size run on all threads."""
    monkeypatch.setenv("IE_CTYPES_MEMBER_NS", "50")
