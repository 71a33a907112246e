# SPDX-License-Identifier: Apache-2.0
"""Texts in columns."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns under each other, two blanks between them; the last one keeps its length."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join("".join(f"{cell:<{width + 2}}" for cell, width in zip(row, widths, strict=False)) + row[-1] for row in rows)
