# SPDX-License-Identifier: Apache-2.0
"""The GPU tests need an OpenCL device; PoCL, which runs on the CPU, is enough."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cpu"))

from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.errors import NotFoundError


def missing() -> str:
    """Why there is no OpenCL device; empty when there is one."""
    try:
        GpuDevice().units()
    except NotFoundError as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    reason = missing() if mine else ""
    if reason and os.environ.get("IE_CTYPES_NEED_OPENCL"):
        raise pytest.UsageError(f"IE_CTYPES_NEED_OPENCL is set, but {reason}")
    for item in mine:
        item.add_marker(pytest.mark.gpu)
        if reason and "without_opencl" not in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def device() -> GpuDevice:
    """One device for all tests, so that each program is built once."""
    return GpuDevice()
