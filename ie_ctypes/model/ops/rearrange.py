# SPDX-License-Identifier: Apache-2.0
"""Layers made of reshapes and transposes: space to depth or batch and back, ShuffleChannels, ReorgYolo, ReverseSequence, OneHot, Roll."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import legacy, opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value
    from ie_ctypes.model.program import Shape


def _via(layer: Layer, x: Value, split: Shape, order: tuple[int, ...], merged: Shape) -> Value:
    """Reshape to ``split``, transpose, reshape to ``merged``."""
    x = layer.emit("Reshape", [x], shape=split)
    return layer.emit("Reshape", [layer.emit("Transpose", [x], order=order)], shape=merged)


def _block(layer: Layer) -> tuple[int, bool]:
    block, mode = layer.int("block_size", 1), layer.str("mode", "blocks_first").lower()
    if block < 1:
        raise layer.fail(f"block_size is {block}, expected >= 1")
    if mode not in ("blocks_first", "depth_first"):
        raise layer.fail(f"attribute 'mode' is {mode!r}, expected blocks_first or depth_first")
    if len(layer.input(0).shape) < 3:
        raise layer.fail(f"the input has {len(layer.input(0).shape)} axes, expected at least 3")
    return block, mode == "depth_first"


@legacy("DepthToSpace")
def legacy_depth_to_space(layer: Layer) -> None:
    """The original's order, which is not the one of the operation sets when several channels are left; with ``mode``, theirs."""
    x = layer.input(0)
    block, _ = _block(layer)
    n, channels, *spatial = x.shape
    if layer.has("mode") or len(spatial) != 2 or channels % block**2:
        depth_to_space(layer)
        return
    h, w = spatial
    merged = (n, channels // block**2, h * block, w * block)
    layer.set_output(0, _via(layer, x, (n, channels // block, block, h, w), (0, 3, 1, 4, 2), merged))


@legacy("SpaceToDepth")
def legacy_space_to_depth(layer: Layer) -> None:
    """The inverse of :func:`legacy_depth_to_space`, the original's order too."""
    x = layer.input(0)
    block, _ = _block(layer)
    n, channels, *spatial = x.shape
    if layer.has("mode") or len(spatial) != 2 or any(d % block for d in spatial):
        space_to_depth(layer)
        return
    h, w = (d // block for d in spatial)
    merged = (n, channels * block**2, h, w)
    layer.set_output(0, _via(layer, x, (n, h, channels * block, w, block), (0, 2, 4, 1, 3), merged))


@opset("DepthToSpace")
def depth_to_space(layer: Layer) -> None:
    """[N, b.., C/b^k, D..] (blocks_first) or [N, C/b^k, b.., D..] (depth_first) to [N, C/b^k, D*b..]."""
    x = layer.input(0)
    block, depth_first = _block(layer)
    n, channels, *spatial = x.shape
    k = len(spatial)
    if channels % block**k:
        raise layer.fail(f"{channels} channels are not a multiple of {block**k}")
    depth = channels // block**k
    blocks = (block,) * k
    split = (n, depth, *blocks, *spatial) if depth_first else (n, *blocks, depth, *spatial)
    depth_axis, first_block = (1, 2) if depth_first else (1 + k, 1)
    pairs = [axis for i in range(k) for axis in (2 + k + i, first_block + i)]
    merged = (n, depth, *(d * block for d in spatial))
    layer.set_output(0, _via(layer, x, split, (0, depth_axis, *pairs), merged))


@opset("SpaceToDepth")
def space_to_depth(layer: Layer) -> None:
    """The inverse of DepthToSpace."""
    x = layer.input(0)
    block, depth_first = _block(layer)
    n, channels, *spatial = x.shape
    k = len(spatial)
    if any(d % block for d in spatial):
        raise layer.fail(f"spatial size {spatial} is not a multiple of {block}")
    split = (n, channels, *(v for d in spatial for v in (d // block, block)))
    outer, inner = tuple(range(2, 2 + 2 * k, 2)), tuple(range(3, 3 + 2 * k, 2))
    order = (0, 1, *inner, *outer) if depth_first else (0, *inner, 1, *outer)
    merged = (n, channels * block**k, *(d // block for d in spatial))
    layer.set_output(0, _via(layer, x, split, order, merged))


def _block_inputs(layer: Layer) -> tuple[list[int], list[int], list[int]]:
    """Block sizes and what is added or cut at the begin and end of each axis; the batch has block 1."""
    blocks, begins, ends = (layer.const_ints(i) for i in (1, 2, 3))
    rank = len(layer.input(0).shape)
    if not len(blocks) == len(begins) == len(ends) == rank or min(blocks) < 1 or blocks[0] != 1 or min(begins + ends) < 0:
        raise layer.fail(f"block sizes {blocks}, begins {begins} and ends {ends} do not fit an input of {rank} axes")
    return blocks, begins, ends


@legacy("SpaceToBatch")
@opset("SpaceToBatch")
def space_to_batch(layer: Layer) -> None:
    """Positions inside a block become batches, the position on the last axis changing fastest, above the old batch."""
    blocks, begins, ends = _block_inputs(layer)
    x = layer.emit("Pad", [layer.input(0)], pads_begin=tuple(begins), pads_end=tuple(ends), mode="constant", value=0.0)
    if any(d % b for d, b in zip(x.shape, blocks, strict=True)):
        raise layer.fail(f"padded shape {list(x.shape)} is not a multiple of the block sizes {blocks}")
    for axis in reversed(range(1, len(blocks))):  # one by one: all at once would take more axes than a tensor may have
        block = blocks[axis]
        if block > 1:
            n, between, size, after = x.shape[0], x.shape[1:axis], x.shape[axis] // block, x.shape[axis + 1 :]
            split = (n, math.prod(between), size, block, math.prod(after))
            x = _via(layer, x, split, (3, 0, 1, 2, 4), (n * block, *between, size, *after))
    layer.set_output(0, x)


@legacy("BatchToSpace")
@opset("BatchToSpace")
def batch_to_space(layer: Layer) -> None:
    """The inverse of SpaceToBatch, then the borders are cut."""
    blocks, begins, ends = _block_inputs(layer)
    x = layer.input(0)
    if x.shape[0] % math.prod(blocks):
        raise layer.fail(f"batch {x.shape[0]} is not a multiple of {math.prod(blocks)}")
    for axis, block in enumerate(blocks):
        if block > 1:
            n, between, size, after = x.shape[0] // block, x.shape[1:axis], x.shape[axis], x.shape[axis + 1 :]
            split = (block, n, math.prod(between), size, math.prod(after))
            x = _via(layer, x, split, (1, 2, 3, 0, 4), (n, *between, size * block, *after))
    cut = {"pads_begin": tuple(-b for b in begins), "pads_end": tuple(-e for e in ends)}
    layer.set_output(0, layer.emit("Pad", [x], **cut, mode="constant", value=0.0))


@opset("Roll")
def roll(layer: Layer) -> None:
    """Elements move by ``shift`` along each axis, those that leave come in at the other end."""
    x, shifts, axes = layer.input(0), layer.const_ints(1), layer.const_ints(2)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    if len(shifts) != len(axes):
        raise layer.fail(f"there are {len(shifts)} shifts for {len(axes)} axes")
    for shift, listed in zip(shifts, axes, strict=True):
        axis = layer.axis(listed, len(x.shape))
        moved = shift % max(x.shape[axis], 1)
        if moved:
            front, back = layer.emit_many("Split", [x], axis=axis, lengths=(x.shape[axis] - moved, moved))
            x = layer.emit("Concat", [back, front], axis=axis)
    layer.set_output(0, layer.emit("Reshape", [x], shape=x.shape))


@legacy("ShuffleChannels")
@opset("ShuffleChannels")
def shuffle_channels(layer: Layer) -> None:
    x = layer.input(0)
    axis, group = layer.axis(layer.int("axis", 1), len(x.shape)), layer.int("group", 1)
    if group < 1 or x.shape[axis] % group:
        raise layer.fail(f"group is {group}, axis {axis} has size {x.shape[axis]}")
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    layer.set_output(0, _via(layer, x, (before, group, x.shape[axis] // group, after), (0, 2, 1, 3), x.shape))


@legacy("ReorgYolo")
@opset("ReorgYolo")
def reorg_yolo(layer: Layer) -> None:
    """Darknet's order: the input is read as [C/s^2, H, s, W, s] whatever its real shape is."""
    x, s = layer.input(0), layer.int("stride")
    if len(x.shape) != 4 or s < 1 or x.shape[1] % (s * s) or x.shape[2] % s or x.shape[3] % s:
        raise layer.fail(f"shape {list(x.shape)} cannot be reorganised with stride {s}")
    n, c, h, w = x.shape
    split = (n, c // (s * s), h, s, w, s)
    layer.set_output(0, _via(layer, x, split, (0, 3, 5, 1, 2, 4), (n, c * s * s, h // s, w // s)))


@legacy("ReverseSequence")
@opset("ReverseSequence")
def reverse_sequence(layer: Layer) -> None:
    """Gathers position ``length - 1 - t`` for ``t < length``, ``t`` elsewhere, of each batch row."""
    x = layer.input(0)
    rank = len(x.shape)
    seq = layer.axis(layer.int("seq_axis", 1), rank, "seq_axis")
    batch = layer.axis(layer.int("batch_axis", 0), rank, "batch_axis")
    if seq == batch:
        raise layer.fail(f"seq_axis and batch_axis are both {seq}")
    steps, rows = x.shape[seq], x.shape[batch]
    lengths = layer.convert(layer.input(1), "int32")
    if lengths.type.size != rows:
        raise layer.fail(f"there are {lengths.type.size} lengths, expected {rows}")
    if lengths.is_const and lengths.data.max(initial=0) > steps:
        raise layer.fail(f"a length is {lengths.data.max()}, axis {seq} has size {steps}")
    lengths = layer.emit("Reshape", [lengths], shape=(rows, 1))
    time = layer.value(np.arange(steps, dtype=np.int32).reshape(1, steps), "time")
    mirrored = layer.value(np.arange(1, steps + 1, dtype=np.int32).reshape(1, steps), "mirrored")
    inside = layer.emit("Binary", [time, lengths], op="less")
    indices = layer.emit("Select", [inside, layer.emit("Binary", [lengths, mirrored], op="sub"), time])
    order = (batch, seq, *(i for i in range(rank) if i not in (batch, seq)))
    moved = layer.emit("Transpose", [x], order=order)
    gathered = layer.emit("Gather", [moved, indices], axis=1, batch_dims=1, wrap=0)
    layer.set_output(0, layer.emit("Transpose", [gathered], order=tuple(order.index(i) for i in range(rank))))


def _one_hot(layer: Layer, depth: int, on: Value, off: Value) -> None:
    indices = layer.input(0)
    if indices.dtype not in ("int32", "int64"):
        indices = layer.convert(indices, "int32")
    if depth < 0:
        raise layer.fail(f"depth is {depth}, expected >= 0")
    rank = len(indices.shape) + 1
    axis = layer.axis(layer.int("axis", -1), rank)
    classes = np.arange(depth, dtype=indices.dtype).reshape((depth, *(1,) * (rank - 1 - axis)))
    column = layer.emit("Reshape", [indices], shape=(*indices.shape[:axis], 1, *indices.shape[axis:]))
    hit = layer.emit("Binary", [column, layer.value(classes, "classes")], op="equal")
    layer.set_output(0, layer.emit("Select", [hit, on, off]))


@legacy("OneHot")
def legacy_one_hot(layer: Layer) -> None:
    on, off = (layer.value(np.float32(layer.float(n, d)), n) for n, d in (("on_value", 1.0), ("off_value", 0.0)))
    _one_hot(layer, layer.int("depth"), on, off)


@opset("OneHot")
def opset_one_hot(layer: Layer) -> None:
    depth = layer.const_ints(1)
    if len(depth) != 1:
        raise layer.fail(f"depth has {len(depth)} elements, expected 1")
    on, off = (layer.emit("Reshape", [layer.input(i)], shape=()) for i in (2, 3))
    _one_hot(layer, depth[0], on, off)
