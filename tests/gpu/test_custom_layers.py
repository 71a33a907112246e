# SPDX-License-Identifier: Apache-2.0
"""Layers whose kernels come from the files of CONFIG_FILE: custom/layers.xml is the example."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import IECore, IEError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.opencl_layers import evaluate
from ie_ctypes.model.writers import ir_bytes
from ie_ctypes.plugins import Kernel, kernel
from ie_ctypes.plugins.kernels import forget

FOLDER = Path(__file__).parent / "custom"
FILE = str(FOLDER / "layers.xml")
SHAPE = (2, 3, 4, 5)
DATA = np.random.default_rng(5).standard_normal(SHAPE).astype(np.float32)
Files = tuple[bytes, bytes]


def network(
    dialect: str = "legacy",
    type: str = "Bend",
    shapes: Sequence[Sequence[int]] = (SHAPE,),
    params: Mapping[str, object] | None = None,
    blobs: Mapping[str, np.ndarray] | None = None,
    input: Sequence[int] = SHAPE,
    precision: str = "FP32",
) -> Files:
    """data -> Negative -> mine of that type -> ReLU for each of its outputs, of ``shapes``."""
    make = NetworkBuilder.legacy if dialect == "legacy" else NetworkBuilder.opset
    b = make("custom")
    data = b.input("data", tuple(input))
    negative = {"power": 1, "scale": -1, "shift": 0}
    before = b.layer("Power", "before", [data], [tuple(input)], params=negative) if dialect == "legacy" else data
    mine = b.layer(type, "mine", [before], shapes, params=params or {}, blobs=blobs, version="extension", precision=precision)
    for i, shape in enumerate(shapes):
        last = b.layer("Abs", f"out{i}", [(mine, i)], [tuple(shape)])
        if dialect != "legacy":
            b.result(last)
    return ir_bytes(b.graph())


def bend(x: np.ndarray, slope: float = 0.5, offsets: Sequence[float] = (0,)) -> np.ndarray:
    y = np.where(x < 0, x * slope * slope, x)
    return y + np.resize(np.array(offsets, np.float32), x.shape[1]).reshape(1, -1, 1, 1)


@pytest.mark.parametrize("device", ["GPU", "HETERO:GPU,CPU", "HETERO:CPU,GPU", "MULTI:GPU"])
@pytest.mark.parametrize("dialect", ["legacy", "opset"])
def test_a_layer_of_unknown_type(dialect: str, device: str) -> None:
    core = IECore()
    net = core.read_network(*network(dialect, params={"slope": "0.25f", "offsets": "1.0f,2.0f"}))
    with pytest.raises(IEError, match=r"Unsupported primitive of type: Bend name: mine"):
        core.load_network(net, device)
    exec_net = core.load_network(net, device, {"CONFIG_FILE": FILE})
    x = -DATA if dialect == "legacy" else DATA
    for _ in range(2):
        np.testing.assert_allclose(exec_net.infer({"data": DATA})["out0"], np.abs(bend(x, 0.25, (1, 2))), rtol=1e-6)
    if not device.startswith("MULTI"):
        assert core.query_network(net, device, {"CONFIG_FILE": FILE})["mine"] == "GPU"
        assert "mine" not in core.query_network(net, device)


def test_set_once_for_all_loads_and_cut_by_affinity() -> None:
    core = IECore()
    core.set_config({"CONFIG_FILE": FILE}, "GPU")
    assert core.get_config("GPU", "CONFIG_FILE") == FILE
    net = core.read_network(*network())
    for name, layer in net.layers.items():
        layer.affinity = "GPU" if name == "mine" else "CPU"
    exec_net = core.load_network(net, "HETERO:CPU", {"PERF_COUNT": "YES"})
    np.testing.assert_allclose(exec_net.infer({"data": DATA})["out0"], np.abs(bend(-DATA)), rtol=1e-6)
    counts = exec_net.requests[0].get_perf_counts()
    assert counts["subgraph1: mine"]["exec_type"] == "custom"
    assert counts["subgraph1: mine"]["layer_type"] == "Bend"
    core.set_config({"CONFIG_FILE": ""}, "GPU")
    with pytest.raises(IEError, match="Unsupported primitive of type: Bend"):
        core.load_network(net, "GPU")


@pytest.mark.parametrize("hint", ["f32", "f16"])
def test_formats_blobs_and_several_outputs(hint: str) -> None:
    weights = np.array([1, -2, 3], np.float32)
    core = IECore()
    net = core.read_network(*network(type="Places", shapes=[SHAPE, SHAPE], blobs={"weights": weights}))
    exec_net = core.load_network(net, "GPU", {"CONFIG_FILE": FILE, "INFERENCE_PRECISION_HINT": hint})
    got = exec_net.infer({"data": DATA})
    np.testing.assert_allclose(got["out0"], np.abs(DATA * weights.reshape(1, 3, 1, 1)), rtol=1e-6 if hint == "f32" else 2e-3)
    np.testing.assert_array_equal(got["out1"], np.arange(DATA.size, dtype=np.float32).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2))


def test_tensors_of_fewer_dimensions() -> None:
    core = IECore()
    net = core.read_network(*network(shapes=[(6, 7)], input=(6, 7)))
    x = DATA.ravel()[:42].reshape(6, 7)
    got = core.load_network(net, "GPU", {"CONFIG_FILE": FILE}).infer({"data": x})
    np.testing.assert_allclose(got["out0"], np.abs(bend(-x.reshape(6, 7, 1, 1))).reshape(6, 7), rtol=1e-6)


def test_the_file_replaces_a_built_in_type(tmp_path: Path) -> None:
    path = copy(tmp_path, ('name="Bend"', 'name="ReLU"'))
    core = IECore()
    net = core.read_network(*network(type="ReLU", params={"slope": "0.1f"}))
    got = core.load_network(net, "GPU", {"CONFIG_FILE": path}).infer({"data": DATA})["out0"]
    np.testing.assert_allclose(got, np.abs(bend(-DATA, 0.1)), rtol=1e-6)
    got = core.load_network(net, "GPU").infer({"data": DATA})["out0"]
    np.testing.assert_allclose(got, np.maximum(-DATA, 0), rtol=1e-6)


def test_several_files_and_the_last_of_a_type(tmp_path: Path) -> None:
    path = copy(tmp_path, ('default="0.5f"', 'default="0.2f"'))
    core = IECore()
    net = core.read_network(*network())
    for files, slope in ((f"{FILE} {path}", 0.2), (f" {path}\t{FILE}", 0.5)):
        got = core.load_network(net, "GPU", {"CONFIG_FILE": files}).infer({"data": DATA})["out0"]
        np.testing.assert_allclose(got, np.abs(bend(-DATA, slope)), rtol=1e-6)


def test_a_path_with_blanks(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    path = copy(tmp_path / "a b")
    core = IECore()
    core.load_network(core.read_network(*network()), "GPU", {"CONFIG_FILE": path})


def test_reshape_before_the_load_keeps_the_shapes_of_the_file() -> None:
    core = IECore()
    net = core.read_network(*network())
    net.reshape({"data": SHAPE})
    assert tuple(net.outputs["out0"].shape) == SHAPE
    exec_net = core.load_network(net, "GPU", {"CONFIG_FILE": FILE})
    np.testing.assert_allclose(exec_net.infer({"data": DATA})["out0"], np.abs(bend(-DATA)), rtol=1e-6)
    for config in ({}, {"CONFIG_FILE": FILE}):
        core.set_config(config, "GPU")
        with pytest.raises(IEError, match="layer mine of type Bend: its shape function fails: it has none"):
            net.reshape({"data": (1, 3, 6, 7)})
    assert tuple(net.outputs["out0"].shape) == SHAPE


def test_a_shape_function_in_python() -> None:
    core = IECore()
    core.add_extension(Kernel(type="Bend", function=None, shape=lambda params, x: x.shape), "GPU")
    net = core.read_network(*network())
    net.reshape({"data": (1, 3, 6, 7)})
    x = np.random.default_rng(1).standard_normal((1, 3, 6, 7)).astype(np.float32)
    exec_net = core.load_network(net, "GPU", {"CONFIG_FILE": FILE})
    np.testing.assert_allclose(exec_net.infer({"data": x})["out0"], np.abs(bend(-x)), rtol=1e-6)


def test_beside_a_kernel_in_python_for_the_cpu() -> None:
    made = kernel("Bend", device="CPU")(lambda params, x: bend(x))
    try:
        core = IECore()
        net = core.read_network(*network())
        for device in ("GPU", "CPU", "HETERO:CPU,GPU", "HETERO:GPU,CPU", "MULTI:CPU,GPU"):
            config = {} if device == "CPU" else {"CONFIG_FILE": FILE}
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                exec_net = core.load_network(net, device, config, num_requests=2)
            for request in exec_net.requests:
                request.infer({"data": DATA})
                np.testing.assert_allclose(request.outputs["out0"], np.abs(bend(-DATA)), rtol=1e-6)
            if not device.startswith("MULTI"):
                steps = exec_net.get_exec_graph_info().layers.values()
                kernels = {s.params.get("primitiveType", "") for s in steps}
                assert ("custom" if device in ("GPU", "HETERO:GPU,CPU") else "python_FP32") in kernels
    finally:
        forget(made)


def test_export_and_import(tmp_path: Path) -> None:
    core = IECore()
    exec_net = core.load_network(core.read_network(*network()), "GPU", {"CONFIG_FILE": FILE})
    exec_net.export(str(tmp_path / "net.blob"))
    again = IECore().import_network(str(tmp_path / "net.blob"), "GPU")
    np.testing.assert_allclose(again.infer({"data": DATA})["out0"], np.abs(bend(-DATA)), rtol=1e-6)


def test_programs_come_from_the_cache_and_know_their_text(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for default, files in (("0.5", 1), ("0.5", 1), ("0.2", 2)):
        path = copy(tmp_path, ('default="0.5f"', f'default="{default}f"'))
        core = IECore()
        exec_net = core.load_network(core.read_network(*network()), "GPU", {"CONFIG_FILE": path, "CACHE_DIR": str(folder)})
        np.testing.assert_allclose(exec_net.infer({"data": DATA})["out0"], np.abs(bend(-DATA, float(default))), rtol=1e-6)
        assert len([f for f in folder.iterdir() if b"\ncustom " in f.read_bytes()]) == files


def copy(folder: Path, *changes: tuple[str, str]) -> str:
    """The example's first layer in another folder, changed."""
    shutil.copy(FOLDER / "bend.cl", folder / "bend.cl")
    text = (FOLDER / "layers.xml").read_text().partition('<CustomLayer name="Places"')[0]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "changed.xml").write_text(text)
    return str(folder / "changed.xml")


