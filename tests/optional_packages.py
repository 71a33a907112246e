# SPDX-License-Identifier: Apache-2.0
"""Folders of tests that need a package which is not always there."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


def skipped_without(module: str, extra: str) -> Callable[[Path, pytest.Module], pytest.Module | None]:
    """A ``pytest_pycollect_makemodule`` by which every test file of the folder is skipped, by name, when ``module`` cannot be imported.

    Name a module inside the package: the folder tests/onnx can itself pass for a package "onnx", but has no modules of it.
    """
    try:
        importlib.import_module(module)
        missing = ""
    except ImportError as error:
        missing = f"the package {module.partition('.')[0]} is not installed (extra {extra}): {error}"

    class Skipped(pytest.Module):
        def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
            pytest.skip(missing, allow_module_level=True)

    def make(module_path: Path, parent: pytest.Module) -> pytest.Module | None:
        return Skipped.from_parent(parent, path=module_path) if missing else None

    return make
