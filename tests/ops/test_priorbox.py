# SPDX-License-Identifier: Apache-2.0
"""Anchor boxes: order, sizes, steps, variances, in both dialects."""

from __future__ import annotations

import math

import corpus
import numpy as np
import pytest

from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network

FEATURE, IMAGE = (2, 3), (20, 60)


def constant(type, params, version=""):
    """The constant that the layer becomes, seen through an addition."""
    if version:
        builder = NetworkBuilder.opset()
        sizes = [builder.constant(f"s{i}", np.array(s)) for i, s in enumerate((FEATURE, IMAGE))]
        layer = builder.layer(type, "out", sizes, [()], params=params, version=version)
        builder.result(builder.layer("Add", "y", [builder.input("x", ()), layer], [()]))
    else:
        builder = NetworkBuilder.legacy()
        maps = [builder.input(n, (1, 1, *s)) for n, s in (("f", FEATURE), ("i", IMAGE))]
        layer = builder.layer(type, "out", maps, [()], params=params)
        builder.layer("Eltwise", "y", [builder.input("x", (1,)), layer], [()], params={"operation": "sum"})
    program = Network(builder.graph()).lower()
    (found,) = [t.data for t in program.tensors if t.data is not None and t.data.ndim > 1]
    return found


def boxes_of(sizes, step=None, offset=0.5):
    """Corners, cell by cell, of boxes of these widths and heights in pixels."""
    (rows, columns), (high, wide) = FEATURE, IMAGE
    out = []
    for y in range(rows):
        for x in range(columns):
            cx, cy = ((x + offset) * step, (y + offset) * step) if step else ((x + 0.5) * wide / columns, (y + 0.5) * high / rows)
            for w, h in sizes:
                out += [(cx - w / 2) / wide, (cy - h / 2) / high, (cx + w / 2) / wide, (cy + h / 2) / high]
    return np.array(out)


def check(got, sizes, variances=(0.1, 0.1, 0.1, 0.1), **options):
    got = got.reshape(2, -1)
    np.testing.assert_allclose(got[0], boxes_of(sizes, **options), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[1], np.tile(variances, got.shape[1] // 4), rtol=1e-6)


ROOT = math.sqrt(2)


@pytest.mark.parametrize("version", ["", "opset1"])
def test_order_of_sizes_and_ratios(version):
    params = {"min_size": "6,10", "max_size": "24", "aspect_ratio": "2", "flip": "1", "offset": "0.5", "step": "7"}
    middle = math.sqrt(6 * 24)
    sizes = [(6, 6), (middle, middle), (6 * ROOT, 6 / ROOT), (6 / ROOT, 6 * ROOT), (10, 10), (10 * ROOT, 10 / ROOT), (10 / ROOT, 10 * ROOT)]
    got = constant("PriorBox", params, version)
    assert got.shape == ((2, 4 * 6 * 7) if version else (1, 2, 4 * 6 * 7))
    check(got, sizes, step=7)


def test_newer_operation_may_put_the_maximum_last():
    params = {"min_size": "6", "max_size": "24", "aspect_ratio": "2", "flip": "0", "offset": "0.5", "min_max_aspect_ratios_order": "false"}
    check(constant("PriorBox", params, "opset8"), [(6, 6), (6 * ROOT, 6 / ROOT), (12, 12)])


def test_legacy_ratios_on_the_last_size_only():
    params = {"min_size": "6,10", "aspect_ratio": "2,1,2", "scale_all_sizes": "0", "offset": "0.5"}
    check(constant("PriorBox", params), [(6, 6), (10, 10), (6 * ROOT, 6 / ROOT)])


def test_opset_sizes_are_relative_without_scale_all_sizes():
    params = {"min_size": "0.25", "scale_all_sizes": "false", "step": "0.5", "offset": "0.5"}
    check(constant("PriorBox", params, "opset1"), [(5, 5)], step=10)


def test_fixed_size_with_density_spreads_boxes():
    params = {"fixed_size": "8", "density": "2", "offset": "0.5", "min_size": ""}
    got = constant("PriorBox", params).reshape(2, -1)[0].reshape(6, 4, 4)
    centre_x, centre_y = 10.0, 5.0
    for i, (dx, dy) in enumerate([(-2, -2), (2, -2), (-2, 2), (2, 2)]):
        want = [(centre_x + dx - 4) / 60, (centre_y + dy - 4) / 20, (centre_x + dx + 4) / 60, (centre_y + dy + 4) / 20]
        np.testing.assert_allclose(got[0, i], np.array([max(want[0], 0), max(want[1], 0), min(want[2], 1), min(want[3], 1)]), atol=1e-6)


def test_clip_and_variances():
    params = {"min_size": "100", "clip": "1", "variance": "0.1,0.2,0.3,0.4", "offset": "0.5"}
    got = constant("PriorBox", params).reshape(2, -1)
    assert got[0].min() == 0
    assert got[0].max() == 1
    np.testing.assert_allclose(got[1][:8], np.tile([0.1, 0.2, 0.3, 0.4], 2), rtol=1e-6)
    with pytest.raises(ModelError, match="expected none, one or four"):
        constant("PriorBox", params | {"variance": "0.1,0.2"})
    with pytest.raises(ModelError, match="aspect ratio is 0"):
        constant("PriorBox", params | {"aspect_ratio": "0"})


@pytest.mark.parametrize("version", ["", "opset1"])
def test_clustered_boxes_have_the_listed_sizes(version):
    params = {"width": "4,8", "height": "6,2", "offset": "0.5", "step": "10", "variance": "0.3", "clip": "0"}
    check(constant("PriorBoxClustered", params, version), [(4, 6), (8, 2)], variances=(0.3,) * 4, step=10)
    natural = constant("PriorBoxClustered", params | {"step": "0"}, version)
    check(natural, [(4, 6), (8, 2)], variances=(0.3,) * 4)
    with pytest.raises(ModelError, match="2 widths and 1 heights"):
        constant("PriorBoxClustered", params | {"height": "6"}, version)


def test_inputs_without_two_spatial_axes_are_refused():
    builder = NetworkBuilder.legacy()
    maps = [builder.input(n, (1, 4)) for n in ("f", "i")]
    builder.layer("PriorBox", "out", maps, [()], params={"min_size": "4", "offset": "0"})
    with pytest.raises(ModelError, match="expected four axes each"):
        Network(builder.graph()).lower()


@pytest.mark.parametrize("path", corpus.cases("legacy/PriorBox", "legacy/PriorBoxClustered", "opset/PriorBox", "opset/PriorBoxClustered"))
def test_corpus(path):
    corpus.check(path)
