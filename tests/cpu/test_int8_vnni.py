# SPDX-License-Identifier: Apache-2.0
"""The AVX512-VNNI source on machines without it: compiled against SIMDe, which emulates the instructions, and compared with plain C."""

from __future__ import annotations

import pathlib
import platform
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: what stands in for the compiler's header of that name
PARTS = ("add", "load", "set1", "setzero", "storeu", "dpbusd")
HEADER = "#define SIMDE_NO_NATIVE\n#define SIMDE_ENABLE_NATIVE_ALIASES\n" + "".join(
    f"#include <simde/x86/avx512/{part}.h>\n" for part in PARTS
)


def test_emulated_sums_equal_plain_ones(tmp_path: pathlib.Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not pathlib.Path("/usr/include/simde/x86/avx512/dpbusd.h").exists():
        pytest.skip("needs a C compiler and SIMDe (libsimde-dev)")
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("SIMDe is only known to work on x86-64 and AArch64")
    (tmp_path / "immintrin.h").write_text(HEADER)
    common = [compiler, "-O0", "-std=c11", f"-I{ROOT}/csrc", f"-I{ROOT}/csrc/include", "-c"]
    source = str(ROOT / "csrc/cpu/kernels/int8_gemm.c")
    vnni = ["-DCPU_ISA=avx512_vnni", "-D__AVX512VNNI__=1", f"-I{tmp_path}"]
    for name, arguments in (
        ("plain", ["-DCPU_ISA=scalar", source]),
        ("vnni", [*vnni, source]),
        ("main", [str(ROOT / "tests/cpu/int8_vnni.c")]),
    ):
        subprocess.run([*common, *arguments, "-o", f"{name}.o"], cwd=tmp_path, check=True, timeout=300)
    subprocess.run([compiler, "main.o", "plain.o", "vnni.o", "-o", "check"], cwd=tmp_path, check=True, timeout=60)
    done = subprocess.run(["./check"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
