# SPDX-License-Identifier: Apache-2.0
"""IR v10 written here is read by an original runtime and gives the outputs of the original file."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_nets import DATA, opset_loop, opset_net

from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers import read_ir
from ie_ctypes.model.writers import write_ir

#: Run by the interpreter that has openvino: one "original rewritten" pair of paths a line.
COMPARE = """
import sys
import numpy as np
from openvino.runtime import Core

core = Core()
for line in sys.stdin:
    original, rewritten = line.rstrip("\\n").split("\\t")
    models = [core.read_model(p) for p in (original, rewritten)]
    compiled = [core.compile_model(m, "CPU") for m in models]
    rng = np.random.default_rng(7)
    arrays = [rng.random([d.get_length() if d.is_static else 2 for d in i.partial_shape]) for i in compiled[0].inputs]
    results = []
    for c in compiled:
        given = [(a * 2 if d.kind in "iub" else a).astype(d) for a, d in ((a, i.element_type.to_dtype()) for a, i in zip(arrays, c.inputs))]
        results.append(list(c(given).values()))
    assert len(results[0]) == len(results[1]) > 0
    for a, b in zip(*results):
        np.testing.assert_array_equal(b.astype(a.dtype), a)
    for a, b in zip(*([i.get_names() for i in m.inputs + m.outputs] for m in models)):
        assert a <= b, (a, b)
    print("same", len(results[0]))
"""

CASES = [
    *(
        f"corpus/opset/{n}.xml"
        for n in ("TensorIterator/rev", "Loop/cond", "Loop/iter_concat", "If/true", "If/true__v11", "Convert/f32_i32")
    ),
    *(f"corpus/opset/{n}.xml" for n in ("FakeQuantize/l256", "Gather/i64", "Split/neg", "TopK/v3_i32", "Relu/i32", "PriorBox/v8_step")),
    *(f"corpus/opset/LSTMSequence/{n}.xml" for n in ("forward__v11", "bidirectional")),
    "models/ir_v10/pupils_segmentation/FP32-v11/pupils_segmentation.xml",
    "models/ir_v10/head-pose-estimation-adas-0001/FP16-INT8-v11/head-pose-estimation-adas-0001.xml",
    "models/ir_v10/mobilenet_v2_int8/FP32-INT8-v11/mobilenet_v2_int8.xml",
    "models/ir_v10/license-plate-recognition-barrier-0007/FP16-v10/license-plate-recognition-barrier-0007.xml",
    "models/ir_v10/vehicle-attributes-recognition-barrier-0039/FP16-v10/vehicle-attributes-recognition-barrier-0039.xml",
]


@pytest.fixture(scope="module")
def interpreter() -> str:
    given = os.environ.get("IE_CTYPES_OPENVINO_PYTHON")
    if given:
        return given
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed, and IE_CTYPES_OPENVINO_PYTHON does not name an interpreter that has it")
    return sys.executable


def compare(interpreter: str, pairs: list[tuple[Path, Path]]) -> int:
    """Number of pairs whose outputs are equal; a difference fails."""
    text = "".join(f"{a}\t{b}\n" for a, b in pairs)
    done = subprocess.run([interpreter, "-c", COMPARE], input=text, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.count("same ")


@pytest.mark.oracle
def test_rewritten_networks_give_the_same_outputs(interpreter: str, tmp_path: Path) -> None:
    files = [Path(DATA, c) for c in CASES]
    if not Path(DATA, "corpus").exists():
        pytest.skip(f"no networks in {DATA} (set IE_TEST_DATA to the folder that holds corpus and models)")
    pairs = [(f, tmp_path / f"{i}.xml") for i, f in enumerate(files)]
    for original, rewritten in pairs:
        write_ir(read_ir(original), rewritten)
    assert compare(interpreter, pairs) == len(pairs)


@pytest.mark.oracle
@pytest.mark.parametrize("make", [opset_net, opset_loop])
def test_networks_of_the_builder_are_understood(interpreter: str, make: Callable[[], Graph], tmp_path: Path) -> None:
    write_ir(make(), tmp_path / "a.xml")
    write_ir(read_ir(tmp_path / "a.xml"), tmp_path / "b.xml")
    assert compare(interpreter, [(tmp_path / "a.xml", tmp_path / "b.xml")]) == 1
