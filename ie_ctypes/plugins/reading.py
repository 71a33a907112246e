# SPDX-License-Identifier: Apache-2.0
"""Which reader takes a model: by the end of its path, by its first bytes in memory."""

from __future__ import annotations

import os
from typing import Any

from ie_ctypes.errors import IEError
from ie_ctypes.model.graph import Graph
from ie_ctypes.plugins.manager import PluginManager
from ie_ctypes.plugins.records import Reader

#: The format of what nothing else claims: its reader says best what is wrong with the file.
_USUAL = ".xml"


def read_graph(manager: PluginManager, model: Any, weights: Any) -> Graph:
    """Read a network of any format that a plugin reads: paths, bytes-like or binary file objects. The readers' own errors pass."""
    readers = manager.readers()
    reader = _by_suffix(readers, _name(model)) or _by_content(readers, model) or readers.get(_USUAL)
    if reader is None:
        raise IEError(f"no plugin reads {_name(model) or 'this model'}; formats that are read: {', '.join(sorted(readers)) or 'none'}")
    graph = reader.read(model, weights)
    if not isinstance(graph, Graph):
        raise IEError(f"reader {reader.name} gave {type(graph).__name__}, expected a Graph")
    return graph


def _name(model: Any) -> str:
    """The path of a model, or what a file object calls itself; "" for memory."""
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else getattr(model, "name", "")
    return name if isinstance(name, str) else ""


def _by_suffix(readers: dict[str, Reader], name: str) -> Reader | None:
    fitting = [suffix for suffix in readers if name.lower().endswith(suffix)]
    return readers[max(fitting, key=len)] if fitting else None


def _by_content(readers: dict[str, Reader], model: Any) -> Reader | None:
    if isinstance(model, (str, os.PathLike)):
        return None
    unique = {id(r): r for r in readers.values()}.values()
    length = max((len(b) for r in unique for b in r.begins), default=0)
    if isinstance(model, (bytes, bytearray, memoryview)):
        first = bytes(model[:length])
    elif hasattr(model, "seek") and hasattr(model, "tell"):
        position = model.tell()
        first = model.read(length)
        model.seek(position)
        first = first.encode() if isinstance(first, str) else bytes(first)
    else:
        return None
    return next((r for r in unique for b in r.begins if first.startswith(b)), None)
