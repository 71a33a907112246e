# SPDX-License-Identifier: Apache-2.0
"""Operators that pick or place elements by index: Gather*, Scatter*, OneHot, TopK, CumSum, NonZero, Compress."""

from __future__ import annotations

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_REDUCTIONS = {"none": "none", "add": "sum", "mul": "prod", "max": "max", "min": "min"}


@onnx_op("Gather")
def gather(op: Op) -> Tensor:
    return op.gather(op.input(0), op.input(1), op.int("axis", 0))


@onnx_op("GatherElements")
def gather_elements(op: Op) -> Tensor:
    return op.make("GatherElements", op.input(0), op.input(1), axis=op.int("axis", 0))


@onnx_op("GatherND")
def gather_nd(op: Op) -> Tensor:
    return op.make("GatherND", op.input(0), op.input(1), batch_dims=op.int("batch_dims", 0))


def _reduction(op: Op) -> str:
    name = op.str("reduction", "none")
    if name not in _REDUCTIONS:
        raise op.fail(f"reduction is {name!r}, expected one of {', '.join(_REDUCTIONS)}")
    return _REDUCTIONS[name]


@onnx_op("Scatter", "ScatterElements")
def scatter_elements(op: Op) -> Tensor:
    x, axis, how = op.input(0), op.constant(op.int("axis", 0)), _reduction(op)
    if how == "none":
        return op.make("ScatterElementsUpdate", x, op.input(1), op.input(2), axis, version="opset3")
    return op.make("ScatterElementsUpdate", x, op.input(1), op.input(2), axis, reduction=how, use_init_val=True)


@onnx_op("ScatterND")
def scatter_nd(op: Op) -> Tensor:
    how = _reduction(op)
    if how == "none":
        return op.make("ScatterNDUpdate", *op.inputs, version="opset3")
    return op.make("ScatterNDUpdate", *op.inputs, reduction=how)


@onnx_op("OneHot")
def one_hot(op: Op) -> Tensor:
    """Negative indices count from the end; those outside give a row without a one."""
    indices, depth = op.convert(op.input(0), "I64"), op.convert(op.reshape(op.input(1), []), "I64")
    off, on = op.split(op.input(2), 0, 2)
    indices = op.select(op.make("Less", indices, 0), op.add(indices, depth), indices)
    values = [op.squeeze(t, [0]) for t in (on, off)]
    return op.make("OneHot", indices, depth, *values, axis=op.int("axis", -1), precision=on.precision)


@onnx_op("TopK")
def top_k(op: Op) -> list[Tensor]:
    x = op.input(0)
    k = op.reshape(op.input(1), []) if op.opset >= 10 else op.constant(op.int("k"))
    mode = "max" if op.int("largest", 1) else "min"
    values, indices = op.make_many("TopK", x, k, axis=op.axis(x, -1), mode=mode, sort="value", index_element_type="i64", outputs=2)
    indices.precision = indices.port.precision = "I64"
    return [values, indices]


@onnx_op("CumSum")
def cum_sum(op: Op) -> Tensor:
    exclusive, reverse = bool(op.int("exclusive", 0)), bool(op.int("reverse", 0))
    return op.make("CumSum", op.input(0), op.reshape(op.input(1), []), exclusive=exclusive, reverse=reverse)


@onnx_op("NonZero")
def non_zero(op: Op) -> Tensor:
    return op.make("NonZero", op.input(0), output_type="i64", precision="I64")


@onnx_op("Unique")
def unique(op: Op) -> list[Tensor]:
    """Different elements, or slices of an axis: values, first places, inverse, counts."""
    axis = [op.constant(op.axis(op.input(0), 0))] if op.has("axis") else []
    return op.make_many(
        "Unique",
        op.input(0),
        *axis,
        sorted=bool(op.int("sorted", 1)),
        index_element_type="i64",
        count_element_type="i64",
        outputs=4,
        precisions=[op.input(0).precision, "I64", "I64", "I64"],
        version="opset10",
    )


@onnx_op("Compress")
def compress(op: Op) -> Tensor:
    """The elements (of the flattened input without ``axis``) whose condition is true."""
    x = op.input(0)
    axis = op.axis(x, 0) if op.has("axis") else 0
    if not op.has("axis"):
        x = op.reshape(x, [-1])
    chosen = op.squeeze(op.make("NonZero", op.input(1), output_type="i64", precision="I64"), [0])
    return op.gather(x, chosen, axis)


@onnx_op("Einsum")
def einsum(op: Op) -> Tensor:
    return op.make("Einsum", *op.inputs, equation=op.str("equation"))


