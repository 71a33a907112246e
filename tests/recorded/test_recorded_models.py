# SPDX-License-Identifier: Apache-2.0
"""Trained networks of both dialects against the outputs that the original runtimes gave."""

from __future__ import annotations

import pathlib
from types import ModuleType

import numpy as np
import pytest

import ie_ctypes


def first_inputs(net: ie_ctypes.IENetwork, gold: np.lib.npyio.NpzFile) -> dict[str, np.ndarray]:
    """The recorded inputs, the network reshaped to them."""
    feed = {k: gold["in:" + k].astype(np.float32) if gold["in:" + k].dtype == np.uint8 else gold["in:" + k] for k in net.inputs}
    changed = {k: v.shape for k, v in feed.items() if tuple(net.inputs[k].shape) != v.shape}
    if changed:
        net.reshape(changed)
    return feed


@pytest.mark.parametrize("device", ["CPU", pytest.param("REFERENCE", marks=pytest.mark.slow)])
def test_outputs_are_the_recorded_ones(model: str, device: str, check_models: ModuleType, data_folder: pathlib.Path) -> None:
    assert check_models.run_one("ie_ctypes", device, data_folder / "models" / model) is None


def test_statistics_on_integers(
    calibrated: str, check_models: ModuleType, data_folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IE_CTYPES_INT8", "YES")
    assert check_models.run_one("ie_ctypes", "CPU", data_folder / "models" / calibrated) is None


def test_serialized_network_gives_identical_results(model: str, data_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = data_folder / "models" / model
    gold = np.load(path.with_suffix(".npz"))
    core = ie_ctypes.IECore()
    net = core.read_network(str(path))
    feed = first_inputs(net, gold)
    net.serialize(str(tmp_path / "copy.xml"), str(tmp_path / "copy.bin"))
    copy = core.read_network(str(tmp_path / "copy.xml"), str(tmp_path / "copy.bin"))
    first_inputs(copy, gold)
    want = core.load_network(net, "CPU").infer(feed)
    got = core.load_network(copy, "CPU").infer(feed)
    assert set(got) == set(want)
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_every_row_of_a_batch_is_the_recorded_answer(model: str, check_models: ModuleType, data_folder: pathlib.Path) -> None:
    path = data_folder / "models" / model
    gold = np.load(path.with_suffix(".npz"))
    core = ie_ctypes.IECore()
    net = core.read_network(str(path))
    feed = first_inputs(net, gold)
    single = core.load_network(net, "CPU").infer(feed)
    double = {k: np.concatenate([v, v], axis=v.shape.index(1)) for k, v in feed.items()}
    if "gru_bidirectional" in model:  # its initial states and Reshape constants are of batch 1
        with pytest.raises(ie_ctypes.IEError, match="layer hybridsequential0_gru0_"):
            net.reshape({k: v.shape for k, v in double.items()})
        assert net.inputs["data"].shape == list(feed["data"].shape)
        return
    net.reshape({k: v.shape for k, v in double.items()})
    both = core.load_network(net, "CPU").infer(double)
    tolerance = check_models.tolerance(path)
    compared = 0
    for name, value in both.items():
        assert list(value.shape) == net.outputs[name].shape, name
        if value.shape[-1] == 7 and value.shape[:2] == (1, 1):
            rows = check_models.detections(value)
            for image in (0, 1):
                mine = rows[rows[:, 0] == image].copy()
                mine[:, 0] = 0
                want = check_models.detections(single[name])
                assert check_models.compare(mine.reshape(1, 1, -1, 7), want.reshape(1, 1, -1, 7), tolerance) is None, (name, image)
                compared += 1
        elif value.shape[0] == 2 * single[name].shape[0]:
            for part in np.split(value, 2):
                assert check_models.compare(part, single[name], tolerance) is None, name
                compared += 1
    assert compared
