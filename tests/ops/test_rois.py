# SPDX-License-Identifier: Apache-2.0
"""ROIPooling, PSROIPooling, ROIAlign and its pyramid form on maps whose values say where they are; faults."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError


def ramp(height=8, width=10, channels=1):
    """Value 100 * channel + 10 * row + column: bilinear samples are exact."""
    y, x = np.mgrid[:height, :width]
    return (100 * np.arange(channels)[:, None, None] + 10 * y + x)[None].astype(np.float32)


POOL = {"pooled_h": "2", "pooled_w": "2", "spatial_scale": "0.5"}


def test_max_bins_share_their_borders():
    rois = np.array([[0, 2, 2, 8, 12], [0, 4, 4, 4, 4]], np.float32)
    out = run_one("ROIPooling", [ramp(), rois], POOL)
    assert out[0, 0].tolist() == [[32 + 0, 34], [62, 64]]  # rows 1..6, columns 1..4
    assert out[1, 0].tolist() == [[22, 22], [22, 22]]


def test_corners_are_rounded_away_from_zero_and_clipped():
    rois = np.array([[0, 1, 1, 5, 5], [0, -9, -9, 3, 3], [0, 90, 90, 99, 99]], np.float32)
    out = run_one("ROIPooling", [ramp(), rois], POOL | {"pooled_h": "1", "pooled_w": "1"})
    assert out.ravel().tolist() == [33, 22, 0]


def test_bilinear_corners_are_parts_of_the_map():
    rois = np.array([[0, 0, 0, 1, 1], [0, 0.5, 0.25, 1.5, 0.75]], np.float32)
    out = run_one("ROIPooling", [ramp(9, 11), rois], POOL | {"method": "bilinear"})
    assert out[0, 0].tolist() == [[0, 10], [80, 90]]
    assert out[1, 0].tolist() == [[25, 0], [65, 0]]
    one = run_one("ROIPooling", [ramp(9, 11), rois[:1]], POOL | {"method": "bilinear", "pooled_h": "1", "pooled_w": "1"})
    assert one.ravel().tolist() == [45]


def test_operation_gives_the_size_in_either_spelling():
    rois = np.array([[0, 2, 2, 8, 12]], np.float32)
    want = run_one("ROIPooling", [ramp(), rois], POOL)
    got = run_one("ROIPooling", [ramp(), rois], {"output_size": "2,2", "spatial_scale": "0.5", "method": "max"}, version="opset2")
    np.testing.assert_array_equal(got, want)


def test_image_minus_one_ends_the_list():
    rois = np.array([[0, 0, 0, 9, 9], [-1, 0, 0, 9, 9], [0, 0, 0, 9, 9]], np.float32)
    for kind, attrs in (("ROIPooling", POOL), ("PSROIPooling", {"output_dim": "1", "group_size": "1", "spatial_scale": "1"})):
        out = run_one(kind, [ramp(), rois], attrs)
        assert out[0].any()
        assert not out[1:].any()


def test_average_bins_have_channels_of_their_own():
    out = run_one(
        "PSROIPooling",
        [ramp(8, 8, 8), np.array([[0, 0, 0, 7, 7]], np.float32)],
        {"output_dim": "2", "group_size": "2", "spatial_scale": "1"},
    )
    inside = np.array([[16.5, 20.5], [56.5, 60.5]])
    np.testing.assert_allclose(out[0], np.array([[[0, 100], [200, 300]], [[400, 500], [600, 700]]]) + inside)


def test_bilinear_bins_are_averages_over_groups_of_channels():
    attrs = {"output_dim": "2", "group_size": "1", "spatial_scale": "1", "mode": "bilinear", "spatial_bins_x": "2", "spatial_bins_y": "2"}
    out = run_one("PSROIPooling", [ramp(9, 11, 8), np.array([[0, 0, 0, 1, 1]], np.float32)], attrs)
    np.testing.assert_allclose(out.ravel(), [300 + 45, 400 + 45])


def deformable(**changes):
    return {
        "output_dim": "1", "group_size": "2", "spatial_scale": "1", "mode": "bilinear_deformable", "spatial_bins_x": "2",
        "spatial_bins_y": "2", "part_size": "2", "trans_std": "0.5", "no_trans": "0",
    } | changes  # fmt: skip


def test_offsets_move_bins_in_parts_of_the_region():
    x = ramp(30, 30)
    inputs = [np.tile(x, (1, 4, 1, 1)), np.array([[0, 8, 8, 15, 15]], np.float32)]
    still = run_one("PSROIPooling", [*inputs, np.zeros((1, 2, 2, 2), np.float32)], deformable())
    offsets = np.zeros((1, 2, 2, 2), np.float32)
    offsets[0, 0, 0, 1], offsets[0, 1, 1, 0] = 0.25, -0.5  # x of bin (0, 1), y of bin (1, 0)
    moved = run_one("PSROIPooling", [*inputs, offsets], deformable())
    np.testing.assert_allclose(moved - still, [[[[0, 1], [-20, 0]]]], atol=1e-4)
    np.testing.assert_allclose(run_one("PSROIPooling", inputs, deformable()), still)
    ignored = run_one("PSROIPooling", [*inputs, offsets], deformable(no_trans="1"))
    np.testing.assert_allclose(ignored, still)


@pytest.mark.parametrize(("version", "step"), [("", 4.0), ("opset1", 1.0)])
def test_legacy_layer_crosses_the_steps_of_its_samples(version, step):
    """Four samples a column of a bin of 4 x 4 pixels, one a row: the step down is 4 / 4, or crossed 4 / 1."""
    kind = "DeformablePSROIPooling" if version else "PSROIPooling"
    attrs = deformable(group_size="1", spatial_bins_x="1", spatial_bins_y="4", part_size="1")
    inputs = [ramp(40, 40), np.array([[0, 8, 8, 11, 11]], np.float32), np.zeros((1, 2, 1, 1), np.float32)]
    out = run_one(kind, inputs, attrs, version=version)
    assert out.ravel()[0] == pytest.approx(10 * (7.5 + 1.5 * step) + 7.5, rel=1e-5)


ALIGN = {"pooled_h": "2", "pooled_w": "3", "sampling_ratio": "2", "spatial_scale": "0.5", "mode": "avg"}


@pytest.mark.parametrize(("aligned", "shift"), [("asymmetric", 0.0), ("half_pixel_for_nn", -0.5), ("half_pixel", -0.25)])
@pytest.mark.parametrize("ratio", ["0", "1", "3"])
def test_averages_of_a_ramp_are_values_at_bin_centres(aligned, shift, ratio):
    rois = np.array([[4, 4, 16, 12]], np.float32)
    attrs = ALIGN | {"aligned_mode": aligned, "sampling_ratio": ratio}
    out = run_one("ROIAlign", [ramp(20, 20), rois, np.zeros(1, np.int32)], attrs, version="opset9", constants=(2,))
    ys, xs = 2 + shift + 4 * (np.arange(2) + 0.5) / 2, 2 + shift + 6 * (np.arange(3) + 0.5) / 3
    np.testing.assert_allclose(out[0, 0], 10 * ys[:, None] + xs, rtol=1e-5)


def test_maximum_of_samples_is_never_below_zero():
    attrs = ALIGN | {"mode": "max", "spatial_scale": "1"}
    inputs = [ramp(20, 20), np.array([[0, 0, 6, 4]], np.float32), np.zeros(1, np.int32)]
    out = run_one("ROIAlign", inputs, attrs, version="opset3", constants=(2,))
    np.testing.assert_allclose(out[0, 0], 10 * np.array([[1.5], [3.5]]) + [1.5, 3.5, 5.5], rtol=1e-5)
    assert not run_one("ROIAlign", [-inputs[0], *inputs[1:]], attrs, version="opset3", constants=(2,)).any()


def test_small_regions_count_as_one_pixel_unless_aligned():
    inputs = [ramp(20, 20), np.array([[8, 8, 8, 8]], np.float32), np.zeros(1, np.int64)]
    shared = {"pooled_h": 1, "pooled_w": 1, "sampling_ratio": 1, "spatial_scale": 1.0, "mode": "avg"}
    assert run_kind("ROIAlign", inputs, **shared, aligned_mode="asymmetric")[0].ravel() == pytest.approx([93.5])
    assert run_kind("ROIAlign", inputs, **shared, aligned_mode="half_pixel_for_nn")[0].ravel() == pytest.approx([82.5])


def test_images_that_do_not_exist_and_points_outside_give_nothing():
    images = np.array([1, -1, 0], np.int32)
    rois = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [400, 400, 500, 500]], np.float32)
    assert not run_one("ROIAlign", [ramp(), rois, images], ALIGN, version="opset9", constants=(2,)).any()


def test_levels_go_by_the_size_of_the_region():
    maps = [np.full((1, 2, 1000 // s, 1000 // s), s, np.float32) for s in (4, 8, 16)]
    rois = np.array([[0, 0, 50, 50], [0, 0, 120, 120], [0, 0, 230, 230], [0, 0, 900, 900], [9, 9, 9, 50]], np.float32)
    attrs = {"output_size": "2", "sampling_ratio": "2", "pyramid_scales": "4,8,16"}
    features, same = run_layer("ExperimentalDetectronROIFeatureExtractor", [rois, *maps], attrs, outputs=2)
    assert features[:, 0, 0, 0].tolist() == [4, 8, 16, 16, 0]
    np.testing.assert_array_equal(same, rois)


@pytest.mark.parametrize(
    ("kind", "rois", "attrs", "message"),
    [
        ("ROIPooling", (2, 4), POOL, "expected \\[R, 5\\]"),
        ("ROIPooling", (2, 5), POOL | {"pooled_h": "0"}, "pooled_h is 0"),
        ("ROIPooling", (2, 5), POOL | {"method": "mean"}, "method is 'mean'"),
        ("PSROIPooling", (2, 5), {"output_dim": "2", "group_size": "1", "spatial_scale": "1"}, "input 0 has 1 channels, expected 2"),
        ("PSROIPooling", (2, 5), {"output_dim": "1", "group_size": "1", "spatial_scale": "1", "mode": "x"}, "mode is 'x'"),
    ],
)
def test_faults(kind, rois, attrs, message):
    with pytest.raises(ModelError, match=f"layer out of type {kind}: {message}|{message}"):
        run_one(kind, [ramp(), random(*rois)], attrs)


def test_faults_of_align():
    inputs = [ramp(), random(2, 4), np.zeros(3, np.int32)]
    with pytest.raises(ModelError, match="expected \\[R, 4\\] and integers \\[R\\]"):
        run_one("ROIAlign", inputs, ALIGN, version="opset9", constants=(2,))
    with pytest.raises(ModelError, match="aligned_mode is 'round'"):
        run_one("ROIAlign", [*inputs[:2], np.zeros(2, np.int32)], ALIGN | {"aligned_mode": "round"}, version="opset9", constants=(2,))


FAMILY = ("ROIPooling", "PSROIPooling", "DeformablePSROIPooling", "ROIAlign", "ExperimentalDetectronROIFeatureExtractor")


@pytest.mark.parametrize("path", corpus.cases(*(f"{d}/{t}" for d in ("legacy", "opset") for t in FAMILY)))
def test_recorded(path):
    corpus.check(path)


TURNED = {"pooled_h": 2, "pooled_w": 3, "sampling_ratio": 2, "spatial_scale": 0.5, "clockwise_mode": True}


def turned(x, rois, **params):
    rois = np.array(rois, np.float32)
    return run_one("ROIAlignRotated", [x, rois, np.zeros(len(rois), np.int32)], TURNED | params, version="opset15", constants=[2])


def test_region_that_is_not_turned_is_an_aligned_one():
    x = random(1, 3, 9, 11)
    boxes = [[2, 4, 10, 12], [-6, 1, 30, 9], [3.5, 2.5, 4.0, 17.0]]
    centred = [[(a + c) / 2, (b + d) / 2, c - a, d - b, 0] for a, b, c, d in boxes]
    params = {k: v for k, v in TURNED.items() if k != "clockwise_mode"} | {"mode": "avg", "aligned_mode": "half_pixel_for_nn"}
    want = run_one("ROIAlign", [x, np.array(boxes, np.float32), np.zeros(3, np.int32)], params, version="opset9", constants=[2])
    np.testing.assert_allclose(turned(x, centred), want, rtol=1e-4, atol=1e-5)
    free = run_one("ROIAlign", [x, np.array(boxes, np.float32), np.zeros(3, np.int32)], params | {"sampling_ratio": 0}, version="opset9")
    np.testing.assert_allclose(turned(x, centred, sampling_ratio=0), free, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("clockwise", [True, False])
def test_turned_bins_lie_on_the_turned_axes(clockwise):
    centre, angle = np.array([9.0, 8.0]), 0.3
    out = turned(ramp(), [[*centre, 4, 2, angle]], clockwise_mode=clockwise)[0, 0]
    sign = 1 if clockwise else -1
    for i, j in np.ndindex(2, 3):
        across, down = (j - 1) * 2 / 3, i * 0.5 - 0.25  # of the bin's middle, in pixels of the map
        x = across * np.cos(angle) - sign * down * np.sin(angle) + centre[0] / 2 - 0.5
        y = sign * across * np.sin(angle) + down * np.cos(angle) + centre[1] / 2 - 0.5
        np.testing.assert_allclose(out[i, j], 10 * y + x, rtol=1e-5)


def test_turned_regions_without_samples_are_empty():
    x = random(1, 2, 5, 5)
    assert not turned(x, [[2, 2, 0, 4, 0], [2, 2, -3, 4, 1], [np.nan, 2, 3, 4, 0]], sampling_ratio=0).any()
    assert not turned(x, [[90, 90, 3, 4, 1]]).any()
    with pytest.raises(ModelError, match=r"regions \[1, 4\] and images int32 \[1\]: expected \[R, 5\]"):
        turned(x, [[1, 2, 3, 4]])
