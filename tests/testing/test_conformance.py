# SPDX-License-Identifier: Apache-2.0
"""Every built-in device passes the conformance suite; the suite finds a device that does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from ie_ctypes import IECore
from ie_ctypes.devices import Device
from ie_ctypes.devices.reference import ReferenceDevice
from ie_ctypes.testing import DeviceConformance


class TestCpu(DeviceConformance):
    device = "CPU"


class TestReference(DeviceConformance):
    device = "REFERENCE"


COMPOSITE = {
    "metrics": "settings that name the devices are listed but not asked for, as in 2019 R3",
    "unknown_settings": "settings go to the devices it is made of; one that none knows is a warning",
}


class TestHetero(DeviceConformance):
    device = "HETERO:REFERENCE,CPU"
    skips = COMPOSITE


class TestMulti(DeviceConformance):
    device = "MULTI:CPU,REFERENCE"
    skips: ClassVar = {**COMPOSITE, "query": "MULTI answers no queries, as in 2019 R3"}


class TestVirtual(DeviceConformance):
    device = "FPGA"
    rtol, atol = 2e-2, 2e-2  # rounds to FP16 after every layer
    unsupported: ClassVar = {"legacy_image": "FPGA had no SoftMax", "matrices": "FPGA had no MatMul"}

    @pytest.fixture(autouse=True)
    def _asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IE_CTYPES_VIRTUAL_DEVICES", "FPGA")


@pytest.mark.skipif(
    not (os.environ.get("IE_CTYPES_NEED_OPENCL") or list(Path("/etc/OpenCL/vendors").glob("*.icd"))), reason="there is no OpenCL platform"
)
class TestGpu(DeviceConformance):
    device = "GPU"


class Wrong(ReferenceDevice):
    """A device whose every answer is one too large."""

    def compile(self, program, config):  # type: ignore[no-untyped-def]
        inner = super().compile(program, config)
        create = inner.create_request

        def request():  # type: ignore[no-untyped-def]
            made = create()
            infer = made.infer
            made.infer = lambda inputs, outputs: (infer(inputs, outputs), [np.add(o, 1, out=o, casting="unsafe") for o in outputs])
            return made

        inner.create_request = request  # type: ignore[method-assign]
        return inner


def test_the_suite_finds_a_wrong_answer() -> None:
    class Suite(DeviceConformance):
        device = "WRONG"

        def make_core(self) -> IECore:
            core = IECore()
            core.register_plugin(f"{__name__}:Wrong", "WRONG")
            return core

    assert issubclass(Wrong, Device)
    suite = Suite()
    with pytest.raises(AssertionError, match="out"):
        suite.test_networks(suite.make_core(), "activation")


def test_quirks_must_name_tests_that_exist(request: pytest.FixtureRequest) -> None:
    class Suite(DeviceConformance):
        device = "CPU"
        skips: ClassVar = {"flying": "it cannot"}

    with pytest.raises(AssertionError, match="flying"):
        DeviceConformance._quirks.__wrapped__(Suite(), request)  # type: ignore[attr-defined]