FAULTS = {
    "kind": ('type="SimpleGPU"', 'type="Other"', "line 3: custom layer Bend: type of <CustomLayer> is 'Other', expected SimpleGPU"),
    "version": ('" version="1"', '"', "line 3: custom layer Bend: version of <CustomLayer> is '', expected 1"),
    "name": ('name="Bend" ', "", "line 3: custom layer : <CustomLayer> has no attribute name"),
    "entry": (' entry="bend"', "", "line 4: custom layer Bend: <Kernel> has no attribute entry"),
    "root": ("CustomLayer", "Layer", "line 3: custom layer Bend: element <Layer>, expected <CustomLayer>"),
    "kernel": ("Kernel", "Core", "line 3: custom layer Bend: <CustomLayer> has 0 elements <Kernel>, expected one"),
    "source": ('"bend.cl"', '"none.cl"', r"line 5: custom layer Bend: filename of <Source>: \S*none.cl cannot be read: No such file"),
    "no source": ("Source", "Text", "line 4: custom layer Bend: <Kernel> has no <Source>"),
    "define": ('type="float"', 'type="text"', "line 6: custom layer Bend: type of <Define> is 'text', expected int or float or"),
    "index": ('arg-index="1"', 'arg-index="0"', "line 12: custom layer Bend: arg-index 0 is bound twice"),
    "number": ('arg-index="1"', 'arg-index="-1"', "line 12: custom layer Bend: arg-index of <Tensor> is '-1', expected a number from 0 on"),
    "gap": ('arg-index="1"', 'arg-index="2"', "line 10: custom layer Bend: <Buffers> has 2 arguments, but none with arg-index 1"),
    "what": ('type="input"', 'type="in"', "line 11: custom layer Bend: type of <Tensor> is 'in', expected input or output"),
    "output": ('type="output"', 'type="input"', "line 10: custom layer Bend: <Buffers> has no <Tensor> of type output"),
    "too many": (
        "</Buffers>",
        "".join(f'<Data name="w" arg-index="{i}"/>' for i in range(2, 18)) + "</Buffers>",
        "line 10: custom layer Bend: <Buffers> has 18 arguments, expected at most 16",
    ),
    "format": ('"BFYX"', '"NCHW"', "line 11: custom layer Bend: format of <Tensor> is 'NCHW', expected BFYX or"),
    "rule": ("B*F", "B*G", r"line 15: custom layer Bend: global of <WorkSizes> has the size 'B\*G': 'G' is no part of a formula"),
    "many": ("X,Y,", "X,Y,1,", "line 15: custom layer Bend: global of <WorkSizes> has 4 sizes, expected at most 3"),
    "dim": ("<WorkSizes", '<WorkSizes dim="weights"', "line 15: custom layer Bend: dim of <WorkSizes> is 'weights', expected output or"),
    "xml": ("</Buffers>", "", r"Error loading xmlfile: \S*changed.xml, mismatched tag at line: 16"),
}


