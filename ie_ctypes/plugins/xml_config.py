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
    name = os.fspath(path)
    try:
        document = parse(Path(path).read_bytes())
    except OSError:
        raise IEError(f"Error loading xmlfile: {name}, File was not found at line: 1 pos: 0") from None
    except ModelError as e:
        raise IEError(str(e).replace("Error loading xmlfile: ", f"Error loading xmlfile: {name}, ", 1)) from None

    def attribute(element: Element, key: str) -> str:
        found = element.get(key)
        if found is None:
            raise IEError(f"{name}: node <{element.tag}> is missing mandatory attribute: {key} at line {document.line(element)}")
        return found

    def entry(element: Element) -> PluginEntry:
        if "." in attribute(element, "name"):
            raise IEError("Device name must not contain dot '.' symbol")
        return PluginEntry(
            name=attribute(element, "name"),
            location=attribute(element, "location"),
            properties={attribute(p, "key"): attribute(p, "value") for p in _below(element, "properties", "property")},
            extensions=tuple(attribute(e, "location") for e in _below(element, "extensions", "extension")),
        )

    return [entry(e) for e in _below(document.root, "plugins", "plugin")] if document.root.tag == "ie" else []


def _below(element: Element, section: str, tag: str) -> list[Element]:
    """The elements of a tag in the first section of a name; none where there is no section."""
    found = element.find(section)
    return [] if found is None else found.findall(tag)
