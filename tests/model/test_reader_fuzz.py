# SPDX-License-Identifier: Apache-2.0
"""Damaged files give a network, which can be written and read again, or a ModelError; nothing else."""

from __future__ import annotations

import random
import re

import pytest
from small_nets import NETS, plain

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers import read_ir, sniff_version
from ie_ctypes.model.writers import ir_bytes

FILES = {name: ir_bytes(make()) for name, make in NETS.items()}
VALUES = [
    "", "0", "1", "-1", "3", "7", "10", "11", "1e9", "2147483647", "9" * 30, "nan", "-inf", "FP32", "FP16", "MIXED", "i64", "u1", "Const",
    "Parameter", "Result", "Input", "TensorIterator", "opset1", "data", "conv", "?", "1..4", "1,2,3", "..", "\u0663", "x" * 300,
]  # fmt: skip
TAGS = [
    "layer",
    "layers",
    "port",
    "dim",
    "edge",
    "data",
    "input",
    "output",
    "blobs",
    "weights",
    "body",
    "port_map",
    "pre-process",
    "mean",
    "X",
]
ELEMENT = re.compile(r"<([\w-]+)(?: [^>]*)?(?:/>|>.*?</\1>)", re.DOTALL)
ATTRIBUTE = re.compile(r' ([\w-]+)="([^"]*)"')


def change(rng: random.Random, text: str) -> str:
    """One random damage: to an attribute, a tag, a number, a span of elements, or any characters."""
    kind = rng.randrange(8)
    if kind < 3:
        found = rng.choice(list(ATTRIBUTE.finditer(text)) or [None])
        if found is None:
            return text
        name, value = found.groups()
        replacement = rng.choice(
            [
                f' {name}="{rng.choice(VALUES)}"',
                "",
                f' {name}="{value}" {name}2="{value}"',
                f' {rng.choice(["id", "size", "name", "axis"])}="{value}"',
            ]
        )
        return text[: found.start()] + replacement + text[found.end() :]
    if kind == 3:
        numbers = list(re.finditer(r"\d+", text))
        if not numbers:
            return text
        found = rng.choice(numbers)
        return text[: found.start()] + rng.choice(VALUES) + text[found.end() :]
    if kind == 4:
        old, new = rng.choice(TAGS), rng.choice(TAGS)
        return re.sub(rf"(</?){old}\b", rf"\g<1>{new}", text, count=rng.choice([0, 2]))
    element = ELEMENT.search(text, rng.randrange(len(text) + 1))
    if element is None:
        return text
    start, stop = element.span()
    if kind == 5:
        return text[:start] + text[stop:]
    if kind == 6:
        return text[:stop] + text[start:stop] + text[stop:]
    place = rng.randrange(len(text) + 1)
    return (
        text[:place]
        + rng.choice(["<", ">", "&", '"', "\x00", "\u00e9", "<!--", "<![CDATA[", "</layer>"])
        + text[place + rng.randrange(4) :]
    )


@pytest.mark.parametrize("name", FILES)
def test_damaged_xml_is_read_or_refused(name: str) -> None:
    xml, weights = FILES[name]
    rng = random.Random(name)
    read = 0
    for _ in range(1500):
        text = xml.decode()
        for _ in range(rng.randint(1, 4)):
            text = change(rng, text) or text
        try:
            graph = read_ir(text.encode("utf-8", "surrogatepass"), weights)
        except ModelError as e:
            assert 5 < len(str(e)) < 600  # noqa: PT017
            continue
        assert isinstance(graph, Graph)
        assert plain(read_ir(*ir_bytes(graph)), version=False) == plain(graph, version=False)
        read += 1
    assert 20 < read < 1400  # the damage neither misses nor always kills


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_are_refused(name: str) -> None:
    xml, weights = FILES[name]
    rng = random.Random(name)
    for _ in range(100):
        with pytest.raises(ModelError):
            read_ir(xml[: rng.randrange(len(xml) - 8)], weights)
    for size in [0, 1, len(weights) // 2, len(weights) - 1][: 4 if weights else 0]:
        with pytest.raises(ModelError):
            read_ir(xml, weights[:size])


def test_random_bytes_are_refused() -> None:
    rng = random.Random(3)
    for _ in range(300):
        data = rng.randbytes(rng.randrange(60))
        for function in (read_ir, sniff_version):
            with pytest.raises(ModelError):
                function(data)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "base64", "idna", "utf-8-sig", "rot13", "cp037", "utf-7"])
def test_declared_encodings_are_read_or_refused(encoding: str) -> None:
    xml, weights = FILES["legacy"]
    text = xml.decode().replace("UTF-8", encoding)
    for data in (text.encode(), text.encode("utf-16"), text.encode("utf-8-sig")):
        try:
            read_ir(data, weights)
        except ModelError:
            continue