@pytest.mark.without_opencl
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_file_are_named(fault: str, tmp_path: Path) -> None:
    old, new, text = FAULTS[fault]
    path = copy(tmp_path, (old, new))
    core = IECore()
    for action in (
        lambda: core.set_config({"CONFIG_FILE": path}, "GPU"),
        lambda: core.load_network(core.read_network(*network()), "GPU", {"CONFIG_FILE": path}),
    ):
        with pytest.raises(IEError, match=text) as caught:
            action()
        assert path in str(caught.value)
    assert core.get_config("GPU", "CONFIG_FILE") == ""


@pytest.mark.without_opencl
def test_a_missing_file() -> None:
    with pytest.raises(IEError, match=r"/nowhere/a.xml: cannot be read: No such file"):
        IECore().set_config({"CONFIG_FILE": "/nowhere/a.xml /nowhere/b.xml"}, "GPU")


MISFITS = {
    "input": ('type="input" port-index="0"', 'type="input" port-index="1"', "port-index of <Tensor> is 1, the layer has 1 inputs"),
    "output": ('type="output" port-index="0"', 'type="output" port-index="3"', "port-index of <Tensor> is 3, the layer has 1 outputs"),
    "dim": ("<WorkSizes", '<WorkSizes dim="input 4"', "dim of <WorkSizes> is input 4, layer mine has 1 inputs"),
    "data": ('<Tensor arg-index="0"', '<Data name="w" arg-index="0"', "name of <Data> is 'w', the layer has the blobs none"),
    "sizes": ('global="X,', 'global="X-5,', r"is 'X-5,Y,B\*F', for the sizes \[2, 3, 4, 5\] this makes \[0, 4, 6\]"),
    "zero": ('global="X,', 'global="X/(X-5),', "global of <WorkSizes> is .*: division by zero"),
    "local": ("<WorkSizes", '<WorkSizes local="2,1,1"', r"global work sizes \[5, 4, 6\] are no multiples of the local ones, \[2, 1, 1\]"),
    "dims": ("<WorkSizes", '<WorkSizes local="5"', "<WorkSizes> has 3 global and 1 local sizes"),
    "entry": ('entry="bend"', 'entry="other"', "entry of <Kernel> is 'other': its sources have no such kernel"),
    "arguments": (
        "</Buffers>",
        '<Tensor arg-index="2" type="input" port-index="0"/></Buffers>',
        "kernel bend takes 2 arguments, <Buffers> has 3",
    ),
    "build": ("SLOPE", "TILT", "its sources cannot be built with the options '-cl-mad-enable': CL_BUILD_PROGRAM_FAILURE"),
}


