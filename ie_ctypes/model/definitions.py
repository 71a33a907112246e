# SPDX-License-Identifier: Apache-2.0
"""Which layer types others define. What a definition is stands in custom.py: networks without such layers do not wait for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ie_ctypes.model.custom import CustomLayer

#: From this priority on a definition replaces a built-in layer type, where a kernel for it is loaded.
REPLACES = 100


class CustomLayers:
    """Definitions by type; the first of a type and operation set wins."""

    def __init__(self, definitions: Iterable[CustomLayer] = ()):
        self._found: dict[tuple[str, str], CustomLayer] = {}
        for d in definitions:
            self._found.setdefault((d.type.lower(), d.opset), d)

    def __iter__(self) -> Iterator[CustomLayer]:
        return iter(self._found.values())

    def __bool__(self) -> bool:
        return bool(self._found)

    def find(self, node_type: str, version: str, is_known: bool) -> CustomLayer | None:
        """The definition that serves a layer, which is of a built-in type when ``is_known``."""
        if not self._found:
            return None
        found = self._found.get((node_type.lower(), version)) or self._found.get((node_type.lower(), ""))
        return None if found is None or (is_known and found.priority < REPLACES) else found


NONE = CustomLayers()
