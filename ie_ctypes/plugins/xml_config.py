# SPDX-License-Identifier: Apache-2.0
"""plugins.xml: which devices there are, where their libraries lie, and their settings."""

from __future__ import annotations

import os
from pathlib import Path

from ie_ctypes.errors import IEError, ModelError
from ie_ctypes.model.readers.xmltree import Element, parse
from ie_ctypes.record import Record


class PluginEntry(Record, frozen=True, kw_only=True):
    """One ``<plugin>``."""

    name: str
    location: str
    properties: dict[str, str]
    extensions: tuple[str, ...]


def read_plugins_xml(path: str | os.PathLike[str]) -> list[PluginEntry]:
    """The plugins of a file, in its order. IEError for a file that is missing, malformed or lacks an attribute."""
    try:
        root = parse(Path(path).read_bytes())
    except OSError:
        raise IEError(f"Error loading xmlfile: {os.fspath(path)}, File was not found at line: 1 pos: 0") from None
    except ModelError as e:
        raise IEError(str(e).replace("Error loading xmlfile: ", f"Error loading xmlfile: {os.fspath(path)}, ", 1)) from None
    plugins = root.child("plugins") if root.tag == "ie" else None
    return [_entry(e, os.fspath(path)) for e in (plugins.all("plugin") if plugins is not None else ())]


def _entry(element: Element, path: str) -> PluginEntry:
    name = _attribute(element, "name", path)
    if "." in name:
        raise IEError("Device name must not contain dot '.' symbol")
    properties, extensions = element.child("properties"), element.child("extensions")
    return PluginEntry(
        name=name,
        location=_attribute(element, "location", path),
        properties={
            _attribute(p, "key", path): _attribute(p, "value", path) for p in (properties.all("property") if properties is not None else ())
        },
        extensions=tuple(_attribute(e, "location", path) for e in (extensions.all("extension") if extensions is not None else ())),
    )


def _attribute(element: Element, name: str, path: str) -> str:
    if name not in element.attrs:
        raise IEError(f"{path}: node <{element.tag}> is missing mandatory attribute: {name} at line {element.line}")
    return element.attrs[name]
