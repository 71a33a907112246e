# SPDX-License-Identifier: Apache-2.0
"""A small XML tree with line numbers and firm limits, over expat: no document types, no entities, no deep nesting."""

from __future__ import annotations

import pyexpat as expat  # xml.parsers.expat is the same, three modules later

from ie_ctypes.errors import ModelError

MAX_DEPTH = 64
MAX_TEXT = 1 << 20  # characters of one attribute, or of the text of one element
MAX_ELEMENTS = 50_000_000
MAX_LAYERS = 1_000_000
MAX_BYTES = 1 << 30

#: Sections that say how the file was made; they are checked for well-formedness and left out of the tree.
_IGNORED = frozenset({"meta_data", "quantization_parameters"})


class Element:
    """An element: ``tag``, ``attrs``, ``children``, ``text`` (character data before the first child, stripped) and ``line``."""

    __slots__ = ("attrs", "children", "line", "tag", "text")

    def __init__(self, tag: str, attrs: dict[str, str], line: int):
        self.tag = tag
        self.attrs = attrs
        self.children: list[Element] | tuple[()] = ()
        self.text = ""
        self.line = line

    def child(self, *tags: str) -> Element | None:
        """The first child that has one of the tags."""
        for c in self.children:
            if c.tag in tags:
                return c
        return None

    def all(self, tag: str) -> list[Element]:
        """Children of that tag."""
        return [c for c in self.children if c.tag == tag]


def error(source: str, line: int, text: str) -> ModelError:
    """A fault at a line of a file; ``source`` is empty for networks that come from memory."""
    where = f"{source}: " if source else ""
    return ModelError(f"{where}line {line}: {text}")


class _RootSeen(Exception):  # noqa: N818  (control flow, never leaves this module)
    pass


class _Builder:
    """Builds the tree from the parser's events. They come by the ten thousand, hence closures, and checks only where they can fail."""

    def __init__(self, source: str, size: int, root_only: bool):
        self.source = source
        self.root: Element | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self.doctype
        self._install(size, root_only)

    def fail(self, text: str) -> ModelError:
        return error(self.source, self.parser.CurrentLineNumber, text)

    def doctype(self, *_: object) -> None:
        raise self.fail("document type declarations and entities are not allowed")

    def check(self, tag: str, attrs: dict[str, str], elements: int, layers: int) -> None:
        """The limits that only a large file can exceed: without entities nothing is longer than its file."""
        for name, value in attrs.items():
            if len(value) > MAX_TEXT:
                raise self.fail(f"attribute {name!r} of <{tag}> has {len(value)} characters, expected at most {MAX_TEXT}")
        if layers > MAX_LAYERS:
            raise self.fail(f"the network has more than {MAX_LAYERS} layers")
        if elements > MAX_ELEMENTS:
            raise self.fail(f"the file has more than {MAX_ELEMENTS} elements")

    def _install(self, size: int, root_only: bool) -> None:
        parser, stack = self.parser, list[Element]()
        large = size > min(MAX_TEXT, MAX_ELEMENTS, MAX_LAYERS)
        ignored = elements = layers = 0

        def start(tag: str, attrs: dict[str, str]) -> None:
            nonlocal ignored, elements, layers
            if len(stack) + ignored >= MAX_DEPTH:
                raise self.fail(f"<{tag}> is nested deeper than {MAX_DEPTH} elements")
            if large:
                inside = not (ignored or (stack and tag in _IGNORED))
                elements += inside
                layers += inside and tag == "layer"
                self.check(tag, attrs, elements, layers)
            if ignored or (tag in _IGNORED and stack):
                ignored += 1
                return
            element = Element(tag, attrs, parser.CurrentLineNumber)
            if stack:
                parent = stack[-1]
                if parent.children:
                    parent.children.append(element)
                else:  # most elements have none, and a list each would be theirs and the garbage collector's
                    parent.children = [element]
            else:
                self.root = element
                if root_only:
                    raise _RootSeen
            stack.append(element)
            parser.CharacterDataHandler = characters

        def end(_: str) -> None:
            nonlocal ignored
            parser.CharacterDataHandler = None  # what lies between elements is indentation: not one event more for it
            if ignored:
                ignored -= 1
                return
            element = stack.pop()
            if element.text:
                element.text = element.text.strip()

        def characters(text: str) -> None:
            if text.isspace() and (ignored or not stack[-1].text):
                return
            if not ignored:
                element = stack[-1]
                element.text += text
                if len(element.text) > MAX_TEXT:
                    raise self.fail(f"the text of <{element.tag}> has more than {MAX_TEXT} characters")

        parser.StartElementHandler = start
        parser.EndElementHandler = end


def parse(data: bytes, source: str = "", *, root_only: bool = False) -> Element:
    """The root element of an XML document, with its whole tree unless ``root_only``.

    Raises ModelError for text that is not well-formed and for anything beyond the limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise error(source, 1, f"the file has {len(data)} bytes, expected at most {MAX_BYTES}")
    builder = _Builder(source, len(data), root_only)
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
