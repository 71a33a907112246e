# SPDX-License-Identifier: Apache-2.0
"""What importing the package does: names on demand, nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ie_ctypes


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh interpreter has after that code."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not {"numpy", "ctypes", "pluggy", "ie_ctypes.api", "ie_ctypes.runtime"} & (loaded_by("import ie_ctypes") - loaded_by(""))


def test_a_core_reads_no_metadata_of_installed_packages() -> None:
    modules = loaded_by("from ie_ctypes import IECore; IECore()") - loaded_by("import numpy")
    assert "ie_ctypes.plugins.manager" in modules
    assert not {"importlib.metadata", "pathlib", "ie_ctypes.model.ops", "ie_ctypes.runtime"} & modules


def test_every_public_name_is_there() -> None:
    for name in ie_ctypes.__all__:
        assert getattr(ie_ctypes, name) is not None
    assert set(ie_ctypes.__all__) <= set(dir(ie_ctypes))
    space: dict[str, object] = {}
    exec("from ie_ctypes import *", space)
    assert space.keys() >= set(ie_ctypes.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ie_ctypes' has no attribute 'IECorr'"):
        _ = ie_ctypes.IECorr
    with pytest.raises(ImportError, match="cannot import name 'IECorr'"):
        exec("from ie_ctypes import IECorr")
