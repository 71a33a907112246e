# SPDX-License-Identifier: Apache-2.0
"""The C headers, the built library and the ctypes mirror say the same."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pycparser import c_ast, c_parser

from ie_ctypes.runtime import abi
from ie_ctypes.runtime.library import path as library_path

ROOT = Path(__file__).parents[2]
INCLUDE = ROOT / "csrc" / "include"
HEADERS = sorted(p.relative_to(INCLUDE).as_posix() for p in INCLUDE.rglob("*.h"))
STRUCTS = {
    "iec_error": abi.Error,
    "iec_kv": abi.KeyValue,
    "iec_tensor": abi.Tensor,
    "iec_graph_desc": abi.GraphDesc,
    "iec_cpu_info": abi.CpuInfo,
    "iec_graph_api": abi.GraphApi,
    "iec_host_api": abi.HostApi,
    "iec_kernel_def": abi.KernelDef,
    "iec_op_def": abi.OpDef,
    "iec_extension_api": abi.ExtensionApi,
}
#: typedefs of the C library that the headers need; ``_Ptr`` types keep pycparser from needing real headers
FAKE = """
typedef unsigned long size_t; typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t;
typedef unsigned short uint16_t; typedef int int32_t; typedef unsigned int uint32_t; typedef long int64_t;
typedef unsigned long uint64_t; typedef unsigned long uintptr_t;
"""
SCALARS = {
    "int32_t": ctypes.c_int32,
    "iec_status": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "size_t": ctypes.c_size_t,
    "iec_done_fn": abi.DoneFunction,
}
POINTERS = {
    "char": ctypes.c_char_p,
    "void": ctypes.c_void_p,
    "size_t": ctypes.POINTER(ctypes.c_size_t),
    "uint8_t": ctypes.POINTER(ctypes.c_uint8),
    "iec_graph": ctypes.POINTER(abi.GraphHandle),
    "iec_device": ctypes.POINTER(abi.DeviceHandle),
    "iec_executable": ctypes.POINTER(abi.ExecutableHandle),
    "iec_infer_request": ctypes.POINTER(abi.RequestHandle),
} | {name: ctypes.POINTER(cls) for name, cls in STRUCTS.items()}


@pytest.fixture(scope="module")
def declarations(compiler: str) -> dict[str, c_ast.FuncDecl]:
    """Every function that runtime.h declares."""
    text = "".join(
        re.sub(r"^\s*#\s*include.*$", "", (INCLUDE / name).read_text(), flags=re.MULTILINE)
        for name in ("iec/base.h", "iec/extension.h", "iec/runtime.h")
    )
    source = subprocess.run([compiler, "-E", "-P", "-x", "c", "-"], input=text, capture_output=True, text=True, check=True).stdout
    tree = c_parser.CParser().parse(FAKE + source)
    return {d.name: d.type for d in tree.ext if isinstance(d, c_ast.Decl) and isinstance(d.type, c_ast.FuncDecl)}


def ctype(node: c_ast.Node) -> object:
    """The ctypes type of a parameter or result; texts that C fills are addresses."""
    if isinstance(node, c_ast.PtrDecl):
        inner = node.type
        if isinstance(inner, c_ast.PtrDecl):
            return ctypes.POINTER(ctype(inner))  # type: ignore[type-var]
        name = inner.type.names[0]
        return ctypes.c_void_p if name == "char" and "const" not in inner.quals else POINTERS[name]
    assert isinstance(node, c_ast.TypeDecl)
    name = node.type.names[0]
    return None if name == "void" else SCALARS[name]


def test_prototypes_equal_the_header(declarations: dict[str, c_ast.FuncDecl]) -> None:
    expected = {}
    for name, function in declarations.items():
        parameters = [p.type for p in function.args.params] if function.args else []
        types = tuple(ctype(p) for p in parameters)
        expected[name] = (ctype(function.type), () if types == (None,) else types)
    assert dict(abi.PROTOTYPES) == expected
    assert list(abi.PROTOTYPES) == list(expected), "the table has the header's order"


def test_library_exports_exactly_the_header(declarations: dict[str, c_ast.FuncDecl]) -> None:
    nm = shutil.which("nm")
    if not nm:
        pytest.skip("nm is not installed")
    lines = subprocess.run([nm, "-D", "--defined-only", str(library_path())], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in lines.splitlines()}
    assert {e for e in exported if not e.startswith(("__asan", "__odr_asan", "__ubsan", "__start", "__stop"))} == set(declarations)


@pytest.fixture(scope="module")
def layout(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes, offsets and constants as the C compiler sees them."""
    rows = []
    for struct, cls in STRUCTS.items():
        rows.append((f"{struct}", f"sizeof({struct})"))
        for name, *_ in cls._fields_:
            rows.append((f"{struct}.{name}", f"offsetof({struct}, {name})"))
            rows.append((f"{struct}.{name} size", f"sizeof((({struct} *)0)->{name})"))
    constants = [n for n in vars(abi) if n.isupper() and isinstance(getattr(abi, n), int)]
    rows += [(n, f"IEC_{n}") for n in constants]
    rows += [(f"dtype {n}", f"IEC_{code_name(n)}") for n in abi.DTYPE_CODES]
    lines = "".join(f'  printf("%s\\"{k}\\": %lld", "{"," if i else ""}", (long long)({e}));\n' for i, (k, e) in enumerate(rows))
    folder = tmp_path_factory.mktemp("layout")
    source = folder / "layout.c"
    source.write_text(f'#include <stdio.h>\n#include "iec/runtime.h"\nint main(void) {{\n  printf("{{");\n{lines}  printf("}}");\n}}\n')
    subprocess.run([compiler, "-std=c11", f"-I{INCLUDE}", str(source), "-o", str(folder / "layout")], check=True)
    result: dict[str, int] = json.loads(subprocess.run([str(folder / "layout")], capture_output=True, check=True).stdout)
    return result


