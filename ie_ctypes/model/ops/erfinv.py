# SPDX-License-Identifier: Apache-2.0
"""ErfInv: the inverse of the error function, from elementwise kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

# Coefficients of M. Giles, Approximating the erfinv function, GPU Computing Gems 2 (2011): highest power first, of w - 2.5 where
# w = -log(1 - x^2) is below 5, of sqrt(w) - 3 where it is not.
_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 2.1858087e-04, -1.25372503e-03, -4.17768164e-03, 0.246640727,
    1.50140941,
)  # fmt: skip
_TAIL = (
    -2.00214257e-04, 1.00950558e-04, 1.34934322e-03, -3.67342844e-03, 5.73950773e-03, -7.6224613e-03, 9.43887047e-03, 1.00167406,
    2.83297682,
)  # fmt: skip


def _polynomial(layer: Layer, x: Value, coefficients: Sequence[float]) -> Value:
    y = layer.scalar(coefficients[0])
    for c in coefficients[1:]:
        y = layer.emit("Binary", [layer.emit("Binary", [y, x], op="mul"), layer.scalar(c)], op="add")
    return y


@opset("ErfInv")
def erfinv(layer: Layer) -> None:
    """Single precision; infinite at -1 and 1, NaN beyond."""
    x = layer.float_input(0)
    one = layer.scalar(1.0)
    sides = [layer.emit("Binary", [one, x], op="sub"), layer.emit("Binary", [one, x], op="add")]
    w = layer.emit("Unary", [layer.emit("Unary", [layer.emit("Binary", sides, op="mul")], op="log")], op="neg")
    near = _polynomial(layer, layer.emit("Binary", [w, layer.scalar(2.5)], op="sub"), _CENTRE)
    far = _polynomial(layer, layer.emit("Binary", [layer.emit("Unary", [w], op="sqrt"), layer.scalar(3.0)], op="sub"), _TAIL)
    is_near = layer.emit("Binary", [w, layer.scalar(5.0)], op="less")
    y = layer.emit("Binary", [x, layer.emit("Select", [is_near, near, far])], op="mul")
    edge = layer.emit("Binary", [layer.emit("Unary", [x], op="abs"), one], op="equal")
    infinite = layer.emit("Binary", [x, layer.value(np.float32(np.inf), "infinity")], op="mul")
    layer.set_output(0, layer.emit("Select", [edge, infinite, y]))
