# SPDX-License-Identifier: Apache-2.0
"""Layer types whose kernels are OpenCL texts of the user's: the XML files that list them, and what a driver is told of one layer.

The file format is that of the original's GPU device: elements ``CustomLayer``, one beside the other, see docs/gpu.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ie_ctypes.errors import ParameterMismatchError
from ie_ctypes.model.custom import CustomLayer, LayerView, as_in_file
from ie_ctypes.model.program import AttrValue, Shape, TensorType
from ie_ctypes.model.readers.xmltree import Document, Element, parse
from ie_ctypes.record import Record

#: Attributes of the nodes. No attribute of a layer is called so: names in XML have no slash.
PREFIX = "opencl/"

#: Memory orders of tensors, the last letter varies fastest. Drivers know them by their place here. ANY is the first.
FORMATS = ("BFYX", "BYXF", "YXFB", "FYXB")
MAX_ARGUMENTS = 16
_TYPES = {
    "float32": "float", "float16": "half", "float64": "double", "int8": "char", "uint8": "uchar", "bool": "uchar", "int16": "short",
    "uint16": "ushort", "int32": "int", "uint32": "uint", "int64": "long", "uint64": "ulong",
}  # fmt: skip
_LISTS = ("int[]", "float[]")
_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*?\?>)?", re.DOTALL)
_TOKEN = re.compile(r"([0-9]+|[BFYXbfyx]|[-+*/%()])\s*")
_LONGEST_RULE = 100
_GREATEST_SIZE = (1 << 31) - 1


class Define(Record, frozen=True, kw_only=True):
    """``#define NAME VALUE``: the value of a layer's attribute, or another one where it has none."""

    name: str
    param: str
    default: str
    is_list: str  # the type of its elements; "": a single value

    def text(self, params: Mapping[str, str]) -> str:
        value = " ".join(params.get(self.param, self.default).splitlines())
        return f"#define {self.name} ({self.is_list}) {{{value}}}" if self.is_list else f"#define {self.name} {value}"


class Argument(Record, frozen=True, kw_only=True):
    """An argument of the kernel: a tensor of the layer, or one of its blobs."""

    what: str  # input, output, data
    port: int = 0
    blob: str = ""
    format: int = 0
    line: int