def code_name(dtype: str) -> str:
    """The C name of an element type: float32 -> F32."""
    if dtype == "bool":
        return "BOOL"
    return dtype[0].upper() + dtype.lstrip("uintfloa")


@pytest.mark.parametrize("struct", STRUCTS)
def test_structures_have_the_layout_of_c(struct: str, layout: dict[str, int]) -> None:
    cls = STRUCTS[struct]
    assert ctypes.sizeof(cls) == layout[struct]
    for name, *_ in cls._fields_:
        field = getattr(cls, name)
        assert (field.offset, field.size) == (layout[f"{struct}.{name}"], layout[f"{struct}.{name} size"]), name


def test_structures_mirror_every_member() -> None:
    text = "".join((INCLUDE / "iec" / n).read_text() for n in ("base.h", "extension.h", "runtime.h"))
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for struct, cls in STRUCTS.items():
        body = re.search(rf"typedef struct {struct} {{(.*?)}} {struct};", text, flags=re.DOTALL)
        assert body, struct
        members = [m for line in body[1].split(";") for m in _members(line.strip())]
        assert members == [f[0] for f in cls._fields_], struct


def _members(declaration: str) -> list[str]:
    """Names that one declaration of a struct gives: of a function pointer, or of variables separated by commas."""
    function = re.search(r"\(\*(\w+)\)\(", declaration)
    return [function[1]] if function else re.findall(r"(\w+)(?:\[\w+\])?\s*(?:,|$)", declaration)


def test_constants_are_those_of_c(layout: dict[str, int]) -> None:
    for name in (n for n in vars(abi) if n.isupper() and isinstance(getattr(abi, n), int)):
        assert getattr(abi, name) == layout[name], name
    for name, code in abi.DTYPE_CODES.items():
        assert code == layout[f"dtype {name}"], name


@pytest.mark.parametrize("language", ["c11", "c++17"])
@pytest.mark.parametrize("header", HEADERS)
def test_header_compiles_alone(header: str, language: str, compiler: str, tmp_path: Path) -> None:
    is_c = language == "c11"
    tool = compiler if is_c else shutil.which("c++") or shutil.which("g++")
    if not tool:
        pytest.skip("there is no C++ compiler")
    source = tmp_path / ("alone.c" if is_c else "alone.cpp")
    source.write_text(f'#include "{header}"\n#include "{header}"\nint alone(void);\nint alone(void) {{ return 0; }}\n')
    command = [tool, f"-std={language}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}", "-c", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "alone.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
