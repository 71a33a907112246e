# SPDX-License-Identifier: Apache-2.0
"""PreProcessInfo and what it does: mean, scale, resizing, colour formats."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ie_ctypes import (
    Blob,
    ColorFormat,
    IECore,
    IENetwork,
    InferRequest,
    MeanVariant,
    PreProcessChannel,
    PreProcessInfo,
    ResizeAlgorithm,
    TensorDesc,
)

from .conftest import identity_network


def image_blob(array: np.ndarray, layout: str = "NCHW") -> Blob:
    """A blob over an array in N, C, H, W order."""
    memory = array if layout == "NCHW" else np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    return Blob(TensorDesc({"uint8": "U8", "float32": "FP32"}[array.dtype.name], array.shape, layout), memory)


def test_defaults() -> None:
    info = PreProcessInfo()
    assert info.color_format == ColorFormat.RAW
    assert info.resize_algorithm == ResizeAlgorithm.NO_RESIZE
    assert info.mean_variant == MeanVariant.NONE
    assert info.get_number_of_channels() == 0
    info.init(2)
    assert isinstance(info[0], PreProcessChannel)
    assert (info[0].mean_value, info[0].std_scale, info[0].mean_data) == (0, 1, None)
    with pytest.raises(IndexError, match="channel 2"):
        _ = info[2]


def test_settings_persist_through_new_lookups(net: IENetwork) -> None:
    net.input_info["data"].preprocess_info.init(5)
    net.input_info["data"].preprocess_info.resize_algorithm = ResizeAlgorithm.RESIZE_BILINEAR
    net.input_info["data"].preprocess_info.color_format = ColorFormat.BGR
    net.input_info["data"].preprocess_info.mean_variant = MeanVariant.MEAN_IMAGE
    info = net.input_info["data"].preprocess_info
    assert (info.get_number_of_channels(), info.resize_algorithm, info.color_format, info.mean_variant) == (5, 1, 2, 0)


def test_mean_images() -> None:
    info = PreProcessInfo()
    info.set_mean_image(Blob(TensorDesc("FP32", [0, 127, 127], "CHW")))
    assert info.mean_variant == MeanVariant.MEAN_IMAGE
    info.init(1)
    info.mean_variant = MeanVariant.NONE
    info.set_mean_image_for_channel(Blob(TensorDesc("FP32", [127, 127], "HW")), 0)
    assert info.mean_variant == MeanVariant.MEAN_IMAGE
    assert info[0].mean_data is not None
    assert info[0].mean_data.tensor_desc.dims == [127, 127]
    with pytest.raises(RuntimeError, match="2 channels, expected 1"):
        info.set_mean_image(Blob(TensorDesc("FP32", [2, 3, 3], "CHW")))


def test_the_information_of_a_request_is_constant(core: IECore, net: IENetwork) -> None:
    net.input_info["data"].preprocess_info.resize_algorithm = ResizeAlgorithm.RESIZE_BILINEAR
    request = core.load_network(net, "REFERENCE").requests[0]
    info = request.preprocess_info["data"]
    assert info.resize_algorithm == ResizeAlgorithm.RESIZE_BILINEAR
    assert info.mean_variant == MeanVariant.NONE
    blob = Blob(TensorDesc("FP32", [0, 3, 3], "CHW"))
    for call, text in (
        (lambda: info.set_mean_image(blob), "Cannot set mean image when called from constant"),
        (lambda: setattr(info, "mean_variant", MeanVariant.NONE), "Cannot set mean image when called from constant"),
        (lambda: info.set_mean_image_for_channel(blob, 0), "Cannot set mean image for channel when called from constant"),
        (lambda: setattr(info, "resize_algorithm", 0), "Cannot set resize algorithm when called from constant"),
        (lambda: setattr(info, "color_format", 0), "Cannot set color format when called from constant"),
        (lambda: info.init(3), "Cannot initialized when created from constant"),
    ):
        with pytest.raises(TypeError, match=text):
            call()


def test_set_blob_with_preprocess_info(core: IECore, net: IENetwork, image: np.ndarray) -> None:
    request = core.load_network(net, "REFERENCE").requests[0]
    info = PreProcessInfo()
    info.mean_variant = MeanVariant.MEAN_IMAGE
    request.set_blob("data", image_blob(image), info)
    assert request.preprocess_info["data"].mean_variant == MeanVariant.MEAN_IMAGE


def copier(
    core: IECore, shape: tuple[int, ...] = (1, 3, 4, 6), precision: str = "FP32", layout: str = "NCHW", **settings: int
) -> InferRequest:
    """A request of a network that copies its input, with the given pre-processing."""
    net = core.read_network(*identity_network(shape))
    net.input_info["data"].precision = precision
    net.input_info["data"].layout = layout
    for name, value in settings.items():
        setattr(net.input_info["data"].preprocess_info, name, value)
    return core.load_network(net, "REFERENCE").requests[0]


@pytest.mark.parametrize("precision", ["FP32", "U8"])
def test_mean_values_and_scale(core: IECore, precision: str) -> None:
    net = core.read_network(*identity_network((2, 3, 4, 6)))
    net.input_info["data"].precision = precision
    info = net.input_info["data"].preprocess_info
    info.init(3)
    for i, (mean, scale) in enumerate(((10, 1), (20, 2), (30, 4))):
        info[i].mean_value, info[i].std_scale = mean, scale
    data = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 6)).astype(np.uint8)
    np.testing.assert_array_equal(core.load_network(net, "REFERENCE").infer({"data": data})["out"], data)
    info.mean_variant = MeanVariant.MEAN_VALUE
    expected = (data - np.array([10, 20, 30.0]).reshape(1, 3, 1, 1)) / np.array([1, 2, 4.0]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(core.load_network(net, "REFERENCE").infer({"data": data})["out"], expected)


def test_mean_image_is_subtracted(core: IECore) -> None:
    net = core.read_network(*identity_network((1, 3, 4, 6)))
    rng = np.random.default_rng(0)
    mean, data = rng.random((3, 4, 6), np.float32), rng.random((1, 3, 4, 6), np.float32)
    info = net.input_info["data"].preprocess_info
    info.init(3)
    info.set_mean_image(Blob(TensorDesc("FP32", [3, 4, 6], "CHW"), mean))
    np.testing.assert_allclose(core.load_network(net, "REFERENCE").infer({"data": data})["out"], data - mean, rtol=1e-6)


def test_mean_that_does_not_fit(core: IECore) -> None:
    net = core.read_network(*identity_network((1, 3, 4, 6)))
    info = net.input_info["data"].preprocess_info
    info.init(2)
    info.mean_variant = MeanVariant.MEAN_VALUE
    with pytest.raises(RuntimeError, match="data: 2 pre-process channels"):
        core.load_network(net, "REFERENCE")
    info.init(3)
    for i in range(3):
        info.set_mean_image_for_channel(Blob(TensorDesc("FP32", [5, 6], "HW")), i)
    with pytest.raises(RuntimeError, match=re.escape("mean image of channel 0 is [5, 6], the input [4, 6]")):
        core.load_network(net, "REFERENCE")
    with pytest.raises(RuntimeError, match="std_scale is 0"):
        info[0].std_scale = 0


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel bilinear sampling, pixel by pixel in float64."""
    n, c, h, w = image.shape
    out = np.empty((n, c, height, width))
    for y in range(height):
        for x in range(width):
            fy, fx = min(max((y + 0.5) * h / height - 0.5, 0), h - 1), min(max((x + 0.5) * w / width - 0.5, 0), w - 1)
            y0, x0 = int(fy), int(fx)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            top = image[:, :, y0, x0] * (1 - fx + x0) + image[:, :, y0, x1] * (fx - x0)
            low = image[:, :, y1, x0] * (1 - fx + x0) + image[:, :, y1, x1] * (fx - x0)
            out[:, :, y, x] = top * (1 - fy + y0) + low * (fy - y0)
    return out


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("size", [(8, 12), (7, 5), (3, 3), (4, 6), (1, 1)])
def test_bilinear_resizing_of_a_blob(core: IECore, size: tuple[int, int], layout: str) -> None:
    request = copier(core, resize_algorithm=ResizeAlgorithm.RESIZE_BILINEAR)
    image = np.random.default_rng(2).random((1, 3, *size), np.float32)
    request.set_blob("data", image_blob(image, layout))
    request.infer()
    np.testing.assert_allclose(request.outputs["out"], bilinear(image, 4, 6), rtol=1e-5, atol=1e-6)
    request.input_blobs["data"].buffer[:] = 1
    request.infer()
    np.testing.assert_allclose(request.outputs["out"], np.ones((1, 3, 4, 6)), rtol=1e-6)