class OpenclLayer(Record, frozen=True, kw_only=True):
    """One ``CustomLayer``."""

    type: str
    file: str
    line: int
    entry: str
    source: str
    options: str
    defines: tuple[Define, ...]
    arguments: tuple[Argument, ...]
    dim: int  # the input that work sizes are computed from; -1: output 0
    global_sizes: tuple[str, ...]
    local_sizes: tuple[str, ...]

    def definition(self) -> CustomLayer:
        """The layer type: shapes are those of the file."""
        return CustomLayer(type=self.type, infer=as_in_file, attributes=self.attributes)

    def fail(self, line: int, text: str) -> ParameterMismatchError:
        return _error(self.file, line, self.type, text)

    def attributes(self, layer: LayerView, types: Sequence[TensorType]) -> dict[str, AttrValue]:
        """What the driver is told of one layer: the text that it builds, its arguments and work sizes."""
        inputs = [None if given is None else TensorType(given.dtype, given.shape) for given in layer.inputs]
        for argument in self.arguments:
            self._check(argument, inputs, layer.blobs, types)
        work, local = self._work_sizes(layer, inputs, types)
        macros = [
            f"NUM_INPUTS {len(inputs) + len(layer.blobs)}",
            *_list("GLOBAL_WORKSIZE", "size_t", work),
            *_list("LOCAL_WORKSIZE", "size_t", local),
            *self._tensors("input", inputs),
            *self._tensors("output", types),
        ]
        for i, name in enumerate(sorted(layer.blobs), len(inputs)):
            macros += _tensor(f"INPUT{i}", layer.blobs[name].dtype.name, (1, 1, 1, layer.blobs[name].size), 0)
        lines = [*(f"#define {macro}" for macro in macros), *(define.text(layer.params) for define in self.defines), self.source]
        places = {name: len(inputs) + i for i, name in enumerate(layer.blobs)}
        codes: list[int] = []
        for a in self.arguments:
            codes += (a.what == "output", places[a.blob] if a.what == "data" else a.port, a.format)
        return {
            PREFIX + "file": self.file,
            PREFIX + "entry": self.entry,
            PREFIX + "options": self.options,
            PREFIX + "source": "\n".join(lines),
            PREFIX + "arguments": tuple(codes),  # three numbers each: is it an output, which, its format
            PREFIX + "global": work,
            PREFIX + "local": local,
        }

    def _tensors(self, what: str, types: Sequence[TensorType | None]) -> list[str]:
        formats = {a.port: a.format for a in self.arguments if a.what == what}
        macros = []
        for i, kind in enumerate(types):
            if kind is not None and len(kind.shape) <= 4:
                macros += _tensor(f"{what.upper()}{i}", kind.dtype, _four(kind.shape), formats.get(i, 0))
        return macros

    def _work_sizes(self, layer: LayerView, inputs: Sequence[TensorType | None], types: Sequence[TensorType]) -> tuple[Shape, Shape]:
        """The global and the local ones; these may be none."""
        if self.dim >= len(inputs):
            raise self.fail(self.line, f"dim of <WorkSizes> is input {self.dim}, layer {layer.name} has {len(inputs)} inputs")
        source = inputs[self.dim] if self.dim >= 0 else types[0]
        sizes = _four(source.shape if source is not None else ())
        work, local = (self._evaluate(rules, sizes, name) for rules, name in ((self.global_sizes, "global"), (self.local_sizes, "local")))
        if local and len(local) != len(work):
            raise self.fail(self.line, f"<WorkSizes> has {len(work)} global and {len(local)} local sizes")
        if any(size % part for size, part in zip(work, local, strict=False)):
            raise self.fail(self.line, f"global work sizes {list(work)} are no multiples of the local ones, {list(local)}")
        return work, local

    def _check(self, a: Argument, inputs: Sequence[TensorType | None], blobs: Collection[str], types: Sequence[TensorType]) -> None:
        if a.what == "data":
            if a.blob not in blobs:
                raise self.fail(a.line, f"name of <Data> is {a.blob!r}, the layer has the blobs {', '.join(blobs) or 'none'}")
            return
        ports = inputs if a.what == "input" else types
        if a.port >= len(ports) or (kind := ports[a.port]) is None:
            raise self.fail(a.line, f"port-index of <Tensor> is {a.port}, the layer has {len(ports)} {a.what}s")
        if len(kind.shape) > 4:
            raise self.fail(a.line, f"{a.what} {a.port} has shape {list(kind.shape)}, a <Tensor> has at most 4 dimensions")

    def _evaluate(self, rules: Sequence[str], sizes: Shape, name: str) -> Shape:
        what = f"{name} of <WorkSizes> is {','.join(rules)!r}, for the sizes {list(sizes)}"
        try:
            found = tuple(evaluate(rule, sizes) for rule in rules)
        except ValueError as e:
            raise self.fail(self.line, f"{what}: {e}") from None
        if any(not 1 <= size <= _GREATEST_SIZE for size in found):
            raise self.fail(self.line, f"{what} this makes {list(found)}")
        return found


def _four(shape: Shape) -> Shape:
    """Sizes of B, F, Y and X."""
    return (*shape, *(1,) * (4 - len(shape)))[:4]


def _list(name: str, type: str, values: Sequence[int]) -> list[str]:
    return [f"{name} ({type} []){{ {''.join(f'{v},' for v in values)} }}", f"{name}_SIZE {len(values)}"]


def _tensor(name: str, dtype: str, sizes: Shape, format: int) -> list[str]:
    """The macros of a tensor; nothing is padded."""
    pitches, pitch = [0] * 4, 1
    for letter in reversed(FORMATS[format]):
        pitches["BFYX".index(letter)] = pitch
        pitch *= sizes["BFYX".index(letter)]
    macros = [f"{name}_TYPE {_TYPES[dtype]}", f"{name}_FORMAT_{FORMATS[format]}", f"{name}_OFFSET 0"]
    for what, values in (("DIMS", sizes), ("LOWER_PADDING", (0,) * 4), ("UPPER_PADDING", (0,) * 4), ("PITCHES", pitches)):
        macros += _list(f"{name}_{what}", "int", values)
    return macros


def evaluate(rule: str, sizes: Shape) -> int:
    """A formula of integers, B, F, Y, X (``sizes``), + - * / % and brackets. ValueError for anything else."""
    tokens: list[str] = []
    rest = rule.strip()
    if len(rest) > _LONGEST_RULE:
        raise ValueError(f"it has {len(rest)} characters, expected at most {_LONGEST_RULE}")
    while rest:
        match = _TOKEN.match(rest)
        if match is None:
            raise ValueError(f"{rest[0]!r} is no part of a formula")
        tokens.append(match[1])
        rest = rest[match.end() :]
    tokens.append("")
    value = _sum(tokens, sizes)
    if tokens != [""]:
        raise ValueError(f"{tokens[0]!r} is not expected")
    return value


