# SPDX-License-Identifier: Apache-2.0
"""Einsum as transposes, matrix products and sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.elementwise import common_type
from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _labels(layer: Layer, term: str, rank: int, ellipsis: int) -> list[str]:
    """One label an axis; those behind ``...`` are numbered from the last one."""
    head, dots, tail = term.partition("...")
    if not dots:
        labels = list(head)
    else:
        count = rank - len(head) - len(tail) if rank >= 0 else ellipsis
        labels = [*head, *(f"{i}" for i in range(count - 1, -1, -1)), *tail]
    if any(not c.isalpha() for c in head + tail) or (rank >= 0 and len(labels) != rank):
        raise layer.fail(f"term {term!r} of the equation does not fit an input of rank {rank}")
    return labels


def _diagonal(layer: Layer, x: Value, labels: list[str]) -> tuple[Value, list[str]]:
    """Axes that share a label become one."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            size = x.shape[first]
            if x.shape[second] != size:
                raise layer.fail(f"label {label} stands for sizes {size} and {x.shape[second]}")
            order = (first, second, *(i for i in range(len(labels)) if i not in (first, second)))
            x = layer.emit("Transpose", [x], order=order)
            x = layer.reshape(x, (size * size, *x.shape[2:]))
            picked = layer.value(np.arange(size, dtype=np.int64) * (size + 1), "diagonal")
            x = layer.emit("Gather", [x, picked], axis=0, batch_dims=0, wrap=0)
            labels = [label, *(labels[i] for i in order[2:])]
    return x, labels


def _sum_out(layer: Layer, x: Value, labels: list[str], needed: set[str]) -> tuple[Value, list[str]]:
    """Axes that nothing else mentions are added up."""
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    if axes:
        x = layer.emit("Reduce", [x], op="sum", axes=axes, keep_dims=0)
    return x, [label for label in labels if label in needed]


def _arranged(layer: Layer, x: Value, labels: list[str], groups: Sequence[Sequence[str]], batch: Sequence[str]) -> Value:
    """``x`` as [batch..., group, group], each group of labels one axis."""
    wanted = [*batch, *(label for g in groups for label in g)]
    if wanted != labels:
        x = layer.emit("Transpose", [x], order=tuple(labels.index(label) for label in wanted))
    shape = list(x.shape)
    sizes, at = shape[: len(batch)], len(batch)
    for g in groups:
        sizes.append(math.prod(shape[at : at + len(g)]))
        at += len(g)
    return layer.reshape(x, tuple(sizes))


def _product(layer: Layer, a: tuple[Value, list[str]], b: tuple[Value, list[str]], needed: set[str]) -> tuple[Value, list[str]]:
    """Both operands over their common labels."""
    (x, left), (y, right) = a, b
    x, left = _sum_out(layer, x, left, needed | set(right))
    y, right = _sum_out(layer, y, right, needed | set(left))
    size = dict(zip(left, x.shape, strict=True))
    for label, n in zip(right, y.shape, strict=True):
        if size.setdefault(label, n) != n and 1 not in (n, size[label]):
            raise layer.fail(f"label {label} stands for sizes {size[label]} and {n}")
        size[label] = max(size[label], n)
    common = [label for label in left if label in right]
    stretched = [n for n in common if x.shape[left.index(n)] != y.shape[right.index(n)]]
    batch = [n for n in common if n in needed or n in stretched]
    inner = [n for n in common if n not in batch]
    own, other = ([n for n in side if n not in common] for side in (left, right))
    first = _arranged(layer, x, left, (own, inner), batch)
    second = _arranged(layer, y, right, (inner, other), batch)
    z = layer.emit("MatMul", [first, second, None], transpose_a=0, transpose_b=0)
    labels = [*batch, *own, *other]
    z = layer.reshape(z, tuple(size[n] for n in labels))
    return _sum_out(layer, z, labels, needed)


@opset("Einsum")
def einsum(layer: Layer) -> None:
    """Operands are multiplied from left to right; the equation is that of numpy."""
    equation = layer.str("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    values = [layer.input(i) for i in range(len(layer.inputs))]
    if len(terms) != len(values):
        raise layer.fail(f"equation {equation!r} has {len(terms)} terms for {len(values)} inputs")
    work = common_type(*values)
    ranks = [len(v.shape) - len(t.replace("...", "")) for t, v in zip(terms, values, strict=True) if "..." in t]
    if not arrow:
        letters = [c for c in left if c.isalpha()]
        right = ("..." if "..." in left else "") + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    out = _labels(layer, right, -1, max(ranks, default=0))
    operands = []
    for term, value in zip(terms, values, strict=True):
        labels = _labels(layer, term, len(value.shape), 0)
        operands.append(_diagonal(layer, layer.convert(value, work), labels))
    missing = set(out) - {label for _, labels in operands for label in labels}
    if missing or len(set(out)) != len(out):
        raise layer.fail(f"equation {equation!r} has an output that its inputs do not give")
    result = operands[0]
    for i, operand in enumerate(operands[1:], 2):
        later = {label for _, labels in operands[i:] for label in labels}
        result = _product(layer, result, operand, set(out) | later)
    y, labels = _sum_out(layer, *result, set(out))
    if labels != out:
        y = layer.emit("Transpose", [y], order=tuple(labels.index(label) for label in out))
    layer.set_output(0, layer.convert(y, values[0].dtype) if len({v.dtype for v in values}) == 1 else y)
