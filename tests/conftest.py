# SPDX-License-Identifier: Apache-2.0
"""No test run without the C runtime: what would be skipped is what matters."""

from __future__ import annotations

import pytest

from ie_ctypes.runtime.library import library


def pytest_configure(config: pytest.Config) -> None:
    try:
        library()
    except ImportError as error:
        raise pytest.UsageError(str(error)) from None
