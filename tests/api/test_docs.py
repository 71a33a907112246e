# SPDX-License-Identifier: Apache-2.0
"""docs/api.md names what is there, and the API is annotated and documented."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import ie_ctypes
from ie_ctypes.api import errors

DOC = Path(__file__).parents[2] / "docs" / "api.md"


def test_every_public_name_is_listed() -> None:
    text = DOC.read_text()
    names = set(re.findall(r"\w+", text.partition("## Names")[2].partition("\n## ")[0]))
    assert set(ie_ctypes.__all__) <= names
    assert all(hasattr(ie_ctypes, name) for name in names - {"Names"})


def test_error_table_is_true() -> None:
    rows = re.findall(r"^  \| `(\w+)` \| ([^|]*) \|", DOC.read_text(), re.M)
    assert len(rows) > 5
    for name, also in rows:
        cls = getattr(errors, name, None) or getattr(ie_ctypes.errors, name)
        assert issubclass(cls, RuntimeError)
        for builtin in re.findall(r"\w+", also):
            assert issubclass(cls, getattr(__import__("builtins"), builtin)), (name, builtin)


@pytest.mark.parametrize("name", sorted(n for n in ie_ctypes.__all__ if inspect.isclass(getattr(ie_ctypes, n))))
def test_public_members_have_docstrings_and_annotations(name: str) -> None:
    cls = getattr(ie_ctypes, name)
    assert inspect.getdoc(cls)
    plain = {"name", "type", "precision", "shape", "layout", "dims", "affinity", "initialized", "tensor_desc", "input_data"}
    for member, value in vars(cls).items():
        if member.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property)):
            continue
        function = value.fget if isinstance(value, property) else value
        assert function is not None
        assert "return" in function.__annotations__, member
        setting = member in plain or member.startswith(("mean_", "resize_", "color_", "get_number"))
        assert setting or inspect.getdoc(value), f"{name}.{member}"