@onnx_op("GridSample")
def grid_sample(op: Op) -> Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(op.str("mode", "bilinear"), op.str("mode", "bilinear"))
    padding = op.str("padding_mode", "zeros")
    return op.make("GridSample", *op.inputs, mode=mode, padding_mode=padding, align_corners=bool(op.int("align_corners", 0)))


@onnx_op("TensorScatter")
def tensor_scatter(op: Op) -> Tensor:
    """A cache whose rows along an axis are overwritten from a given position of each batch on; circular ones wrap around."""
    cache, update, axis = op.input(0), op.input(1), op.axis(op.input(0), -2)
    rank = op.rank(cache)
    where = op.convert(op.input(2), "I64") if op.has_input(2) else op.broadcast(op.constant(0), op.size(cache, 0))
    steps = op.make("Range", op.constant(0), op.squeeze(op.size(update, axis), [0]), op.constant(1), output_type="i64", precision="I64")
    at = op.add(op.unsqueeze(where, list(range(1, rank))), op.reshape(steps, [-1 if i == axis else 1 for i in range(rank)]))
    if op.str("mode", "linear") == "circular":
        at = op.make("FloorMod", at, op.size(cache, axis))
    at = op.broadcast(at, op.shape_of(update))
    return op.make("ScatterElementsUpdate", cache, at, update, op.constant(axis), version="opset3")


@onnx_op("NonMaxSuppression")
def non_max_suppression(op: Op) -> Tensor:
    boxes, scores = op.input(0), op.input(1)
    limit = op.reshape(op.input(2), []) if op.has_input(2) else op.constant(0)
    thresholds = [op.reshape(op.input(i), []) if op.has_input(i) else op.constant(0.0, "FP32") for i in (3, 4)]
    # ONNX keeps a box of exactly that overlap, the layer does not: the threshold moves up by the last bit
    thresholds[0] = op.make("Multiply", op.convert(thresholds[0], "FP32"), 1 + 2.0**-23)
    encoding = "center" if op.int("center_point_box", 0) else "corner"
    return op.make_many(
        "NonMaxSuppression",
        boxes,
        scores,
        limit,
        *thresholds,
        box_encoding=encoding,
        sort_result_descending=False,
        output_type="i64",
        outputs=3,
        version="opset5",
    )[0]


@onnx_op("CumProd")
def cum_prod(op: Op) -> Tensor:
    """Each element is the product over all that count for it: the others are replaced by ones."""
    x = op.input(0)
    rank = op.rank(x)
    axis = op.wrap(op.const_ints(1)[0], rank)
    exclusive, reverse = op.int("exclusive", 0), op.int("reverse", 0)
    order = [i for i in range(rank) if i != axis] + [axis]
    count = op.squeeze(op.size(x, axis), [0])
    line = op.make("Range", op.constant(0), count, op.constant(1), output_type="i64", precision="I64")
    own, other = op.unsqueeze(line, [1]), op.unsqueeze(line, [0])
    counted = op.make(("Greater" if reverse else "Less") + ("" if exclusive else "Equal"), other, own)
    factors = op.select(counted, op.unsqueeze(op.transpose(x, order), [-2]), 1)
    y = op.reduce("ReduceProd", factors, [-1], keep=False)
    return op.transpose(y, [order.index(i) for i in range(rank)])


@onnx_op("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(op: Op) -> Tensor:
    """Columns of the last axis; a single row stays one."""
    x = op.input(0)
    if op.rank(x) == 1:
        x = op.unsqueeze(x, [0])
    return op.gather(x, op.reshape(op.input(1), [-1]), -1)


@onnx_op("RoiAlign")
def roi_align(op: Op) -> Tensor:
    """Before operator set 16 regions are not shifted by half a pixel."""
    default = "half_pixel" if op.opset >= 16 else "output_half_pixel"
    mode = {"half_pixel": "half_pixel_for_nn", "output_half_pixel": "asymmetric"}.get(op.str("coordinate_transformation_mode", default))
    if mode is None:
        raise op.fail(f"coordinate_transformation_mode {op.str('coordinate_transformation_mode')!r} is unknown")
    return op.make(
        "ROIAlign",
        op.input(0),
        op.input(1),
        op.convert(op.input(2), "I32"),
        pooled_h=op.int("output_height", 1),
        pooled_w=op.int("output_width", 1),
        sampling_ratio=op.int("sampling_ratio", 0),
        spatial_scale=op.float("spatial_scale", 1.0),
        mode=op.str("mode", "avg"),
        aligned_mode=mode,
    )
