# SPDX-License-Identifier: Apache-2.0
"""docs/layers.md says what the code does."""

from __future__ import annotations

import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load() -> object:
    spec = importlib.util.spec_from_file_location("make_layers", ROOT / "docs" / "make_layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_agrees_with_the_code() -> None:
    module = load()
    assert module.PAGE.read_text() == module.page(), "run python docs/make_layers.py"  # type: ignore[attr-defined]


def test_every_type_has_a_test() -> None:
    rows = [line for line in load().page().splitlines() if line.startswith("| ")][1:]  # type: ignore[attr-defined]
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_kind_has_a_kernel() -> None:
    assert load().page().splitlines()[-1].endswith("on CPU: none.")  # type: ignore[attr-defined]


#: constants, copies and states leave no node behind
NOTHING_TO_RUN = {"Assign", "Constant", "Copy", "Identity", "Memory", "Range", "Shape"}


def test_numbers_of_new_types_are_probed() -> None:
    lines = [line for line in load().page().splitlines() if line.startswith("| ")][1:]  # type: ignore[attr-defined]
    numbers = {cells[0]: cells[3] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}
    assert {name for name, found in numbers.items() if found == "-"} == NOTHING_TO_RUN, "run python docs/probe_layers.py"
    assert [name for name, found in numbers.items() if not found] == []
