# SPDX-License-Identifier: Apache-2.0
"""Small programs for the test driver."""

from __future__ import annotations

import numpy as np

from ie_ctypes import runtime
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType


def doubling_program(size: int = 4) -> Program:
    """One node over one float tensor; what it computes is up to the driver."""
    kind = TensorType("float32", (1, size))
    return Program(
        name="net",
        tensors=[Tensor("x", kind), Tensor("y", kind)],
        nodes=[ProgramNode("Unary", "n", "layer", "ReLU", (0,), (1,), {"op": "relu", "alpha": 0.0})],
        inputs=[0],
        input_names=["x"],
        outputs=[1],
        output_names=["y"],
    )


class Bound:
    """A request with its arrays."""

    def __init__(self, executable: runtime.Executable, value: float = 0.0) -> None:
        self.request = executable.create_request()
        self.x = np.full((1, 4), value, np.float32)
        self.y = np.zeros((1, 4), np.float32)
        self.request.bind([self.x], [self.y])


def compiled(device: runtime.Device, **config: str) -> runtime.Executable:
    """The doubling program on a device."""
    with runtime.Graph(doubling_program()) as graph:
        return device.compile(graph, config)
