# SPDX-License-Identifier: Apache-2.0
"""Installed packages that do not exist: folders on the search path that look like them."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ie_ctypes.plugins.manager import PluginManager, create_manager

Install = Callable[[str, str, str], None]


@pytest.fixture(autouse=True)
def _no_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IE_CTYPES_DISABLE_PLUGINS", "IE_CTYPES_PLUGINS_ONLY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install("acme", "acme-ie", code)``: the package acme-ie 1.0, whose entry point acme is a module of that code."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(entry: str, distribution: str, code: str) -> None:
        module = distribution.replace("-", "_") + "_plugin"
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ie_ctypes]\n{entry} = {module}\n")

    return add


@pytest.fixture
def manager() -> PluginManager:
    """The built-in plugins only."""
    return create_manager(installed=False)
