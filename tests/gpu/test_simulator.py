# SPDX-License-Identifier: Apache-2.0
"""Kernels whose items work together, in a simulator that sees data races and what lies outside of buffers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
sys.path[:0] = [{here!r}, {cpu!r}]
import numpy as np
from detection_problems import attrs, problem
from gpu_checks import floats, node
from ie_ctypes.devices.gpu import GpuDevice
from nms_scenes import number, scene
device = GpuDevice()
assert device.units()[0]["platform"] == "Oclgrind", device.units()
node(device, "TopK", [floats(3, 6, 4)], axis=1, k=3, mode="min", sort="value", index_dtype="int64")
node(device, "TopK", [floats(2, 70)], axis=1, k=7, mode="max", sort="index", index_dtype="int32")
limits = [None, number(0.4), number(0.1)]
attributes = dict(center=0, sort=1, rows=20, equal=0, index_dtype="int64")
node(device, "NonMaxSuppression", [*scene(1, 2, 2, 9), *limits], const=(3, 4), rtol=1e-4, **attributes)
locations, scores, priors = problem(8, 2, 24, 3)
few = attrs(3, top_k=20, keep_top_k=9, nms_threshold=0.9)
node(device, "DetectionOutput", [locations, np.round(scores, 1), priors], rtol=1e-4, atol=1e-5, **few)
several = problem(1, 2, 12, 5, shared=0, normalized=0)
node(device, "DetectionOutput", several, rtol=1e-4, atol=1e-5, **attrs(5, share_location=0, normalized=0, decrease_label_id=1))
print("done")
"""


@pytest.mark.without_opencl
def test_no_races_and_nothing_outside() -> None:
    program = shutil.which("oclgrind")
    library = Path(program).parents[1] / "lib" / "oclgrind" / "liboclgrind-rt.so" if program else None
    if library is None or not library.exists():
        pytest.skip("oclgrind is not installed")
    here = Path(__file__).parent
    code = CODE.format(here=str(here), cpu=str(here.parent / "cpu"))
    environment = {**os.environ, "IE_CTYPES_OPENCL_LIBRARY": str(library), "IE_CTYPES_OPENCL_LIMITS": "items=16"}
    command = [str(program), "--data-races", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("done")
    assert "race" not in done.stderr + done.stdout
    assert "Invalid" not in done.stderr + done.stdout
