# SPDX-License-Identifier: Apache-2.0
"""Cases for the graph fuzzer to begin with: the small programs of the kernel tests.

    python tests/fuzz/seeds.py FOLDER

Runs the tests of tests/cpu with plain C kernels and writes what they load on CPU, each kind of program a few times (graph_case.h).
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
import sys
from collections import Counter
from pathlib import Path

import pytest

from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.runtime import abi, flat

MOST_BYTES, MOST_ELEMENTS, MOST_ALIKE = 6000, 20000, 6
SECTIONS = ("ints", "doubles", "ports", "graphs", "tensors", "nodes", "attrs")
ITEM = {"graphs": abi.GRAPH_WORDS, "tensors": abi.TENSOR_WORDS, "nodes": abi.NODE_WORDS, "attrs": abi.ATTR_WORDS}


def case(program: flat.ProgramLike, flags: int = 0, most: int = 128) -> bytes:
    """The program as bytes; of each constant the first ``most`` bytes."""
    description = flat.Description(program)
    data = bytearray()
    words = description.tensors
    for at in range(0, len(words), abi.TENSOR_WORDS):
        address, size = words[at + 3 : at + 5]
        if address:
            words[at + 3] = 1 + len(data)
            data += ctypes.string_at(address, min(size, most))
    counts = [len(getattr(description, name)) // ITEM.get(name, 1) for name in SECTIONS]
    strings = bytes(description._strings.pool)
    header = struct.pack("<BB9H", flags, 0, *counts, len(strings), len(data))
    return header + b"".join(map(description.packed, SECTIONS)) + strings + bytes(data)


def _elements(program: flat.ProgramLike) -> int:
    total = 0
    for tensor in program.tensors:
        count = 1
        for n in tensor.type.shape:
            count *= n
        total += count
    return total


class Recorder:
    """A pytest plug-in that writes every program that is new and small."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.alike = folder, Counter()

    def add(self, program: flat.ProgramLike) -> None:
        signature = tuple(
            (node.kind, node.attrs.get("op"), node.attrs.get("mode"), tuple(t >= 0 for t in node.inputs)) for node in program.nodes
        )
        if len(program.nodes) > 8 or self.alike[signature] >= MOST_ALIKE or _elements(program) > MOST_ELEMENTS:
            return
        self.alike[signature] += 1
        try:
            data = case(program, flags=self.alike[signature])
        except (ValueError, TypeError, struct.error):
            return
        if len(data) <= MOST_BYTES:
            (self.folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    recorder, compile_ = Recorder(folder), CpuDevice.compile

    def compile_and_record(self: CpuDevice, program: flat.ProgramLike, *rest: object, **more: object) -> object:
        recorder.add(program)
        return compile_(self, program, *rest, **more)

    CpuDevice.compile = compile_and_record  # type: ignore[method-assign, assignment]
    tests = Path(__file__).parents[1] / "cpu"
    status = pytest.main(["-q", "-n", "0", "-k", "scalar and not avx and not random_program", "-p", "no:cacheprovider", str(tests)])
    print(f"{len(list(folder.iterdir()))} cases in {folder}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
