"""Fuzzed: cell anchors and their tiling."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzz_laws import assert_near
from fuzz_target import Target
from fuzz_values import FLOATS, boxes, dressed, images, numbers, wide
from hypothesis import strategies as st

from d2align import geometry

_SIZES = st.lists(numbers(1e-3, 1e6), min_size=1, max_size=4)
_RATIOS = st.lists(numbers(0.05, 20.0), min_size=1, max_size=4)


def _cell(out: Any, sizes: Any, aspect_ratios: Any) -> None:
    assert out.shape == (len(sizes) * len(aspect_ratios), 4)
    w, h = (wide(out)[:, 2:] - wide(out)[:, :2]).T
    areas = np.repeat(np.square(sizes), len(aspect_ratios))
    np.testing.assert_allclose(w * h, areas, rtol=1e-5)
    np.testing.assert_allclose(h / w, np.tile(aspect_ratios, len(sizes)), rtol=1e-5)
    np.testing.assert_allclose(wide(out)[:, 2:], -wide(out)[:, :2])


def _cell_detectron1(out: Any, stride: int, sizes: Any, aspect_ratios: Any) -> None:
    assert out.shape == (len(sizes) * len(aspect_ratios), 4)
    middle = (wide(out)[:, 2:] + wide(out)[:, :2]) / 2
    np.testing.assert_allclose(middle, (stride - 1) / 2, atol=1e-9 * (max(sizes) + stride) * 32)
    assert np.isfinite(wide(out)).all()


def _tiled(out: Any, anchors: Any, grid_size: Any, stride: float, offset: float) -> None:
    h, w = grid_size
    assert out.shape == (h * w * len(anchors), 4) and out.dtype == anchors.dtype
    x, y = np.meshgrid((np.arange(w) + offset) * stride, (np.arange(h) + offset) * stride)
    shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    expected = (shifts + wide(anchors)).reshape(-1, 4)
    assert_near(out, expected, np.abs(expected).max(initial=0) + max(h, w) * stride)


TARGETS = {
    "cell_anchors": Target(
        geometry.cell_anchors,
        st.fixed_dictionaries({"sizes": _SIZES, "aspect_ratios": _RATIOS}),
        _cell,
    ),
    "cell_anchors_detectron1": Target(
        geometry.cell_anchors_detectron1,
        st.fixed_dictionaries(
            {"stride": st.integers(1, 128), "sizes": _SIZES, "aspect_ratios": _RATIOS}
        ),
        _cell_detectron1,
    ),
    "tile_anchors": Target(
        geometry.tile_anchors,
        st.fixed_dictionaries(
            {
                "anchors": st.sampled_from(FLOATS).flatmap(lambda d: dressed(boxes(d, far=1e3))),
                "grid_size": images(8),
                "stride": st.sampled_from([4, 16, 0.5, 128]),
                "offset": st.sampled_from([0.0, 0.5, 0.99]),
            }
        ),
        _tiled,
    ),
}
