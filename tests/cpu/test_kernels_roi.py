# SPDX-License-Identifier: Apache-2.0
"""CPU kernels ROIPooling, PSROIPooling, ROIAlign, ROIAlignRotated and ROIFeatureExtractor."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, node

BOXES = [[0, 0, 20, 20], [4, 4, 30, 12], [10, 10, 10, 10], [-20, -20, 60, 60], [30, 5, 4, 2], [100, 100, 120, 130], [2.5, 3.5, 17.5, 20.5]]


def regions(rng: np.random.Generator, images: int, scale: float = 1.0) -> np.ndarray:
    """Regions inside, outside, larger than the map, turned around and empty, of images in turn."""
    rois = np.array([[i % images, *box] for i, box in enumerate(BOXES)], np.float32)
    rois[:, 1:] *= scale
    return rois


@pytest.mark.parametrize("method", ["max", "bilinear"])
@pytest.mark.parametrize("bins", [(3, 3), (1, 1), (6, 2)])
def test_roi_pooling(isa: str, method: str, bins: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    rois = regions(rng, 2, 1.0 if method == "max" else 0.025)
    attrs = {"pooled_h": bins[0], "pooled_w": bins[1], "spatial_scale": 0.5, "method": method}
    node("ROIPooling", [floats(rng, 2, 5, 9, 11), rois], **attrs)


def test_image_minus_one_ends_the_list_and_unknown_images_are_empty(isa: str) -> None:
    rng = np.random.default_rng(2)
    rois = regions(rng, 2)
    rois[1, 0], rois[4, 0] = 7, -1
    (out,) = node("ROIPooling", [floats(rng, 2, 3, 9, 11), rois], pooled_h=2, pooled_w=2, spatial_scale=0.5, method="max")
    assert not out[1].any()
    assert not out[4:].any()
    assert out[0].any()
    assert out[3].any()


def test_regions_that_are_no_numbers_do_no_harm(isa: str) -> None:
    rng = np.random.default_rng(3)
    rois = np.array([[0, np.nan, 0, np.inf, 3], [np.nan, 0, 0, 1, 1], [0, -np.inf, -np.inf, np.inf, np.inf]], np.float32)
    node("ROIPooling", [floats(rng, 1, 2, 4, 5), rois], pooled_h=2, pooled_w=3, spatial_scale=1.0, method="max")


@pytest.mark.parametrize(("mode", "bins"), [("average", (1, 1)), ("bilinear", (3, 2)), ("bilinear_deformable", (2, 3))])
@pytest.mark.parametrize("crossed", [0, 1])
def test_psroi_pooling(isa: str, mode: str, bins: tuple[int, int], crossed: int) -> None:
    rng = np.random.default_rng(4)
    group, dim = 3, 4
    channels = dim * (bins[0] * bins[1] if mode == "bilinear" else group * group)
    inputs = [floats(rng, 2, channels, 9, 11), regions(rng, 2, 0.025 if mode == "bilinear" else 1.0)]
    attrs = {
        "output_dim": dim, "group_size": group, "spatial_bins_x": bins[0], "spatial_bins_y": bins[1], "part_size": 2,
        "spatial_scale": 1.0 if mode == "bilinear" else 0.5, "trans_std": 0.3, "mode": mode, "crossed_steps": crossed,
    }  # fmt: skip
    node("PSROIPooling", inputs, **attrs)
    if mode == "bilinear_deformable":
        for classes in (1, 2):
            node("PSROIPooling", [*inputs, floats(rng, len(BOXES), 2 * classes, 2, 2)], **attrs)


@pytest.mark.parametrize("aligned", ["asymmetric", "half_pixel_for_nn", "half_pixel"])
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align(isa: str, aligned: str, mode: str, ratio: int) -> None:
    rng = np.random.default_rng(5)
    images = np.array([0, 1, 0, 1, 5, -1, 0], "int64" if ratio else "int32")
    node(
        "ROIAlign", [floats(rng, 2, 19, 9, 11), np.array(BOXES, np.float32), images], pooled_h=3, pooled_w=2, sampling_ratio=ratio,
        spatial_scale=0.25, mode=mode, aligned_mode=aligned,
    )  # fmt: skip


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_feature_extractor_chooses_levels(isa: str, aligned: int, ratio: int) -> None:
    rng = np.random.default_rng(6)
    rois = np.array([[0, 0, 50, 50], [10, 10, 300, 200], [5, 5, 5, 9], [20, 30, 10, 60], [0, 0, 900, 700], [0, 0, 4, 4]], np.float32)
    maps = [floats(rng, 1, 18, n, n) for n in (40, 20, 10)]
    (out,) = node("ROIFeatureExtractor", [rois, *maps], output_size=3, sampling_ratio=ratio, pyramid_scales=(4, 8, 16), aligned=aligned)
    assert not out[2].any()
    assert not out[3].any()


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("clockwise", [0, 1])
def test_roi_align_rotated(isa: str, ratio: int, clockwise: int) -> None:
    rng = np.random.default_rng(8)
    rois = np.concatenate([rng.uniform(-3, 25, (9, 2)), rng.uniform(-2, 20, (9, 2)), rng.uniform(-4, 4, (9, 1))], 1).astype(np.float32)
    rois[3, 2], rois[4, 4] = np.nan, np.inf
    rois[0], rois[2], rois[8] = (4, 5, 400, 300, 0.7), (9, 3, 60, 900, 0), (8, 8, 3e38, 20, 1.2)  # mostly outside
    attrs = {"pooled_h": 2, "pooled_w": 3, "sampling_ratio": ratio, "spatial_scale": 0.5, "clockwise": clockwise}
    for dtype in ("int32", "int64"):
        images = np.array([0, 1, 0, 1, 0, -1, 2, 1, 0], dtype)
        node("ROIAlignRotated", [floats(rng, 2, 5, 9, 11), rois, images], rtol=1e-4, atol=1e-5, **attrs)
