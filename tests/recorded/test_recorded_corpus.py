# SPDX-License-Identifier: Apache-2.0
"""One-layer networks against the outputs that the original runtimes gave."""

from __future__ import annotations

import pathlib
from types import ModuleType

import pytest

import ie_ctypes


@pytest.fixture(scope="module")
def core() -> ie_ctypes.IECore:
    return ie_ctypes.IECore()


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_outputs_are_the_recorded_ones(
    case: str, device: str, core: ie_ctypes.IECore, check_corpus: ModuleType, data_folder: pathlib.Path
) -> None:
    xml = str(data_folder / "corpus" / case)
    _, data, meta = check_corpus.load_case(xml)
    feed = {k[3:]: v for k, v in data.items() if k.startswith("in:")}
    golden = {k[4:]: v for k, v in data.items() if k.startswith("out:")}
    mask = {k[5:]: v for k, v in data.items() if k.startswith("mask:")}
    assert golden
    got = check_corpus.infer_case(ie_ctypes, core, xml, feed, meta.get("opts") or {}, device)
    ok, _, _, text = check_corpus.compare(golden, mask, got, meta.get("rtol", 1e-4), meta.get("atol", 1e-5))
    assert ok, text
