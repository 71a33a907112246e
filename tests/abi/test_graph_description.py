# SPDX-License-Identifier: Apache-2.0
"""Programs become graphs; faulty descriptions are refused with what is wrong where."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from gate_programs import doubling_program

from ie_ctypes import runtime
from ie_ctypes.errors import IEError, OutOfBoundsError, ParameterMismatchError
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType
from ie_ctypes.record import replace
from ie_ctypes.runtime import abi
from ie_ctypes.runtime.errors import exception
from ie_ctypes.runtime.flat import Description
from ie_ctypes.runtime.library import library

F4 = TensorType("float32", (4,))


def rich_program() -> Program:
    """Every type of attribute, a constant, an absent port, a body."""
    body = doubling_program()
    node = ProgramNode(
        "Loop",
        "node",
        "layer",
        "TensorIterator",
        (0, 1, -1),
        (2,),
        {"i": 7, "f": 0.25, "s": "größe", "is": (1, -2), "fs": (1.5, 2), "body": body, "yes": True, "none": ()},
    )
    const = np.arange(4, dtype=np.float32)
    return Program("net", [Tensor("x", F4), Tensor("c", F4, const), Tensor("y", F4)], [node], [0], ["x"], [2], ["y"])


def create(description: Description, change: Callable[[abi.GraphDesc], None] = lambda _: None) -> None:
    """Hand a description to C, changed; raises what C finds wrong."""
    desc = description.fill()
    change(desc)
    err = abi.Error(struct_size=ctypes.sizeof(abi.Error))
    out = ctypes.POINTER(abi.GraphHandle)()
    status = library().iec_graph_create(desc, out, err)
    assert bool(out) == (status == 0)
    library().iec_graph_release(out)
    if status:
        raise exception(status, err)


def test_drivers_read_what_the_program_says(gate: runtime.Device) -> None:
    with runtime.Graph(rich_program()) as graph:
        gate.compile(graph, {}).close()
    assert gate.get_property("log") == (
        "net Loop/node/layer/TensorIterator i=7 f=0.25 fi=7 s=größe is=2:-2 fs=2:1.5 body=net wrong=0 absent=1"
    )


def test_query_asks_the_driver_for_each_node(gate: runtime.Device) -> None:
    program = doubling_program()
    program.tensors.append(Tensor("z", program.tensors[0].type))
    program.nodes.append(ProgramNode("Odd", "odd", "odd", "Odd", (1,), (2,)))
    with runtime.Graph(program) as graph:
        assert gate.query(graph) == [True, False]


def test_an_empty_program_is_a_graph() -> None:
    runtime.Graph(Program("")).close()


def test_empty_tensors_and_scalars_are_accepted() -> None:
    empty, scalar = TensorType("int64", (0, 3)), TensorType("bool", ())
    tensors = [Tensor("e", empty, np.zeros((0, 3), np.int64)), Tensor("s", scalar, np.array(True)), Tensor("x", empty)]
    runtime.Graph(Program("net", tensors, [], [2], ["x"], [0, 1, 2], ["e", "s", "x"])).close()


def test_constants_that_lie_unaligned_are_copied() -> None:
    data = np.frombuffer(bytes(17), np.uint8)[1:].view(np.float32)
    assert not data.flags.aligned
    runtime.Graph(Program("net", [Tensor("c", F4, data)], [], [], [], [0], ["c"])).close()


def test_a_constant_of_another_type_is_refused() -> None:
    tensor = Tensor("weights", F4, np.zeros(4, np.float64))
    with pytest.raises(ParameterMismatchError, match=r"constant weights: array of float64 \(4,\), its type is float32 \(4,\)"):
        runtime.Graph(Program("net", [tensor]))


@pytest.mark.parametrize(
    ("value", "text"),
    [(object(), "unknown type object"), (("a",), "other things than numbers"), (None, "unknown type NoneType")],
)
def test_attributes_of_other_types_are_refused(value: object, text: str) -> None:
    program = doubling_program()
    program.nodes[0].attrs = {"odd": value}  # type: ignore[dict-item]
    with pytest.raises(ParameterMismatchError, match=f"node n: attribute odd .*{text}"):
        runtime.Graph(program)


def test_a_name_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ParameterMismatchError, match="zero byte"):
        runtime.Graph(Program("a\0b"))


def change_node(**fields: object) -> Callable[[Program], None]:
    def apply(program: Program) -> None:
        program.nodes[0] = replace(program.nodes[0], **fields)  # type: ignore[arg-type]

    return apply


def second_node(**fields: object) -> Callable[[Program], None]:
    def apply(program: Program) -> None:
        program.tensors.append(Tensor("z", program.tensors[0].type))
        program.nodes.append(replace(program.nodes[0], **({"name": "m", "inputs": (1,), "outputs": (2,)} | fields)))  # type: ignore[arg-type]

    return apply


def tensor_of(dtype: str, shape: tuple[int, ...]) -> Callable[[Program], None]:
    def apply(program: Program) -> None:
        program.tensors[0].type = TensorType(dtype, shape)

    return apply


def nested(depth: int) -> Callable[[Program], None]:
    def apply(program: Program) -> None:
        for _ in range(depth):
            inner = doubling_program()
            program.nodes[0].attrs = {"body": inner}
            program = inner

    return apply


FAULTS: list[tuple[str, Callable[[Program], None], type[IEError], str]] = [
    ("input port", change_node(inputs=(5,)), OutOfBoundsError, "n: input 0 is tensor 5, the graph has 2"),
    ("negative port", change_node(inputs=(-2,)), OutOfBoundsError, "n: input 0 is tensor -2"),
    ("output port", change_node(outputs=(2,)), OutOfBoundsError, "n: output 0 is tensor 2, the graph has 2"),
    ("use before value", second_node(inputs=(2,)), ParameterMismatchError, r"m: input 0, tensor 2 \(z\), is used before it has a value"),
    ("two producers", second_node(outputs=(1,)), ParameterMismatchError, r"m: output 0, tensor 1 \(y\), has a value already"),
    ("output onto an input", change_node(outputs=(0,)), ParameterMismatchError, r"tensor 0 \(x\), has a value already"),
    ("two nodes of one name", second_node(name="n"), ParameterMismatchError, "net: two nodes are named n"),
    ("output never computed", lambda p: p.nodes.clear(), ParameterMismatchError, r"net: output 0, tensor 1 \(y\), is never computed"),
    ("input twice", lambda p: p.inputs.append(0), ParameterMismatchError, r"net: input 1, tensor 0 \(x\), has a value already"),
    ("graph input", lambda p: p.inputs.append(9), OutOfBoundsError, "net: input 1 is tensor 9"),
    ("absent graph output", lambda p: p.outputs.append(-1), OutOfBoundsError, "net: output 1 is tensor -1"),
    ("rank", tensor_of("float32", (1,) * 9), ParameterMismatchError, "x: rank 9, expected 0 to 8"),
    ("negative dimension", tensor_of("float32", (1, -4)), ParameterMismatchError, "x: dimension -4"),
    ("size overflow", tensor_of("float32", (2**40, 2**40)), ParameterMismatchError, "x: the size of the tensor overflows at dimension 0"),
    ("size overflow beside a 0", tensor_of("float32", (2**60, 8, 0)), ParameterMismatchError, "x: the size of the tensor overflows"),
    ("depth", nested(17), ParameterMismatchError, "n: graphs are nested deeper than 16"),
]


@pytest.mark.parametrize(("change", "error", "text"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_faulty_programs_are_refused(change: Callable[[Program], None], error: type[IEError], text: str) -> None:
    program = doubling_program()
    change(program)
    with pytest.raises(error, match=text):
        runtime.Graph(program)


def test_nesting_up_to_the_limit_is_accepted() -> None:
    program = doubling_program()
    nested(16)(program)
    runtime.Graph(program).close()


def word(table: str, index: int, value: int) -> Callable[[Description], None]:
    def apply(description: Description) -> None:
        getattr(description, table)[index] = value

    return apply


def longer(table: str, words: int) -> Callable[[Description], None]:
    return lambda d: getattr(d, table).extend([0] * words)


#: in rich_program: tensor 1 is the constant, attribute 0 is the int, 2 the text, 3 the ints, 5 the body
WORDS: list[tuple[Callable[[Description], None], str]] = [
    (word("graphs", 0, 10**6), "graph: graph name at offset 1000000, the strings have"),
    (word("graphs", 0, -1), "graph: graph name at offset -1"),
    (word("graphs", 1, 6), "net: tensor count 6, expected 0 to 5"),
    (word("graphs", 1, -1), "net: tensor count -1"),
    (word("graphs", 2, 3), "net: node count 3, expected 0 to 2"),
    (word("graphs", 3, 2**62), "net: input 4611686018427387904, expected 0 to"),
    (word("graphs", 4, -5), "net: output -5"),
    (word("tensors", 0, 2**40), "tensor name at offset"),
    (word("tensors", 1, 99), "x: unknown element type 99"),
    (word("tensors", 4, 16), "x: data size without data 16"),
    (word("tensors", 9, 17), "c: constant of 17 bytes, its shape and type need 16"),
    (word("nodes", 0, 10**9), "node: node kind at offset 1000000000"),
    (word("nodes", 1, -7), "node name at offset -7"),
    (word("nodes", 2, 10**9), "node: layer name at offset"),
    (word("nodes", 3, 10**9), "node: layer type at offset"),
    (word("nodes", 4, 10**9), "node: input 1000000000, expected 0 to"),
    (word("nodes", 5, -1), "node: output -1"),
    (word("nodes", 6, 2**63 - 1), "node: attribute count 9223372036854775807"),
    (word("attrs", 0, -1), "node: attribute name at offset -1"),
    (word("attrs", 1, 9), "node: attribute i: unknown type 9"),
    (word("attrs", 3, 2), "node: attribute i: 2 values, expected 1"),
    (word("attrs", 4 * 2 + 2, 10**9), "node: s at offset 1000000000"),
    (word("attrs", 4 * 3 + 3, 10**9), "node: integer attribute values 1000000000, expected 0 to"),
    (word("attrs", 4 * 4 + 3, -1), "node: float attribute values -1"),
    (word("attrs", 4 * 5 + 2, 0), "node: attribute body: graph 0 of 2, expected the next unused, 1"),
    (word("attrs", 4 * 5 + 1, abi.ATTR_INT), "graph 1 is the body of no node"),
    (longer("ints", 1), r"graph: \d+ integers given, \d+ used"),
    (longer("doubles", 1), r"graph: \d+ doubles given"),
    (longer("ports", 2), r"graph: \d+ ports given"),
    (longer("tensors", abi.TENSOR_WORDS), "graph: 6 tensors given, 5 used"),
    (longer("nodes", abi.NODE_WORDS), "graph: 3 nodes given, 2 used"),
    (longer("attrs", abi.ATTR_WORDS), r"graph: \d+ attributes given"),
    (longer("graphs", abi.GRAPH_WORDS), "graph 2 is the body of no node"),
]


@pytest.mark.parametrize(("change", "text"), WORDS, ids=[text[:40] for _, text in WORDS])
def test_faulty_tables_are_refused(change: Callable[[Description], None], text: str) -> None:
    description = Description(rich_program())
    create(description)
    change(description)
    with pytest.raises(IEError, match=text):
        create(description)


def test_an_attribute_given_twice_is_refused() -> None:
    description = Description(rich_program())
    description.attrs[4:8] = description.attrs[0:4]  # a name may have several types, but each once
    with pytest.raises(ParameterMismatchError, match="node: attribute i is given twice"):
        create(description)


def test_unaligned_constant_data_is_refused() -> None:
    description = Description(rich_program())
    description.tensors[8] += 1
    with pytest.raises(ParameterMismatchError, match="c: constant data is not aligned to its 4 byte elements"):
        create(description)


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("struct_size", 8, "description of 8 bytes"),
        ("graph_count", 0, "holds no graph"),
        ("ports", None, "a table of the description is NULL"),
        ("strings", None, "a table of the description is NULL"),
        ("strings_size", 3, "the strings do not end with a zero"),
    ],
)
def test_faulty_descriptions_are_refused(member: str, value: object, text: str) -> None:
    with pytest.raises(IEError, match=text):
        create(Description(rich_program()), lambda desc: setattr(desc, member, value))


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_crashes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(200):
        description = Description(rich_program())
        table = getattr(description, ["ints", "ports", "graphs", "tensors", "nodes", "attrs"][rng.integers(6)])
        index = int(rng.integers(len(table)))
        if table is description.tensors and index == 8:
            continue  # the address of the constant's data: C cannot check it
        table[index] = int(rng.choice([-1, 0, 1, 2, 3, 2**31, 2**63 - 1, -(2**63), int(rng.integers(100))]))
        try:
            create(description)
        except IEError:
            refused += 1
    assert refused > 50


def test_a_long_program_is_described_and_checked() -> None:
    count = 2000
    tensors = [Tensor(f"t{i}", TensorType("float32", (1, 8, 4, 4))) for i in range(count + 1)]
    nodes = [ProgramNode("Unary", f"n{i}", f"l{i}", "ReLU", (i,), (i + 1,), {"op": "relu", "alpha": 0.0}) for i in range(count)]
    with runtime.Graph(Program("long", tensors, nodes, [0], ["x"], [count], ["y"])) as graph:
        assert graph.node_count == count


@pytest.mark.parametrize(
    ("value", "error"), [(1 << 63, OverflowError), ((1, 1 << 63), OverflowError), ((0.5, 1 << 2000), OverflowError), ((), None)]
)
def test_numbers_that_no_64_bits_hold_are_refused(value: Any, error: type[Exception] | None) -> None:
    node = ProgramNode("Unary", "n", "l", "t", (0,), (1,), {"a": value})
    program = Program("net", [Tensor("x", F4), Tensor("y", F4)], [node], [0], ["x"], [1], ["y"])
    with pytest.raises(error) if error else nullcontext():
        runtime.Graph(program).close()
