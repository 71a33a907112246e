# SPDX-License-Identifier: Apache-2.0
"""Nodes whose tensors or attributes do not fit their kind: refused, or computed without touching what is not theirs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cpu_programs import Builder, load, random_inputs
from detection_problems import attrs as detection_attrs
from detection_problems import problem as detection_problem
from nms_scenes import scene

from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.errors import IEError
from ie_ctypes.model.program import AttrValue, Program, ProgramNode, TensorType

FLOAT, INT, LONG, BYTE, BOOL = "float32", "int32", "int64", "uint8", "bool"
WINDOW: dict[str, AttrValue] = {"strides": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1)}
POOL: dict[str, AttrValue] = {**WINDOW, "kernel": (3, 3), "ceil": 0}
CONV: dict[str, AttrValue] = {**WINDOW, "dilations": (1, 1)}
LINE: dict[str, AttrValue] = {"strides": (1,), "pads_begin": (0,), "pads_end": (0,), "dilations": (1,)}
PAIRS: dict[str, AttrValue] = {**POOL, "kernel": (2, 2), "strides": (2, 2), "pads_begin": (0, 0), "pads_end": (0, 0)}
RESIZE: dict[str, AttrValue] = {
    "axes": (2, 3), "sizes": (6, 10), "scales": (2.0, 2.0), "coordinates": "half_pixel", "nearest": "floor",
    "antialias": 0, "cube_coeff": -0.75,
}  # fmt: skip
NMS: dict[str, AttrValue] = {
    "sort": "score", "sort_result_across_batch": 0, "index_dtype": INT, "score_threshold": 0.2, "nms_top_k": 5, "keep_top_k": 6,
    "background_class": 0, "normalized": 1,
}  # fmt: skip
PROPOSAL: dict[str, AttrValue] = {
    "anchors": (0.0, 0.0, 9.0, 9.0, 0.0, 0.0, 20.0, 9.0), "feat_stride": 8, "min_size": 2, "pre_nms_topn": 20, "post_nms_topn": 5,
    "nms_thresh": 0.6,
}  # fmt: skip
SLICES: dict[str, AttrValue] = {
    "input_kind": (1, 2), "input_axis": (0, -1), "input_start": (0, 0), "input_stride": (1, 1), "input_part": (1, 1),
    "carried_from": (-1, 0), "output_from": (0, 0), "output_axis": (-1, 0), "output_start": (0, 0), "output_stride": (1, 1),
    "output_part": (1, 1), "trip_count": 4,
}  # fmt: skip


def body() -> Program:
    b = Builder("body")
    return b.output(b.binary(b.input(1, 3), b.input(1, 3), "add")).program


def branch() -> Program:
    b = Builder("branch")
    return b.output(b.unary(b.input(2, 3), "relu")).program


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(FLOAT)


def zeros(dtype: str, *shape: int) -> np.ndarray:
    return np.zeros(shape, dtype)


def recurrent(cell: str, gates: int, activations: str) -> tuple[str, list[np.ndarray | None], dict[str, AttrValue]]:
    weights = [floats(2, gates * 5, 4), floats(2, gates * 5, 5), floats(2, gates * 5)]
    attrs: dict[str, AttrValue] = {"cell": cell, "direction": "bidirectional", "clip": 0.0, "activations": activations}
    attrs |= {"activations_alpha": (), "activations_beta": (), "linear_before_reset": 0}
    state = floats(3, 2, 5) if cell == "lstm" else None
    return "Recurrent", [floats(3, 6, 4), floats(3, 2, 5), state, zeros(INT, 3), *weights], attrs


#: kind, inputs, attributes of valid nodes
NODES: list[tuple[str, list[np.ndarray | None], dict[str, AttrValue]]] = [
    ("Conv", [floats(1, 4, 5, 6), floats(2, 3, 2, 3, 3), floats(6)], CONV),
    ("Deconv", [floats(1, 4, 5, 6), floats(2, 2, 3, 3, 3), floats(6)], {**CONV, "output_padding": (0, 0)}),
    ("DeformConv", [floats(1, 4, 5, 6), floats(1, 36, 5, 6), floats(2, 3, 2, 3, 3), floats(1, 18, 5, 6), floats(6)],
     {**CONV, "deformable_group": 2, "bilinear_pad": 1}),
    ("MaxPool", [floats(1, 3, 5, 6)], {**POOL, "dilations": (1, 1)}),
    ("MaxPool", [floats(1, 3, 5, 6)], {**POOL, "dilations": (1, 1), "index_axis": 2, "index_dtype": LONG}),
    ("AvgPool", [floats(1, 3, 5, 6)], {**POOL, "divisor": "valid"}),
    ("Conv", [floats(1, 256, 97), floats(1, 256, 256, 1), floats(256)], LINE),
    ("MatMul", [floats(2, 3, 4), floats(4, 5), floats(5)], {"transpose_a": 0, "transpose_b": 0}),
    ("MatMul", [floats(2, 97, 256), floats(256, 256), floats(256)], {"transpose_a": 0, "transpose_b": 0}),
    ("MatMul", [zeros(LONG, 3, 4), zeros(LONG, 4, 5)], {"transpose_a": 0, "transpose_b": 0}),
    ("Binary", [floats(2, 3, 4), floats(3, 1)], {"op": "add"}),
    ("Binary", [zeros(LONG, 2, 3, 4), zeros(LONG, 3, 1)], {"op": "less"}),
    ("Unary", [floats(2, 3, 4)], {"op": "sigmoid", "alpha": 0.0, "beta": 0.0, "gamma": 0.0}),
    ("FakeQuantize", [floats(1, 3, 4), *(floats(1, 3, 1) for _ in range(4))], {"levels": 256}),
    ("Softmax", [floats(2, 3, 4)], {"axis": 1}),
    ("LogSoftmax", [floats(2, 3, 4)], {"axis": 2}),
    ("LRN", [floats(1, 6, 4, 5)], {"axes": (1,), "size": 5, "alpha": 1.0, "beta": 0.75, "bias": 1.0}),
    ("NormalizeL2", [floats(1, 6, 4, 5)], {"axes": (1,), "eps": 1.0, "eps_mode": "add"}),
    ("MVN", [floats(1, 6, 4, 5)], {"axes": (2, 3), "normalize_variance": 1, "eps": 1.0, "eps_mode": "inside"}),
    ("Reduce", [floats(2, 3, 4)], {"op": "sum", "axes": (1,), "keep_dims": 1}),
    ("Reduce", [zeros(BOOL, 2, 3, 4)], {"op": "and", "axes": (0, 2), "keep_dims": 0}),
    ("Concat", [floats(2, 3), floats(2, 4)], {"axis": 1}),
    ("Split", [floats(2, 7)], {"axis": 1, "lengths": (3, 4)}),
    ("Slice", [floats(4, 5)], {"begins": (0, 4), "strides": (2, -2), "lengths": (2, 3)}),
    ("Reshape", [floats(4, 6)], {"shape": (3, 8)}),
    ("Transpose", [floats(2, 3, 4)], {"order": (2, 0, 1)}),
    ("Tile", [floats(2, 3)], {"repeats": (2, 3)}),
    ("Broadcast", [floats(3, 1)], {"shape": (2, 3, 4)}),
    ("Pad", [floats(3, 4)], {"pads_begin": (1, 1), "pads_end": (0, 2), "mode": "reflect", "value": 0.0}),
    ("Gather", [floats(5, 4), zeros(LONG, 3)], {"axis": 0, "batch_dims": 0, "wrap": 1}),
    ("Gather", [floats(3, 5, 4), zeros(INT, 3, 2)], {"axis": 1, "batch_dims": 1, "wrap": 0}),
    ("Select", [zeros(BOOL, 3, 1), floats(3, 4), floats(2, 3, 4)], {}),
    ("Convert", [floats(3, 4)], {"dtype": LONG, "round": "truncate"}),
    ("TopK", [floats(3, 6)], {"axis": 1, "k": 2, "mode": "max", "sort": "value", "index_dtype": INT}),
    ("Interpolate", [floats(1, 2, 3, 5)], {**RESIZE, "mode": "nearest"}),
    ("Interpolate", [floats(1, 2, 3, 5)], {**RESIZE, "mode": "linear"}),
    ("DetectionOutput", list(detection_problem(1, 2, 12, 3)), detection_attrs(3)),
    ("DetectionOutput", [*detection_problem(1, 2, 12, 3), floats(2, 24), floats(2, 48)], detection_attrs(3)),
    ("CTCGreedyDecoder", [floats(6, 2, 4), floats(6, 2)], {"merge_repeated": 1}),
    ("CTCGreedyDecoderSeqLen", [floats(2, 6, 4), zeros(INT, 2), zeros(INT, 1)],
     {"merge_repeated": 1, "index_dtype": LONG, "length_dtype": INT}),
    ("Proposal", [floats(2, 4, 3, 4), floats(2, 8, 3, 4), floats(1, 4)],
     {**PROPOSAL, "tensorflow": 0, "clip_before_nms": 1, "clip_after_nms": 0, "normalize": 0,
      "box_coordinate_scale": 1.0, "box_size_scale": 1.0}),
    ("SimplerNMS", [floats(1, 4, 3, 4), floats(1, 8, 3, 4), floats(1, 3)], PROPOSAL),
    ("GenerateProposals", [floats(2, 4), floats(24, 4), floats(2, 8, 3, 4), floats(2, 2, 3, 4)],
     {"min_size": 0.0, "nms_threshold": 0.5, "pre_nms_count": 9, "post_nms_count": 5, "extra": 1, "nms_extra": 0, "drop_small": 0}),
    ("ROIDetections", [floats(6, 4), floats(6, 12), floats(6, 3), floats(1, 3)],
     {"num_classes": 3, "post_nms_count": 4, "max_detections_per_image": 5, "score_threshold": 0.1, "nms_threshold": 0.5,
      "max_delta_log_wh": 2.0, "deltas_weights": (1.0, 1.0, 1.0, 1.0), "clip": 1}),
    ("ROIPooling", [floats(1, 3, 5, 6), floats(4, 5)], {"pooled_h": 2, "pooled_w": 3, "spatial_scale": 1.0, "method": "max"}),
    ("PSROIPooling", [floats(1, 8, 5, 6), floats(4, 5), floats(4, 2, 2, 2)],
     {"output_dim": 2, "group_size": 2, "spatial_bins_x": 1, "spatial_bins_y": 1, "part_size": 2, "spatial_scale": 1.0, "trans_std": 0.1,
      "mode": "bilinear_deformable", "crossed_steps": 0}),
    ("ROIAlign", [floats(1, 3, 5, 6), floats(4, 4), zeros(INT, 4)],
     {"pooled_h": 2, "pooled_w": 3, "sampling_ratio": 2, "spatial_scale": 1.0, "mode": "avg", "aligned_mode": "half_pixel"}),
    ("ROIAlignRotated", [floats(1, 3, 5, 6), floats(4, 5), zeros(INT, 4)],
     {"pooled_h": 2, "pooled_w": 3, "sampling_ratio": 2, "spatial_scale": 1.0, "clockwise": 1}),
    ("ROIFeatureExtractor", [floats(4, 4), floats(1, 3, 8, 8), floats(1, 3, 4, 4)],
     {"output_size": 2, "sampling_ratio": 2, "aligned": 0, "pyramid_scales": (4, 8)}),
    ("NonMaxSuppression", [*scene(1, 1, 2, 6), zeros(LONG, 1), floats(1), floats(1), floats(1)],
     {"center": 0, "sort": 1, "rows": 6, "equal": 0, "index_dtype": INT}),
    ("MatrixNms", list(scene(1, 2, 2, 6)), {**NMS, "decay_function": "linear", "gaussian_sigma": 2.0, "post_threshold": 0.1}),
    ("MulticlassNms", list(scene(1, 2, 2, 6)), {**NMS, "iou_threshold": 0.6, "nms_eta": 0.8}),
    ("MulticlassNms", [scene(1, 2, 2, 6)[0], floats(2, 6), zeros(INT, 3)], {**NMS, "iou_threshold": 0.6, "nms_eta": 0.8}),
    ("GatherTree", [zeros(INT, 4, 2, 3), zeros(INT, 4, 2, 3), zeros(INT, 2), zeros(INT, 1)], {}),
    ("CTCLoss", [floats(2, 5, 4), zeros(INT, 2), zeros(INT, 2, 5), zeros(INT, 2), zeros(INT, 1)],
     {"preprocess_collapse_repeated": 0, "ctc_merge_repeated": 1, "unique": 0}),
    recurrent("rnn", 1, "tanh"),
    recurrent("gru", 3, "sigmoid,tanh"),
    recurrent("lstm", 4, "sigmoid,tanh,tanh"),
    ("Loop", [floats(4, 3), floats(1, 3)], {**SLICES, "body": body()}),
    ("If", [zeros(BOOL, 1), floats(2, 3)], {"then_body": branch(), "else_body": branch(), "then_inputs": (1,), "else_inputs": (1,)}),
    ("Scatter", [floats(5, 3), zeros(INT, 4), floats(4, 3)], {"reduction": "mean", "use_init": 0}),
    ("CumSum", [floats(3, 4)], {"axis": 1, "exclusive": 0, "reverse": 0}),
    ("NonZero", [floats(3, 4)], {"index_dtype": LONG}),
    ("Unique", [floats(4, 3)], {"sorted": 1, "index_dtype": INT}),
    ("SparseFillEmptyRows", [floats(4, 2), floats(4), floats(2), floats(1)], {"size": 6, "rows": 3}),
    ("DFT", [floats(3, 6, 2)], {"axis": 1, "inverse": 0}),
    ("Inverse", [floats(2, 3, 3)], {}),
    ("AdaptivePool", [floats(1, 3, 5, 6)], {"mode": "max", "sizes": (2, 2), "index_dtype": LONG}),
]  # fmt: skip


def build(number: int, constants: bool = False) -> Program:
    kind, inputs, attrs = NODES[number]
    b = Builder()
    tensors = [-1 if x is None else b.const(x) if constants and i else b.input(*x.shape, dtype=x.dtype.name) for i, x in enumerate(inputs)]
    return b.output(*b.nodes(kind, *tensors, **attrs)).program


def others(given: TensorType) -> Iterator[TensorType]:
    """Other types and shapes."""
    shape = given.shape
    yield from (TensorType(dtype, shape) for dtype in (FLOAT, INT, LONG, BYTE, BOOL, "float64", "float16") if dtype != given.dtype)
    shapes = {(*shape, 1), (1, *shape), shape[1:], shape[:-1], shape[::-1], (given.size,), (1,) * len(shape), ()}
    for axis in range(len(shape)):
        shapes |= {(*shape[:axis], n, *shape[axis + 1 :]) for n in (0, shape[axis] + 1, shape[axis] - 1, 3 * shape[axis], 1 << 40)}
    yield from (TensorType(given.dtype, other) for other in sorted(shapes - {shape}))


def run(program: Program) -> list[np.ndarray] | None:
    """The outputs, each with a border that nobody may write; None: the program was refused."""
    try:
        executable = load(program)
    except IEError:
        return None
    inputs, types = random_inputs(program), [program.tensors[i].type for i in program.outputs]
    wholes = [np.full(t.size + 64, 77, t.dtype) for t in types]
    request = executable.create_request()
    request.infer(inputs, [whole[32:-32].reshape(t.shape) for whole, t in zip(wholes, types, strict=True)])
    request.close()
    executable.close()
    for whole in wholes:
        assert (whole[:32] == np.full(32, 77, whole.dtype)).all()
        assert (whole[-32:] == np.full(32, 77, whole.dtype)).all()
    return [whole[32:-32] for whole in wholes]


def names() -> list[str]:
    return [f"{i}-{kind}" for i, (kind, _, _) in enumerate(NODES)]


@pytest.mark.parametrize("constants", [False, True], ids=["inputs", "constants"])
@pytest.mark.parametrize("number", range(len(NODES)), ids=names())
def test_ports_of_other_types(number: int, constants: bool) -> None:
    program = build(number, constants)
    assert run(program) is not None
    refused = 0
    for tensor in program.tensors:
        given = tensor.type, tensor.data
        for tensor.type in others(given[0]):
            if tensor.data is not None:
                if tensor.type.size > 1 << 20:
                    continue
                tensor.data = np.ones(tensor.type.shape, tensor.type.dtype)
            refused += run(program) is None
        tensor.type, tensor.data = given
    assert refused
    assert run(program) is not None


@pytest.mark.parametrize("number", range(len(NODES)), ids=names())
def test_ports_that_are_not_there(number: int) -> None:
    program = build(number)
    (node,) = program.nodes
    inputs, outputs = node.inputs, node.outputs
    for i in range(len(inputs)):
        node.inputs = (*inputs[:i], -1, *inputs[i + 1 :])
        run(program)
        node.inputs = inputs[:i]
        run(program)
    node.inputs = (*inputs, inputs[0])
    run(program)
    node.inputs = inputs
    for i in range(len(outputs)):
        program.outputs = [*outputs[:i], *outputs[i + 1 :]]
        program.output_names = [f"out{j}" for j in range(len(program.outputs))]
        node.outputs = (*outputs[:i], -1, *outputs[i + 1 :])
        run(program)
        program.outputs, program.output_names = list(outputs[:i]), [f"out{j}" for j in range(i)]
        node.outputs = outputs[:i]
        run(program)


ABSURD = (0, -1, 7, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) + 1, -(1 << 32), (1 << 62) + 1, (1 << 63) - 1, -(1 << 63))


def absurd(value: AttrValue) -> list[AttrValue]:
    """What an attribute is not meant to be."""
    if isinstance(value, float):
        return [0.0, -1.0, 1e-300, 1e300, float("inf"), float("nan")]
    if isinstance(value, int):
        return list(ABSURD)
    if isinstance(value, str):
        return ["", "nothing", "max", "none"]
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        return [(), (*value, 1), value[1:], *((n,) * len(value) for n in ABSURD), *((*value[:-1], n) for n in ABSURD if value)]
    if isinstance(value, tuple):
        return [(), (*value, 1.0), value[1:], *((x,) * len(value) for x in (0.0, -1.0, 1e-300, 1e300, float("nan")))]
    return []


def run_with_absurd_attributes(program: Program, node: ProgramNode) -> None:
    given = dict(node.attrs)
    for name, value in given.items():
        for other in absurd(value):
            node.attrs = {**given, name: other}
            run(program)
        node.attrs = {k: v for k, v in given.items() if k != name}
        run(program)
    node.attrs = given
    assert run(program) is not None


@pytest.mark.parametrize("number", range(len(NODES)), ids=names())
def test_absurd_attributes(number: int) -> None:
    program = build(number)
    (node,) = program.nodes
    run_with_absurd_attributes(program, node)


@pytest.mark.parametrize(
    ("channels", "size", "pool", "primitive"), [(3, (9, 8), POOL, "conv_first_pool"), (16, (24, 24), PAIRS, "winograd4_pool")]
)
def test_a_convolution_and_a_pool_that_run_as_one(channels: int, size: tuple[int, int], pool: dict[str, AttrValue], primitive: str) -> None:
    b = Builder()
    x = b.conv(b.input(1, channels, *size), np.ones((1, 5, channels, 3, 3), np.float32), pad=1)
    program = b.output(b.node("MaxPool", x, **pool, dilations=(1, 1))).program
    assert primitive in str(load(program).exec_graph())
    for node in program.nodes:
        run_with_absurd_attributes(program, node)
        for i in (x, node.outputs[0]):
            tensor = program.tensors[i]
            given = tensor.type
            for tensor.type in others(given):
                run(program)
            tensor.type = given
    assert run(program) is not None


def test_kinds_of_the_engine_itself() -> None:
    for kind in ("Reorder", "Dequantize"):
        b = Builder()
        program = b.output(b.unary(b.input(100), "relu")).program
        program.nodes[0].kind, program.nodes[0].attrs = kind, {}
        program.tensors[1].type = TensorType(FLOAT, (4,))
        assert run(program) is None


@pytest.mark.parametrize("shape", [(1, 16), (8, 2), (16, 1), (2, 2, 4), (0, 0)])
def test_a_product_of_other_rows(shape: tuple[int, ...]) -> None:
    for rows, depth in ((2, 3), (1 << 33, 0)):
        b = Builder()
        program = b.output(b.node("MatMul", b.input(rows, depth), b.input(depth, rows << 2), transpose_a=0, transpose_b=0)).program
        program.tensors[2].type = TensorType(FLOAT, shape)
        assert run(program) is None


@pytest.mark.parametrize("order", [(0, 0), (1, 1)])
@pytest.mark.parametrize("name", ["order_a", "order_b", "order_y"])
def test_orders_of_a_product_that_are_no_permutations(name: str, order: tuple[int, int]) -> None:
    b = Builder()
    program = b.output(b.node("MatMul", b.input(8, 8), b.input(8, 8), transpose_a=0, transpose_b=0)).program
    program.nodes[0].attrs = {**program.nodes[0].attrs, name: order}
    assert run(program) is None


def test_repeats_that_overflow() -> None:
    b = Builder()
    program = b.output(b.node("Tile", b.input(4), repeats=(1,))).program
    program.nodes[0].attrs = {"repeats": ((1 << 62) + 1,)}
    assert run(program) is None


@pytest.mark.parametrize(
    "change", [{"carried_from": (-(1 << 32), 0)}, {"carried_from": (-1, -(1 << 32))}, {"input_kind": (1, (1 << 32) + 1)}]
)
def test_loop_numbers_of_more_than_32_bits(change: dict[str, AttrValue]) -> None:
    b = Builder()
    attrs: dict[str, AttrValue] = {**SLICES, "body": body()}
    program = b.output(*b.nodes("Loop", b.input(4, 3), b.input(1, 3), **attrs)).program
    program.nodes[0].attrs = {**attrs, **change}
    run(program)


def test_an_index_axis_without_indices() -> None:
    b = Builder()
    program = b.output(b.node("MaxPool", b.input(1, 3, 5, 6, dtype=INT), **POOL, dilations=(1, 1))).program
    program.nodes[0].attrs = {**program.nodes[0].attrs, "index_axis": -(1 << 31)}
    assert run(program) is not None


@pytest.mark.parametrize("kind", ["Unary", "Transpose", "Binary"])
def test_a_result_that_is_an_input_too_many(kind: str) -> None:
    """Passes would take the node that reads it for a part of the product."""
    b = Builder()
    small, y = b.input(1, 1), b.node("MatMul", b.input(20, 8), b.const(floats(8, 30)), transpose_a=0, transpose_b=0)
    attrs: dict[str, dict[str, AttrValue]] = {"Unary": {"op": "relu"}, "Transpose": {"order": (0, 1)}, "Binary": {"op": "add"}}
    given = (small, small) if kind == "Binary" else (small,)
    result = b.node(kind, *given, **attrs[kind])
    b.program.nodes[-1].inputs = (*given, y)
    assert run(b.output(result).program) is None


def test_great_dimensions_beside_one_of_0() -> None:
    for dtype, shape in ((BYTE, (1 << 62, 0)), (FLOAT, (1 << 60, 0, 1))):
        b = Builder()
        x = b.input(*shape, dtype=dtype)
        zeros_of = (0,) * len(shape)
        assert run(b.output(b.node("Pad", x, pads_begin=zeros_of, pads_end=zeros_of, mode="edge", value=0.0)).program) is None
    b = Builder()
    resize: dict[str, AttrValue] = {**RESIZE, "mode": "linear", "axes": (1,), "sizes": (1 << 33,), "scales": (1e-9,), "antialias": 1}
    assert run(b.output(b.node("Interpolate", b.input(0, 1 << 31), **resize)).program) is None
    b = Builder()
    results = run(b.output(b.node("Reduce", b.input(1 << 28, 3, 0), op="sum", axes=(0, 2), keep_dims=0)).program)
    assert results is not None
    assert not results[0].any()


def test_a_slice_of_nothing_begins_anywhere() -> None:
    b = Builder()
    program = b.output(b.node("Slice", b.input(4, 5), begins=(0, 0), strides=(1, 1), lengths=(0, 5))).program
    program.nodes[0].attrs = {**program.nodes[0].attrs, "begins": ((1 << 63) - 1, 0), "strides": ((1 << 63) - 1, 1)}
    assert run(program) is not None


def test_sizes_whose_product_overflows_in_a_query() -> None:
    b = Builder()
    program = b.output(b.node("Gather", b.input(4, 1 << 31, dtype=BYTE), b.input(1 << 33, dtype=INT), axis=0, batch_dims=0, wrap=0)).program
    program.tensors[2].type = TensorType(BYTE, (0, 0))
    assert CpuDevice().query(program) == [False]


def test_quantised_images_without_channels() -> None:
    b = Builder()
    x = [b.node("FakeQuantize", b.input(1, 0, 4, 4), *(b.const(np.array(v, FLOAT)) for v in (0, 1, 0, 1)), levels=256) for _ in range(2)]
    assert run(b.output(b.node("Concat", *x, axis=1)).program) is not None


@pytest.mark.parametrize("number", [np.iinfo(np.int64).min, -1, 9, np.iinfo(np.int64).max])
def test_numbers_in_the_data_that_lead_outside(number: int) -> None:
    for kind, inputs, attrs in NODES:
        for i, x in enumerate(inputs):
            if x is None or x.dtype not in (np.int32, np.int64):
                continue
            data = np.clip(np.full(x.shape, number), np.iinfo(x.dtype).min, np.iinfo(x.dtype).max).astype(x.dtype)
            b = Builder()
            tensors = [-1 if v is None else b.const(data if j == i else v) for j, v in enumerate(inputs)]
            assert run(b.output(*b.nodes(kind, *tensors, **attrs)).program) is not None
