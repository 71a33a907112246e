# SPDX-License-Identifier: Apache-2.0
"""Trained ONNX networks under ``IE_TEST_DATA`` against their recorded outputs, also after a trip through IR files."""

from __future__ import annotations

import importlib.util
import os
import pathlib

import numpy as np
import pytest

import ie_ctypes

DATA = pathlib.Path(os.environ.get("IE_TEST_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared"))
LIST = DATA / "models" / "dev_onnx.txt"
MODELS = [line.strip() for line in LIST.read_text().splitlines() if line.strip() and line[0] != "#"] if LIST.exists() else []

pytestmark = [
    pytest.mark.skipif(
        not MODELS, reason=f"no models/dev_onnx.txt under {DATA}; set IE_TEST_DATA to the folder with the recorded networks"
    ),
    pytest.mark.filterwarnings("ignore:.*has dynamic dimensions"),
]


@pytest.mark.parametrize("device", ["CPU", pytest.param("REFERENCE", marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", MODELS or [""])
def test_outputs_and_names_are_the_recorded_ones(model: str, device: str) -> None:
    spec = importlib.util.spec_from_file_location("check_models", DATA / "tools" / "check_models.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.run_one("ie_ctypes", device, DATA / "models" / model) is None


@pytest.mark.parametrize("model", MODELS or [""])
def test_a_model_written_as_ir_gives_the_same_results(model: str, tmp_path: pathlib.Path) -> None:
    path = DATA / "models" / model
    gold = np.load(path.with_suffix(".npz"))
    core = ie_ctypes.IECore()
    net = core.read_network(str(path))
    feed = {k: gold["in:" + k] for k in net.inputs}
    changed = {k: v.shape for k, v in feed.items() if tuple(net.inputs[k].shape) != v.shape}
    if changed:
        net.reshape(changed)
    net.serialize(str(tmp_path / "copy.xml"), str(tmp_path / "copy.bin"))
    copy = core.read_network(str(tmp_path / "copy.xml"), str(tmp_path / "copy.bin"))
    want, got = (core.load_network(n, "CPU").infer(feed) for n in (net, copy))
    assert set(got) == set(want)
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
