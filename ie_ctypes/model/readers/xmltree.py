# SPDX-License-Identifier: Apache-2.0
"""A small XML tree with line numbers and firm limits, over expat: no document types, no entities, no deep nesting."""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from ie_ctypes.errors import ModelError

MAX_DEPTH = 64
MAX_TEXT = 1 << 20  # characters of one attribute, or of the text of one element
MAX_ELEMENTS = 50_000_000
MAX_LAYERS = 1_000_000
MAX_BYTES = 1 << 30

#: Sections that say how the file was made; they are checked for well-formedness and left out of the tree.
_IGNORED = frozenset({"meta_data", "quantization_parameters"})


class Element:
    """An element: ``tag``, ``attrs``, ``children``, ``text`` (its own character data, stripped) and ``line``."""

    __slots__ = ("attrs", "children", "line", "tag", "text")

    def __init__(self, tag: str, attrs: dict[str, str], line: int):
        self.tag = tag
        self.attrs = attrs
        self.children: list[Element] = []
        self.text = ""
        self.line = line

    def child(self, *tags: str) -> Element | None:
        """The first child that has one of the tags."""
        return next((c for c in self.children if c.tag in tags), None)

    def all(self, tag: str) -> Iterator[Element]:
        """Children of that tag."""
        return (c for c in self.children if c.tag == tag)


def error(source: str, line: int, text: str) -> ModelError:
    """A fault at a line of a file; ``source`` is empty for networks that come from memory."""
    where = f"{source}: " if source else ""
    return ModelError(f"{where}line {line}: {text}")


class _RootSeen(Exception):  # noqa: N818  (control flow, never leaves this module)
    pass


class _Builder:
    def __init__(self, source: str, root_only: bool):
        self.source = source
        self.root_only = root_only
        self.root: Element | None = None
        self.stack: list[Element] = []
        self.ignored_depth = 0
        self.elements = 0
        self.layers = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype

    def fail(self, text: str) -> ModelError:
        return error(self.source, self.parser.CurrentLineNumber, text)

    def doctype(self, *_: object) -> None:
        raise self.fail("document type declarations and entities are not allowed")

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        for name, value in attrs.items():
            if len(value) > MAX_TEXT:
                raise self.fail(f"attribute {name!r} of <{tag}> has {len(value)} characters, expected at most {MAX_TEXT}")
        if len(self.stack) + self.ignored_depth >= MAX_DEPTH:
            raise self.fail(f"<{tag}> is nested deeper than {MAX_DEPTH} elements")
        if self.ignored_depth or (self.stack and tag in _IGNORED):
            self.ignored_depth += 1
            return
        self.elements += 1
        self.layers += tag == "layer"
        if self.layers > MAX_LAYERS:
            raise self.fail(f"the network has more than {MAX_LAYERS} layers")
        if self.elements > MAX_ELEMENTS:
            raise self.fail(f"the file has more than {MAX_ELEMENTS} elements")
        element = Element(tag, attrs, self.parser.CurrentLineNumber)
        if self.stack:
            self.stack[-1].children.append(element)
        else:
            self.root = element
            if self.root_only:
                raise _RootSeen
        self.stack.append(element)

    def end(self, _: str) -> None:
        if self.ignored_depth:
            self.ignored_depth -= 1
        else:
            element = self.stack.pop()
            element.text = element.text.strip()

    def characters(self, text: str) -> None:
        if self.ignored_depth:
            return
        element = self.stack[-1]
        if element.text or not text.isspace():
            element.text += text
            if len(element.text) > MAX_TEXT:
                raise self.fail(f"the text of <{element.tag}> has more than {MAX_TEXT} characters")


def parse(data: bytes, source: str = "", *, root_only: bool = False) -> Element:
    """The root element of an XML document, with its whole tree unless ``root_only``.

    Raises ModelError for text that is not well-formed and for anything beyond the limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise error(source, 1, f"the file has {len(data)} bytes, expected at most {MAX_BYTES}")
    builder = _Builder(source, root_only)
    try:
        builder.parser.Parse(data, True)
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
    if builder.root is None:
        raise error(source, 1, "the document is empty")
    return builder.root
