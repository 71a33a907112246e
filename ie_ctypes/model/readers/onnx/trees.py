# SPDX-License-Identifier: Apache-2.0
"""TreeEnsemble as matrix products: all conditions of a row at once, then the leaf of each tree whose whole path holds."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor
from ie_ctypes.record import Record, field

_COMPARISONS = ("LessEqual", "Less", "GreaterEqual", "Greater", "Equal", "NotEqual")
_MEMBER = len(_COMPARISONS)
_AVERAGE, _SUM, _MIN, _MAX = range(4)
_NONE, _SOFTMAX, _LOGISTIC = range(3)


class _Tree(Record, eq=False):
    """Interior nodes, and the leaves with their paths: (place in ``nodes``, the side taken)."""

    nodes: list[int] = field(default_factory=list)
    leaves: list[tuple[int, list[tuple[int, bool]]]] = field(default_factory=list)


class _Nodes:
    """The attributes of the interior nodes and of the leaves, with their ids checked."""

    def __init__(self, op: Op):
        self.op = op
        self.modes = np.asarray(op.array("nodes_modes")[0]).ravel()
        self.splits = np.asarray(op.array("nodes_splits")[0], np.float32).ravel()
        self.weights = np.asarray(op.array("leaf_weights")[0], np.float32).ravel()
        self.features = op.ints("nodes_featureids")
        self.targets = op.ints("leaf_targetids")
        self.next = {True: op.ints("nodes_truenodeids"), False: op.ints("nodes_falsenodeids")}
        self.ends = {True: op.ints("nodes_trueleafs"), False: op.ints("nodes_falseleafs")}
        count = len(self.features)
        self.nan = np.array(op.ints("nodes_missing_value_tracks_true", [0] * count), bool)
        lists: tuple[Sized, ...] = (self.modes, self.splits, self.nan, *self.next.values(), *self.ends.values())
        if not count or any(len(v) != count for v in lists) or len(self.targets) != self.weights.size:
            raise op.fail("the attributes of its nodes, or of its leaves, are lists of different lengths")
        if self.modes.max() > _MEMBER:
            raise op.fail(f"nodes_modes has {self.modes.max()}, expected 0..{_MEMBER}")
        self.visited: set[int] = set()

    def tree(self, root: int) -> _Tree:
        tree = _Tree()
        todo: list[tuple[int, bool, list[tuple[int, bool]]]] = [(root, False, [])]
        while todo:
            at, leaf, path = todo.pop()
            limit = len(self.targets) if leaf else len(self.features)
            if not 0 <= at < limit:
                raise self.op.fail(f"{'leaf' if leaf else 'node'} {at} is referred to, expected 0..{limit - 1}")
            if leaf:
                tree.leaves.append((at, path))
                continue
            if at in self.visited:
                raise self.op.fail(f"node {at} is reached twice")
            self.visited.add(at)
            place = len(tree.nodes)
            tree.nodes.append(at)
            single = self.ends[True][at] and self.ends[False][at] and self.next[True][at] == self.next[False][at]
            for side in (True,) if single else (True, False):
                todo.append((self.next[side][at], bool(self.ends[side][at]), path if single else [*path, (place, side)]))
        return tree


def _members(op: Op, count: int) -> np.ndarray:
    """The sets of the nodes that test for membership, [count, most], filled up with NaN."""
    values = np.asarray(op.array("membership_values")[0], np.float32).ravel()
    ends = np.flatnonzero(np.isnan(values))
    if ends.size != count:
        raise op.fail(f"membership_values has {ends.size} sets, expected {count}")
    sets = [part[~np.isnan(part)] for part in np.split(values, ends)[:count]]
    out = np.full((count, max(s.size for s in sets) or 1), np.nan, np.float32)
    for row, members in zip(out, sets, strict=True):
        row[: members.size] = members
    return out


def _conditions(op: Op, x: Tensor, nodes: _Nodes) -> tuple[Tensor, np.ndarray]:
    """The conditions [rows, nodes] as FP32, and the place of each node among them."""
    order = np.argsort(nodes.modes, kind="stable")
    parts = []
    for mode in np.unique(nodes.modes).tolist():
        which = np.flatnonzero(nodes.modes == mode)
        value = op.gather(x, np.array(nodes.features)[which].tolist(), axis=1)
        if mode == _MEMBER:
            equal = op.make("Equal", op.unsqueeze(value, [2]), op.constant(_members(op, which.size), "FP32"))
            truth = op.reduce("ReduceLogicalOr", equal, [2], keep=False)
        else:
            truth = op.make(_COMPARISONS[mode], value, op.constant(nodes.splits[which], "FP32"))
        if nodes.nan[which].any():
            missing = op.make("LogicalAnd", op.make("NotEqual", value, value), op.constant(nodes.nan[which], "BOOL"))
            truth = op.make("LogicalOr", truth, missing)
        parts.append(op.convert(truth, "FP32"))
    return op.concat(parts, 1), np.argsort(order)


@onnx_op("TreeEnsemble", domain="ai.onnx.ml")
def tree_ensemble(op: Op) -> Tensor:
    x, nodes = op.input(0), _Nodes(op)
    aggregate, transform = op.int("aggregate_function", _SUM), op.int("post_transform", 0)
    if aggregate not in (_AVERAGE, _SUM, _MIN, _MAX) or transform not in (_NONE, _SOFTMAX, _LOGISTIC):
        raise op.fail(f"aggregate_function {aggregate} with post_transform {transform} is not supported")
    trees = [nodes.tree(root) for root in op.ints("tree_roots")]
    if not trees:
        raise op.fail("tree_roots is empty")
    targets = op.int("n_targets", max(nodes.targets, default=0) + 1)
    if not all(0 <= t < targets for t in nodes.targets):
        raise op.fail(f"leaf_targetids has {max(nodes.targets)}, expected 0..{targets - 1}")
    conditions, place = _conditions(op, op.convert(x, "FP32"), nodes)

    size, leaves = (max(len(t.nodes) for t in trees), max(len(t.leaves) for t in trees))
    taken = np.zeros((len(trees), size), np.int64)
    paths = np.zeros((len(trees), size, leaves), np.float32)
    held = np.full((len(trees), 1, leaves), -1, np.float32)  # -1: no leaf, which no sum reaches
    weights = np.zeros((len(trees), leaves, targets), np.float32)
    hits = np.zeros_like(weights)
    for i, tree in enumerate(trees):
        taken[i, : len(tree.nodes)] = place[tree.nodes]
        for j, (leaf, path) in enumerate(tree.leaves):
            for at, side in path:
                paths[i, at, j] = 1 if side else -1
            held[i, 0, j] = sum(side for _, side in path)
            weights[i, j, nodes.targets[leaf]] = nodes.weights[leaf]
            hits[i, j, nodes.targets[leaf]] = 1

    def product(a: Tensor, b: np.ndarray) -> Tensor:
        return op.make("MatMul", a, op.constant(b, "FP32"), transpose_a=False, transpose_b=False)

    by_tree = op.transpose(op.gather(conditions, op.constant(taken), axis=1), [1, 0, 2])  # [trees, rows, nodes of a tree]
    reached = op.convert(op.make("Equal", product(by_tree, paths), op.constant(held, "FP32")), "FP32")
    scores = product(reached, weights)
    if aggregate in (_AVERAGE, _SUM):
        y = op.reduce("ReduceSum" if aggregate == _SUM else "ReduceMean", scores, [0], keep=False)
    else:
        none = op.constant(np.finfo(np.float32).max if aggregate == _MIN else np.finfo(np.float32).min, "FP32")
        given = op.select(op.make("Greater", product(reached, hits), 0.0), scores, none)
        y = op.reduce("ReduceMin" if aggregate == _MIN else "ReduceMax", given, [0], keep=False)
    if transform == _SOFTMAX:
        y = op.make("SoftMax", y, axis=1)
    elif transform == _LOGISTIC:
        y = op.make("Sigmoid", y)
    return op.convert(y, x.precision)
