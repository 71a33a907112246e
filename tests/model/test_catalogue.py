# SPDX-License-Identifier: Apache-2.0
"""Families of layers are imported when a layer needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ie_ctypes.model.ops.registry import _USUAL, KINDS, LEGACY, OPSET, find_translator, import_all


def modules_after(code: str) -> set[str]:
    """Families that a fresh interpreter has imported after that code."""
    script = f"from ie_ctypes.model.ops.registry import KINDS, find_translator\n{code}\nimport sys\nprint(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    return {n.rpartition(".")[2] for n in names if n.startswith("ie_ctypes.model.ops.")}


def test_usual_layers_import_their_own_family() -> None:
    modules = modules_after("find_translator('Convolution', 'opset1', False); KINDS['Conv']")
    assert "convolution" in modules
    assert not {"detection", "loops", "roi_align", "generators"} & modules


def test_other_layers_import_all_families() -> None:
    assert {"detection", "loops", "convolution"} <= modules_after("assert find_translator('ROIAlign', 'opset3', False)")
    assert {"detection", "loops", "convolution"} <= modules_after("KINDS['CumSum']")


def test_usual_names_are_in_the_modules_that_the_table_says_and_nowhere_else() -> None:
    import_all()
    for module, names in _USUAL.items():
        for name in names.split():
            found = [f for t, f in LEGACY.items() if t == name] + [f for (t, _), f in OPSET.items() if t == name]
            found += [KINDS[name].reference] if name in KINDS else []
            assert {f.__module__.rpartition(".")[2] for f in found} == {module}, name


def test_unknown_names() -> None:
    assert find_translator("NoSuchLayer", "opset1", False) is None
    assert find_translator("NoSuchLayer", "", True) is None
    assert "NoSuchKind" not in KINDS
    with pytest.raises(KeyError, match="NoSuchKind"):
        KINDS["NoSuchKind"]
