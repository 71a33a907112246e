# SPDX-License-Identifier: Apache-2.0
"""The layer catalogue, one module a family. A module is imported when a layer or a kind of its family is first asked for."""

from __future__ import annotations

from ie_ctypes.model.ops.registry import KINDS, custom_kind, find_translator, import_all

__all__ = ["KINDS", "custom_kind", "find_translator", "import_all"]