def test_area_resizing_averages(core: IECore) -> None:
    request = copier(core, resize_algorithm=ResizeAlgorithm.RESIZE_AREA)
    image = np.random.default_rng(2).random((1, 3, 8, 18), np.float32)
    request.set_blob("data", image_blob(image))
    request.infer()
    expected = image.reshape(1, 3, 4, 2, 6, 3).mean(axis=(3, 5))
    np.testing.assert_allclose(request.outputs["out"], expected, rtol=1e-5)
    image = np.random.default_rng(2).random((1, 3, 6, 9), np.float32)
    request.set_blob("data", image_blob(image))
    request.infer()
    fine = image.repeat(2, axis=2).repeat(2, axis=3).reshape(1, 3, 4, 3, 6, 3).mean(axis=(3, 5))
    np.testing.assert_allclose(request.outputs["out"], fine, rtol=1e-5)


def test_resized_bytes_are_rounded(core: IECore) -> None:
    request = copier(core, precision="U8", resize_algorithm=ResizeAlgorithm.RESIZE_BILINEAR)
    image = np.random.default_rng(2).integers(0, 256, (1, 3, 9, 7)).astype(np.uint8)
    request.set_blob("data", image_blob(image))
    request.infer()
    assert np.abs(request.outputs["out"] - bilinear(image, 4, 6)).max() <= 0.5001