def _sum(tokens: list[str], sizes: Shape) -> int:
    value = _product(tokens, sizes)
    while tokens[0] in ("+", "-"):
        sign = 1 if tokens.pop(0) == "+" else -1
        value += sign * _product(tokens, sizes)
    return value


def _product(tokens: list[str], sizes: Shape) -> int:
    value = _operand(tokens, sizes)
    while tokens[0] and tokens[0] in "*/%":
        operator, other = tokens.pop(0), _operand(tokens, sizes)
        if operator == "*":
            value *= other
            continue
        if other == 0:
            raise ValueError("division by zero")
        quotient = abs(value) // abs(other) * (1 if (value < 0) == (other < 0) else -1)  # towards zero, as in C
        value = quotient if operator == "/" else value - quotient * other
    return value


def _operand(tokens: list[str], sizes: Shape) -> int:
    token = tokens.pop(0) if tokens[0] else ""
    if token == "(":
        value = _sum(tokens, sizes)
        if tokens[0] != ")":
            raise ValueError("a bracket is not closed")
        tokens.pop(0)
        return value
    if token.isdigit():
        return int(token)
    if token and token.upper() in "BFYX":
        return sizes["BFYX".index(token.upper())]
    raise ValueError(f"{token!r} is not expected" if token else "the formula ends too early")


# -- reading ----------------------------------------------------------------------------------------------------------------


def files(value: str) -> list[str]:
    """The paths of a setting: one, or several between blanks."""
    return [value] if os.path.exists(value) else value.split()


def read_opencl_layers(path: str) -> list[OpenclLayer]:
    """The layer types of a file, in its order. ParameterMismatchError that names file, layer and attribute; ModelError for bad XML."""
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise ParameterMismatchError(f"{path}: cannot be read: {e.strerror}") from None
    head = _DECLARATION.match(data)
    at = head.end() if head is not None else 0
    # An XML document has one root, a file of this format one for every layer type.
    document = parse(b"%b<layers>%b</layers>" % (data[:at], data[at:]), path)
    return [_read_layer(document, element) for element in document.root]


def _error(path: str, line: int, type: str, text: str) -> ParameterMismatchError:
    return ParameterMismatchError(f"{path}: line {line}: custom layer {type}: {text}")


class _Reader:
    """The attributes of one layer's elements; faults name the file, the layer, the element and the attribute."""

    def __init__(self, document: Document, type: str):
        self.path, self.type = document.source, type
        self.line = document.line

    def fail(self, element: Element, text: str) -> ParameterMismatchError:
        return _error(self.path, self.line(element), self.type, text)

    def text(self, element: Element, name: str) -> str:
        value = element.get(name, "")
        if not value:
            raise self.fail(element, f"<{element.tag}> has no attribute {name}")
        return value

    def number(self, element: Element, name: str) -> int:
        value = self.text(element, name)
        if not (value.isascii() and value.isdigit() and len(value) < 6):
            raise self.fail(element, f"{name} of <{element.tag}> is {value!r}, expected a number from 0 on")
        return int(value)

    def choice(self, element: Element, name: str, known: Sequence[str], default: str = "") -> str:
        value = element.get(name, default)
        if value not in known:
            raise self.fail(element, f"{name} of <{element.tag}> is {value!r}, expected {' or '.join(known)}")
        return value

    def only(self, element: Element, tag: str) -> Element:
        found = element.findall(tag)
        if len(found) != 1:
            raise self.fail(element, f"<{element.tag}> has {len(found)} elements <{tag}>, expected one")
        return found[0]