@pytest.mark.parametrize("fault", MISFITS)
def test_layers_that_do_not_fit_are_named(fault: str, tmp_path: Path) -> None:
    old, new, text = MISFITS[fault]
    path = copy(tmp_path, (old, new))
    core = IECore()
    with pytest.raises(IEError, match=text) as caught:
        core.load_network(core.read_network(*network()), "GPU", {"CONFIG_FILE": path})
    assert all(name in str(caught.value) for name in (path, "custom layer Bend", "mine"))


def test_more_than_four_dimensions() -> None:
    core = IECore()
    net = core.read_network(*network(shapes=[(1, 2, 3, 4, 5)], input=(1, 2, 3, 4, 5)))
    with pytest.raises(IEError, match=r"input 0 has shape \[1, 2, 3, 4, 5\], a <Tensor> has at most 4 dimensions"):
        core.load_network(net, "GPU", {"CONFIG_FILE": FILE})


def test_an_output_that_no_kernel_writes() -> None:
    core = IECore()
    net = core.read_network(*network(shapes=[SHAPE, SHAPE]))
    with pytest.raises(IEError, match="Unsupported primitive of type: Bend name: mine"):
        core.load_network(net, "GPU", {"CONFIG_FILE": FILE})


@pytest.mark.without_opencl
@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("B*F*Y*X", 210),
        ("X", 7),
        ("x+y*f-b", 7 + 5 * 3 - 2),
        ("(X+3)/4*4", 8),
        (" 64 ", 64),
        ("10%4", 2),
        ("(1-8)/2", -3),
        ("(1-8)%2", -1),
        ("7-2-1", 4),
    ],
)
def test_work_sizes(rule: str, value: int) -> None:
    assert evaluate(rule, (2, 3, 5, 7)) == value


@pytest.mark.without_opencl
@pytest.mark.parametrize("rule", ["", "X Y", "X+", "(X", "X)", "1.5", "X**2", "__import__", "1/0", "-1", "(" * 60 + "1" + ")" * 60])
def test_formulas_that_are_none(rule: str) -> None:
    with pytest.raises(ValueError, match=re.compile(r"\w")):
        evaluate(rule, (2, 3, 5, 7))
