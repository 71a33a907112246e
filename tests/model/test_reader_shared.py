# SPDX-License-Identifier: Apache-2.0
"""Every network of the shared data reads, and what is written reads back equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_nets import DATA, plain

from ie_ctypes.model.readers import read_ir
from ie_ctypes.model.writers import ir_bytes

FOLDERS = ["models/ir_legacy", "models/ir_v10", "corpus/legacy", "corpus/opset"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_shared_networks_read_and_read_back_equal(folder: str) -> None:
    files = sorted(Path(DATA, folder).rglob("*.xml"))
    if not files:
        pytest.skip(f"no networks in {Path(DATA, folder)} (set IE_TEST_DATA to the folder that holds {folder})")
    for file in files:
        graph = read_ir(file)
        assert graph.nodes
        assert len(graph.order()) == len(graph.nodes)
        again = read_ir(*ir_bytes(graph))
        assert plain(again, version=False) == plain(graph, version=False), file
