# SPDX-License-Identifier: Apache-2.0
"""Recorded networks on the GPU device, alone and together with the CPU. The folder's checker runs the whole list."""

from __future__ import annotations

import importlib.util
import os
import pathlib
from types import ModuleType

import numpy as np
import pytest

import ie_ctypes

DATA = pathlib.Path(os.environ.get("IE_TEST_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared"))
#: small ones that together have nearly all kinds of the list; PoCL computes slowly
MODELS = [
    "ir_legacy/SampLeNet/FP32-v2/SampLeNet.xml",
    "ir_legacy/landmarks-regression-retail-0009/FP16-v6/landmarks-regression-retail-0009.xml",
    "ir_legacy/mxnet_synthetic_gru_bidirectional/FP16-v6/mxnet_synthetic_gru_bidirectional.xml",
    "ir_legacy/squeezenet1.1/FP16-v6/squeezenet1.1.xml",
    "ir_legacy/vehicle-detection-adas-0002/FP16-v3/vehicle-detection-adas-0002.xml",
    "ir_v10/age-gender-recognition-retail-0013/FP16-INT8-v10/age-gender-recognition-retail-0013.xml",
    "ir_v10/head-pose-estimation-adas-0001/FP16-INT8-v11/head-pose-estimation-adas-0001.xml",
    "ir_v10/open-closed-eye-0001/FP32-v11/open-closed-eye-0001.xml",
]


@pytest.fixture(scope="module")
def check_models() -> ModuleType:
    path = DATA / "tools" / "check_models.py"
    if not path.exists():
        pytest.skip(f"no recorded networks: {path} does not exist (IE_TEST_DATA names their folder)")
    spec = importlib.util.spec_from_file_location("check_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_the_recorded_ones(model: str, check_models: ModuleType) -> None:
    assert check_models.run_one("ie_ctypes", "GPU", DATA / "models" / model) is None


@pytest.mark.parametrize("device", ["HETERO:GPU,CPU", "HETERO:CPU,GPU"])
def test_with_the_cpu(device: str, check_models: ModuleType) -> None:
    for model in (MODELS[0], MODELS[4]):
        assert check_models.run_one("ie_ctypes", device, DATA / "models" / model) is None


def test_every_second_layer_on_the_other_device(check_models: ModuleType) -> None:
    path = DATA / "models" / MODELS[1]
    core = ie_ctypes.IECore()
    net = core.read_network(str(path))
    gold = np.load(path.with_suffix(".npz"))
    for i, layer in enumerate(net.layers.values()):
        layer.affinity = ("GPU", "CPU")[i % 2]
    feed = {k: gold["in:" + k].astype(np.float32) for k in net.inputs}
    got = core.load_network(net, "HETERO:GPU,CPU").infer(feed)
    for name, value in got.items():
        assert check_models.compare(value, gold["out:" + name], check_models.tolerance(path)) is None, name
