# SPDX-License-Identifier: Apache-2.0
"""The driver of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ie_ctypes import runtime

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def gate_path(build_driver: Callable[..., str]) -> str:
    """Path of the test driver."""
    return build_driver(HERE / "gate_driver.c")


@pytest.fixture
def gate(gate_path: str) -> Iterator[runtime.Device]:
    """The test driver, its gate open before and after."""
    device = runtime.Device("GATE", path=gate_path)
    device.set_property("gate", "shut")  # clears its records
    device.set_property("gate", "open")
    yield device
    device.set_property("gate", "open")
    device.close()
