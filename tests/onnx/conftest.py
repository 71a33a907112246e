# SPDX-License-Identifier: Apache-2.0
"""Without the package onnx the tests of this folder are skipped, by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

import pytest

try:
    importlib.import_module("onnx.helper")  # this folder itself can pass for a package "onnx", but has no such module
    MISSING = ""
except ImportError as error:
    MISSING = f"the package onnx is not installed (extra ie_ctypes[onnx]): {error}"


class _Skipped(pytest.Module):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        pytest.skip(MISSING, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return _Skipped.from_parent(parent, path=module_path) if MISSING else None