def _read_layer(document: Document, element: Element) -> OpenclLayer:
    name = element.get("name", "")
    read = _Reader(document, name)
    if element.tag != "CustomLayer":
        raise read.fail(element, f"element <{element.tag}>, expected <CustomLayer>")
    read.text(element, "name")
    read.choice(element, "type", ("SimpleGPU",))
    read.choice(element, "version", ("1",))
    kernel, work = read.only(element, "Kernel"), element.findall("WorkSizes")
    if len(work) > 1:
        raise read.fail(work[1], "<WorkSizes> appears twice")
    sizes = work[0] if work else Element("WorkSizes")
    return OpenclLayer(
        type=name,
        file=read.path,
        line=read.line(work[0] if work else element),
        entry=read.text(kernel, "entry"),
        source=_read_sources(read, kernel),
        options=" ".join(read.text(e, "options") for e in element.findall("CompilerOptions")),
        defines=tuple(_read_define(read, e) for e in kernel.findall("Define")),
        arguments=_read_arguments(read, read.only(element, "Buffers")),
        dim=_read_dim(read, sizes),
        global_sizes=_read_rules(read, sizes, "global") or ("B*F*Y*X",),
        local_sizes=_read_rules(read, sizes, "local"),
    )


def _read_sources(read: _Reader, kernel: Element) -> str:
    """The files one after the other, each under its name for the compiler's messages."""
    if not kernel.findall("Source"):
        raise read.fail(kernel, "<Kernel> has no <Source>")
    texts: list[str] = []
    for element in kernel.findall("Source"):
        name = os.path.join(os.path.dirname(read.path), read.text(element, "filename"))
        try:
            text = Path(name).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else str(e)
            raise read.fail(element, f"filename of <Source>: {name} cannot be read: {why}") from None
        if "\0" in text:
            raise read.fail(element, f"filename of <Source>: {name} has a zero byte")
        quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        texts += [f'#line 1 "{quoted}"', text]
    return "\n".join([*texts, ""])


def _read_define(read: _Reader, element: Element) -> Define:
    type = element.get("type", "")
    define = Define(
        name=read.text(element, "name"),
        param=element.get("param", ""),
        default=element.get("default", ""),
        is_list=type if type in _LISTS else "",
    )
    if type:
        read.choice(element, "type", ("int", "float", *_LISTS))
    return define


def _read_arguments(read: _Reader, buffers: Element) -> tuple[Argument, ...]:
    found: dict[int, Argument] = {}
    formats: dict[tuple[str, int], int] = {}
    for element in buffers:
        if element.tag not in ("Tensor", "Data"):
            continue
        index = read.number(element, "arg-index")
        if index in found:
            raise read.fail(element, f"arg-index {index} is bound twice")
        if element.tag == "Data":
            found[index] = Argument(what="data", blob=read.text(element, "name"), line=read.line(element))
            continue
        what, port = read.choice(element, "type", ("input", "output")), read.number(element, "port-index")
        known = [*FORMATS, "ANY"]
        given = read.choice(element, "format", [*known, *map(str.lower, known)], "BFYX").upper()
        format = formats.setdefault((what, port), FORMATS.index(given) if given in FORMATS else 0)
        if format != (FORMATS.index(given) if given in FORMATS else 0):
            raise read.fail(element, f"format of <Tensor> is {given}, {what} {port} is also bound as {FORMATS[format]}")
        found[index] = Argument(what=what, port=port, format=format, line=read.line(element))
    for i in range(len(found)):
        if i not in found:
            raise read.fail(buffers, f"<Buffers> has {len(found)} arguments, but none with arg-index {i}")
    if len(found) > MAX_ARGUMENTS:
        raise read.fail(buffers, f"<Buffers> has {len(found)} arguments, expected at most {MAX_ARGUMENTS}")
    if not any(a.what == "output" for a in found.values()):
        raise read.fail(buffers, "<Buffers> has no <Tensor> of type output")
    return tuple(found[i] for i in range(len(found)))


def _read_dim(read: _Reader, element: Element) -> int:
    value = element.get("dim", "output")
    match = re.fullmatch(r"output|input(?:[ ,]\s*(\d{1,5}))?", value.strip() or "output")
    if match is None:
        raise read.fail(element, f"dim of <WorkSizes> is {value!r}, expected output or input,N")
    return -1 if value.strip() in ("", "output") else int(match[1] or 0)


def _read_rules(read: _Reader, element: Element, name: str) -> tuple[str, ...]:
    value = element.get(name, "")
    rules = tuple(value.split(",")) if value.strip() else ()
    if len(rules) > 3:
        raise read.fail(element, f"{name} of <WorkSizes> has {len(rules)} sizes, expected at most 3")
    for rule in rules:
        try:
            evaluate(rule, (1, 1, 1, 1))
        except ValueError as e:
            raise read.fail(element, f"{name} of <WorkSizes> has the size {rule!r}: {e}") from None
    return rules
