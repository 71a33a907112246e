# SPDX-License-Identifier: Apache-2.0
"""Which instruction set the CPU device chooses, here and on processors that qemu-user emulates."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cpu_programs import ISAS, has_isa

import ie_ctypes
from ie_ctypes import runtime

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "samples" / "models" / "digits_v7.xml"


def chosen() -> str:
    """The instruction set of a device opened now."""
    with runtime.Device("CPU") as device:
        return device.get_property("ISA")


def scores() -> np.ndarray:
    """What the digits network says of a fixed image."""
    core = ie_ctypes.IECore()
    image = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8) * 4
    return core.load_network(core.read_network(str(MODEL)), "CPU").infer({"data": image})["prob"]


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IE_CTYPES_ISA", raising=False)


def test_the_best_usable_set_is_chosen() -> None:
    assert chosen() == [isa for isa in ISAS if has_isa(isa)][-1]


@pytest.mark.parametrize("isa", ISAS)
def test_another_set_can_be_asked_for_where_the_machine_has_it(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_ISA", isa)
    if has_isa(isa):
        assert chosen() == isa
    else:
        with pytest.raises(RuntimeError, match=f"IE_CTYPES_ISA: this machine has no {isa}"):
            chosen()


def test_an_empty_wish_is_no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    best = chosen()
    monkeypatch.setenv("IE_CTYPES_ISA", "")
    assert chosen() == best


def test_an_unknown_set_is_refused_with_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_ISA", "mmx")
    with pytest.raises(RuntimeError, match=f"unknown instruction set 'mmx', known are {', '.join(reversed(ISAS))}"):
        chosen()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a Python for x86-64")
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="qemu-x86_64 (Debian package qemu-user) is not here")
@pytest.mark.parametrize(
    ("processor", "isa"),
    [
        ("Nehalem", "scalar"),  # no AVX at all
        ("Haswell", "avx2"),
        ("Haswell,-fma", "scalar"),
        ("Haswell,-xsave", "scalar"),  # the system does not save the wide registers
    ],
)
def test_processors_get_what_they_can_run(processor: str, isa: str) -> None:
    code = "import test_isa, sys; print(test_isa.chosen(), *test_isa.scores().ravel())"
    # numpy's BLAS takes an emulated Nehalem on a host with AVX-512 for something greater; it is not what is tested.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]), "OPENBLAS_CORETYPE": "Nehalem"}
    command = ["qemu-x86_64", "-cpu", processor, sys.executable, "-c", code]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    name, *numbers = done.stdout.split()
    assert name == isa
    np.testing.assert_allclose(np.array(numbers, np.float32), scores().ravel(), rtol=1e-5, atol=1e-6)
