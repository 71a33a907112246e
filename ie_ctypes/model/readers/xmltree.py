# SPDX-License-Identifier: Apache-2.0
"""Element trees of the standard library over expat with firm limits: no document types, no entities, no deep nesting."""

from __future__ import annotations

import contextlib
import itertools
import pyexpat as expat  # xml.parsers.expat is the same, two modules later
from typing import TYPE_CHECKING

from ie_ctypes.errors import ModelError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element, TreeBuilder, XMLParser
else:
    try:
        from _elementtree import Element, TreeBuilder, XMLParser  # those of xml.etree.ElementTree, without the rest of that module
    except ImportError:
        from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

__all__ = ["Document", "Element", "error", "parse", "root_of", "text_of"]

MAX_DEPTH = 64
MAX_TEXT = 1 << 20  # characters of one attribute, or of the text of one element
MAX_ELEMENTS = 50_000_000
MAX_LAYERS = 1_000_000
MAX_BYTES = 1 << 30


class Document:
    """A parsed text. Where its elements lie is found when somebody asks, by parsing it again: only messages of faults do."""

    def __init__(self, data: bytes, source: str, root: Element):
        self.source = source
        self.root = root
        self._data = data
        self._lines: dict[int, int] = {}  # id(element) -> line

    def line(self, element: Element) -> int:
        """The line where an element of the tree begins."""
        if not self._lines:
            lines: list[int] = []
            parser = expat.ParserCreate()
            parser.StartElementHandler = lambda *_: lines.append(parser.CurrentLineNumber)
            with contextlib.suppress(expat.ExpatError):  # behind a root that was read alone
                parser.Parse(self._data, True)
            self._lines = dict(zip(map(id, self.root.iter()), lines, strict=False))
        return self._lines[id(element)]


def text_of(element: Element) -> str:
    """Character data before the first child, stripped."""
    return (element.text or "").strip()


def error(source: str, line: int, text: str) -> ModelError:
    """A fault at a line of a file; ``source`` is empty for networks that come from memory."""
    where = f"{source}: " if source else ""
    return ModelError(f"{where}line {line}: {text}")


def parse(data: bytes, source: str = "") -> Document:
    """An XML document with its whole tree.

    Raises ModelError for text that is not well-formed and for anything beyond the limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise error(source, 1, f"the file has {len(data)} bytes, expected at most {MAX_BYTES}")
    if _is_plain(data):
        parser = XMLParser(target=TreeBuilder())
        with contextlib.suppress(SyntaxError, LookupError, ValueError):  # the first fault is found below
            parser.feed(data)
            root = parser.close()
            if not _is_deep(root):
                return Document(data, source, root)
    return Document(data, source, _checked(data, source))


def root_of(data: bytes, source: str = "") -> Document:
    """A document without the children of its root; what follows the root's first tag is not looked at."""
    return Document(data, source, _checked(data, source, root_only=True))


class _RootSeen(Exception):  # noqa: N818  (control flow, never leaves this module)
    pass


def _is_plain(data: bytes) -> bool:
    """Only its depth can be beyond the limits: without entities no text is longer than the file.

    Not plain, whether it matters or not: document types, namespaces, which the standard library's parser puts into names, and UTF-16,
    where neither is seen.
    """
    if len(data) > min(MAX_TEXT, MAX_ELEMENTS, MAX_LAYERS):
        return False
    return data.find(b"xml", len(b"<?xml")) < 0 and b"<!DOCTYPE" not in data and b"\0" not in data


def _is_deep(root: Element) -> bool:
    level = [root]
    for _ in range(MAX_DEPTH):
        parents = filter(len, level)
        level = list(itertools.chain.from_iterable(parents))
        if not level:
            return False
    return True


def _checked(data: bytes, source: str, *, root_only: bool = False) -> Element:
    """The root of a tree that is checked while it grows."""
    parser, builder = expat.ParserCreate(), TreeBuilder()
    tags: list[str] = []
    elements = layers = length = 0
    root: Element | None = None

    def fail(text: str) -> ModelError:
        return error(source, parser.CurrentLineNumber, text)

    def doctype(*_: object) -> None:
        raise fail("document type declarations and entities are not allowed")

    def start(tag: str, attrs: dict[str, str]) -> None:
        nonlocal elements, layers, length, root
        if len(tags) >= MAX_DEPTH:
            raise fail(f"<{tag}> is nested deeper than {MAX_DEPTH} elements")
        for name, value in attrs.items():
            if len(value) > MAX_TEXT:
                raise fail(f"attribute {name!r} of <{tag}> has {len(value)} characters, expected at most {MAX_TEXT}")
        elements += 1
        layers += tag == "layer"
        if layers > MAX_LAYERS:
            raise fail(f"the network has more than {MAX_LAYERS} layers")
        if elements > MAX_ELEMENTS:
            raise fail(f"the file has more than {MAX_ELEMENTS} elements")
        tags.append(tag)
        length = 0
        element = builder.start(tag, attrs)
        if root is None:
            root = element
            if root_only:
                raise _RootSeen

    def end(tag: str) -> None:
        nonlocal length
        tags.pop()
        length = 0
        builder.end(tag)

    def characters(text: str) -> None:
        nonlocal length
        if length or not text.isspace():
            length += len(text)
        if length > MAX_TEXT:
            raise fail(f"the text of <{tags[-1]}> has more than {MAX_TEXT} characters")
        builder.data(text)

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    try:
        parser.Parse(data, True)
    except _RootSeen:
        pass
    except expat.ExpatError as e:
        what = expat.ErrorString(e.code) or "not an XML document"
        where = f"{source}, " if source else ""
        raise ModelError(f"Error loading xmlfile: {where}{what} at line: {e.lineno} pos: {e.offset}") from None
    except (LookupError, UnicodeError, ValueError) as e:  # an encoding that Python does not know, or that is not a text encoding
        if isinstance(e, ModelError):
            raise
        raise error(source, 1, f"the encoding cannot be read: {e}") from None
    if root is None:
        raise error(source, 1, "the document is empty")
    return root
