# SPDX-License-Identifier: Apache-2.0
"""The REFERENCE device: evaluation order, faults, counters, configuration."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes.devices.reference import ReferenceDevice, evaluate
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType


def _transposed_concat() -> Program:
    """x [2,3] -> transposed, then concatenated with a constant [3,1]."""
    program = Program("net")
    program.tensors = [
        Tensor("x", TensorType("float32", (2, 3))),
        Tensor("t", TensorType("float32", (3, 2))),
        Tensor("c", TensorType("float32", (3, 1)), np.full((3, 1), 7, np.float32)),
        Tensor("y", TensorType("float32", (3, 3))),
    ]
    program.nodes = [
        ProgramNode("Transpose", "t", "perm", "Permute", (0,), (1,), {"order": (1, 0)}),
        ProgramNode("Concat", "y", "cat", "Concat", (1, 2), (3,), {"axis": 1}),
    ]
    program.inputs, program.input_names = [0], ["x"]
    program.outputs, program.output_names = [3, 1], ["y", "t"]
    return program


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_evaluate_gives_outputs_in_program_order() -> None:
    y, t = evaluate(_transposed_concat(), [X])
    np.testing.assert_array_equal(t, X.T)
    np.testing.assert_array_equal(y, np.concatenate([X.T, np.full((3, 1), 7, np.float32)], axis=1))


def test_evaluate_refuses_other_shape_type_and_count() -> None:
    with pytest.raises(ParameterMismatchError, match=r"input x is float32 \[3, 2\], expected float32 \[2, 3\]"):
        evaluate(_transposed_concat(), [X.T])
    with pytest.raises(ParameterMismatchError, match="input x is int32"):
        evaluate(_transposed_concat(), [X.astype(np.int32)])
    with pytest.raises(ParameterMismatchError, match="2 inputs given, expected 1"):
        evaluate(_transposed_concat(), [X, X])


def test_evaluate_names_the_node_of_a_wrong_shape() -> None:
    program = _transposed_concat()
    program.tensors[1].type = TensorType("float32", (2, 2))
    with pytest.raises(ParameterMismatchError, match=r"node t of kind Transpose computed shape \[3, 2\], expected \[2, 2\]"):
        evaluate(program, [X])


def test_request_writes_in_place_and_counts_each_layer() -> None:
    request = ReferenceDevice().compile(_transposed_concat(), {}).create_request()
    assert request.perf_counts() == []
    y, t = np.zeros((3, 3), np.float32), np.zeros((3, 2), np.float32)
    request.infer([X], [y, t])
    np.testing.assert_array_equal(t, X.T)
    assert y[0, 2] == 7
    rows = request.perf_counts()
    assert [(r.layer, r.layer_type, r.status, r.exec_type, r.order) for r in rows] == [
        ("perm", "Permute", "EXECUTED", "numpy", 0),
        ("cat", "Concat", "EXECUTED", "numpy", 1),
    ]
    assert all(r.real_time >= 0 and r.cpu_time >= 0 for r in rows)


def test_query_and_compile_find_unknown_kinds() -> None:
    program = _transposed_concat()
    program.nodes[1] = ProgramNode("Nope", "y", "cat", "Strange", (1, 2), (3,), {})
    device = ReferenceDevice()
    assert device.query(program) == [True, False]
    with pytest.raises(NotFoundError, match="Unsupported primitive of type: Strange name: cat"):
        device.compile(program, {})


def test_exec_graph_lists_nodes_in_order() -> None:
    graph = ReferenceDevice().compile(_transposed_concat(), {}).exec_graph()
    assert [(g["name"], g["type"], g["execOrder"]) for g in graph] == [("t", "Transpose", "0"), ("y", "Concat", "1")]


def test_configuration_is_checked_and_kept() -> None:
    device = ReferenceDevice()
    assert device.get_config("PERF_COUNT") == "NO"
    device.set_config({"PERF_COUNT": "YES", "DYN_BATCH_LIMIT": "-1"})
    assert device.get_config("PERF_COUNT") == "YES"
    with pytest.raises(RuntimeError, match=r"Wrong value for property key PERF_COUNT\. Expected only YES/NO"):
        device.set_config({"PERF_COUNT": "yes"})
    with pytest.raises(RuntimeError, match=r"\[NOT_FOUND\] Unsupported property NOPE by REFERENCE plugin"):
        device.compile(_transposed_concat(), {"NOPE": "1"})
    with pytest.raises(RuntimeError, match="Wrong value for property key DYN_BATCH_LIMIT"):
        device.set_config({"DYN_BATCH_LIMIT": "many"})
    with pytest.raises(RuntimeError, match="Unsupported config key NOPE"):
        device.get_config("NOPE")


def test_metrics_answer_what_they_list() -> None:
    device = ReferenceDevice()
    names = device.get_metric("SUPPORTED_METRICS")
    assert isinstance(names, list)
    assert "FULL_DEVICE_NAME" in names
    for name in names:
        assert device.get_metric(str(name)) is not None
    assert device.get_metric("AVAILABLE_DEVICES") == []
    with pytest.raises(RuntimeError, match="Unsupported metric key NOPE"):
        device.get_metric("NOPE")