def test_another_size_needs_a_resize_algorithm(core: IECore) -> None:
    image = image_blob(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(RuntimeError, match="Input blob size is not equal network input size"):
        copier(core).set_blob("data", image)
    info = PreProcessInfo()
    info.resize_algorithm = ResizeAlgorithm.RESIZE_AREA
    copier(core).set_blob("data", image, info)
    request = copier(core, resize_algorithm=ResizeAlgorithm.RESIZE_AREA)
    with pytest.raises(RuntimeError, match="Dimensions mismatch"):
        request.set_blob("data", image_blob(np.zeros((1, 4, 8, 8), np.float32)))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("color", "channels"), [("RGB", [2, 1, 0]), ("BGR", [0, 1, 2]), ("RGBX", [2, 1, 0]), ("BGRX", [0, 1, 2])])
def test_colour_orders_become_bgr(core: IECore, color: str, channels: list[int], layout: str) -> None:
    request = copier(core, layout=layout, color_format=ColorFormat[color])
    count = 4 if color.endswith("X") else 3
    image = np.random.default_rng(2).random((1, count, 4, 6), np.float32)
    expected = image[:, channels]
    request.set_blob("data", image_blob(image, layout))
    for _ in range(2):
        request.infer()
        np.testing.assert_array_equal(request.outputs["out"], expected)
    request = copier(core, color_format=ColorFormat[color])
    assert request.inputs["data"].shape == image.shape
    request.infer({"data": image})
    np.testing.assert_array_equal(request.outputs["out"], expected)


@pytest.mark.parametrize("color", [ColorFormat.NV12, ColorFormat.I420])
def test_yuv_becomes_bgr(core: IECore, color: ColorFormat) -> None:
    bgr = np.array([[[200, 30, 90], [10, 220, 60]], [[128, 128, 128], [0, 0, 255]]], np.float64).repeat(2, axis=0).repeat(2, axis=1)
    b, g, r = bgr[..., 0], bgr[..., 1], bgr[..., 2]
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = (128 - 0.148 * r - 0.291 * g + 0.439 * b)[::2, ::2]
    v = (128 + 0.439 * r - 0.368 * g - 0.071 * b)[::2, ::2]
    chroma = np.stack([u, v], axis=-1).ravel() if color == ColorFormat.NV12 else np.concatenate([u.ravel(), v.ravel()])
    planes = np.rint(np.concatenate([y.ravel(), chroma])).astype(np.uint8).reshape(1, 1, 6, 4)
    request = copier(core, (1, 3, 4, 4), "U8", color_format=color)
    request.set_blob("data", image_blob(planes))
    request.infer()
    assert np.abs(request.outputs["out"][0].transpose(1, 2, 0) - bgr).max() <= 3
    request.infer({"data": planes})
    assert np.abs(request.outputs["out"][0].transpose(1, 2, 0) - bgr).max() <= 3


def test_colour_and_size_together(core: IECore) -> None:
    request = copier(core, (1, 3, 4, 6), "U8", color_format=ColorFormat.NV12, resize_algorithm=ResizeAlgorithm.RESIZE_BILINEAR)
    gray = np.concatenate([np.full((8, 10), 126, np.uint8), np.full((4, 10), 128, np.uint8)]).reshape(1, 1, 12, 10)
    request.set_blob("data", image_blob(gray))
    request.infer()
    np.testing.assert_array_equal(request.outputs["out"], np.full((1, 3, 4, 6), 128))


def test_colour_format_needs_three_channels_and_even_sizes(core: IECore) -> None:
    with pytest.raises(RuntimeError, match="color format RGB needs an input of dims"):
        copier(core, (1, 4, 4, 6), color_format=ColorFormat.RGB)
    with pytest.raises(RuntimeError, match="needs even height and width"):
        copier(core, (1, 3, 5, 6), color_format=ColorFormat.NV12)
