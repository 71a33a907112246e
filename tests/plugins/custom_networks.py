# SPDX-License-Identifier: Apache-2.0
"""Networks with layers that nobody knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Body, PortMap
from ie_ctypes.model.writers import ir_bytes

Files = tuple[bytes, bytes]
SHAPE = (2, 3)


def chain(
    dialect: str,
    type: str = "MyLayer",
    params: Mapping[str, object] | None = None,
    outputs: Sequence[Sequence[int]] = (SHAPE,),
    blobs: Mapping[str, np.ndarray] | None = None,
) -> Files:
    """data -> ReLU -> mine (of that type) -> ReLU out, for each output of mine; legacy or opset."""
    params = {"factor": 3} if params is None else params
    legacy = dialect == "legacy"
    b = NetworkBuilder.legacy("custom") if legacy else NetworkBuilder.opset("custom")
    data = b.input("data", SHAPE)
    before = b.layer("ReLU", "before", [data], [SHAPE])
    mine = b.layer(type, "mine", [before], outputs, params=params, blobs=blobs, version="extension")
    for i, shape in enumerate(outputs):
        last = b.layer("ReLU", f"out{i}", [(mine, i)], [tuple(shape)])
        if not legacy:
            b.result(last)
    return ir_bytes(b.graph())


def loop() -> Files:
    """IR v10: a TensorIterator over the rows of data whose body is one layer of type MyLayer; output sum joins the rows."""
    body = NetworkBuilder.opset("body")
    row = body.input("row", (1, 3))
    mine = body.layer("MyLayer", "mine", [row], [(1, 3)], params={"factor": 3}, version="extension")
    result = body.result(mine, "result")
    inner = Body(body.graph(), [PortMap(0, row.id, axis=0)], [PortMap(1, result.id, axis=0)])
    b = NetworkBuilder.opset("loop")
    data = b.input("data", (4, 3))
    b.result(b.layer("TensorIterator", "rows", [data], [(4, 3)], bodies={"body": inner}))
    return ir_bytes(b.graph())
