"""Fuzzed: RoIAlign and point sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import references
import torch
from fuzz_laws import assert_near
from fuzz_target import Arguments, Target
from fuzz_values import FLOATS, HALVES, boxes, dressed, numbers, rows, seeded, seeds, wide
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from d2align import geometry


@st.composite
def _regions(draw: DrawFn) -> Arguments:
    h, w = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    batch, channels = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 33]))
    dtype = draw(st.sampled_from(FLOATS))
    features = seeded((batch, channels, h, w), dtype, draw(seeds()), -1.0)
    far = draw(st.sampled_from([4.0, 20.0, 300.0]))
    placed = draw(boxes(dtype, far=far, most=3))
    index = draw(rows(1, dtype, st.integers(0, batch - 1).map(float), most=len(placed)))
    count = min(len(index), len(placed))
    bins = draw(st.sampled_from([1, 2, (3, 2), 7, [1, 4]]))
    return {
        "input": draw(dressed(st.just(features))),
        "rois": draw(dressed(st.just(torch.cat([index[:count], placed[:count]], dim=1)))),
        "output_size": bins,
        "spatial_scale": draw(st.sampled_from([1.0, 0.25, 2.0])),
        "sampling_ratio": draw(st.sampled_from([0, 1, 2, 3])),
    }


def _aligns(aligned: bool) -> Callable[..., None]:
    def law(
        out: Any,
        input: Any,
        rois: Any,
        output_size: Any,
        spatial_scale: float,
        sampling_ratio: int,
    ) -> None:
        bins = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        assert out.shape == (len(rois), input.shape[1], *bins) and out.dtype == input.dtype
        assert out.isfinite().all()
        seen = rois.detach().to(input.dtype)
        sides = wide(seen)[:, 3:] - wide(seen)[:, 1:3]
        if input.dtype in HALVES or input.shape[1] > 2 or sides.max(initial=0) > 24:
            return
        # Adaptive counts jump where a side is near a multiple of the bins: leave those out.
        part = sides * spatial_scale / np.array(bins)[::-1]
        clear = sampling_ratio > 0 or (np.abs(part - np.round(part)) > 1e-3).all(axis=1)
        kept = np.flatnonzero(np.broadcast_to(clear, (len(rois),)))
        expected = references.roi_align(
            wide(input), wide(seen)[kept], bins, spatial_scale, sampling_ratio, aligned
        )
        # A sample just inside or just outside of the last pixel but one changes a bin by its share.
        error = np.abs(wide(out)[kept] - expected)
        far = np.abs(wide(seen)).max(initial=1) * spatial_scale + 1
        allowed = 64 * torch.finfo(input.dtype).eps * far
        edge = _on_the_edge(wide(seen)[kept, 1:] * spatial_scale, input.shape[2:])
        assert (error[~edge] <= allowed).all(), error[~edge].max(initial=0)

    return law


def _on_the_edge(b: np.ndarray, size: Any) -> np.ndarray:
    """Whether samples may lie where rounding decides if they count: a pixel outside."""
    low, high = b[:, :2].min(axis=1, initial=0), (b[:, 2:] - np.array(size)[::-1]).max(axis=1)
    return (low < -0.4) | (high > 0.4)


@st.composite
def _features_and_points(draw: DrawFn) -> Arguments:
    dtype = draw(st.sampled_from(FLOATS))
    n, p = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    h, w = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    points_dtype = dtype if dtype not in HALVES else torch.float32
    values = numbers(-0.2, 1.2) | st.sampled_from([0.0, 1.0, 0.5, 1e8, -1e8])
    drawn = draw(st.lists(values, min_size=2 * n * p, max_size=2 * n * p))
    points = torch.tensor(drawn, dtype=points_dtype).reshape(n, p, 2)
    features = seeded((n, 2, h, w), dtype, draw(seeds()), -1.0)
    return {
        "features": draw(dressed(st.just(features))),
        "unit_coords": draw(dressed(st.just(points))),
    }


def _samples(corners: bool) -> Callable[..., None]:
    def law(out: Any, features: Any, unit_coords: Any) -> None:
        n, channels, h, w = features.shape
        assert out.shape == (n, channels, unit_coords.shape[1]) and out.dtype == features.dtype
        tolerance = 64 * torch.finfo(features.dtype).eps * max(h, w)
        for i, c, p in np.ndindex(*out.shape):
            x, y = wide(unit_coords)[i, p]
            at = (y * (h - 1), x * (w - 1)) if corners else (y * h - 0.5, x * w - 0.5)
            expected = references.bilinear(wide(features)[i, c], *at, outside=0.0)
            assert abs(wide(out)[i, c, p] - expected) <= tolerance * (
                1 + min(max(abs(x), abs(y)), 2)
            )

    return law


@st.composite
def _image_points(draw: DrawFn) -> Arguments:
    made = draw(_features_and_points())
    size = draw(st.sampled_from([(1, 1), (7, 13), (16384, 16384), (480, 640)]))
    points = made["unit_coords"].detach()
    points = points.clamp(-1, 2) * points.new_tensor([size[1], size[0]])
    return {"features": made["features"], "coords": points, "image_size": size}


def _samples_image(out: Any, features: Any, coords: Any, image_size: Any) -> None:
    h, w = image_size
    _samples(False)(out, features, coords / coords.new_tensor([w, h]))


@st.composite
def _points_of_boxes(draw: DrawFn, name: str, positive: bool, unit: bool) -> Arguments:
    dtype = draw(st.sampled_from(FLOATS))
    placed = draw(boxes(dtype, positive=positive, far=200.0 if dtype in HALVES else 1e6))
    p = draw(st.integers(0, 4))
    values = numbers(-1, 2) if unit else numbers(-100, 100)
    drawn = draw(st.lists(values, min_size=2 * p * len(placed), max_size=2 * p * len(placed)))
    points = torch.tensor(drawn, dtype=dtype).reshape(len(placed), p, 2)
    return {name: draw(dressed(st.just(points))), "boxes": draw(dressed(st.just(placed)))}


def _to_image(out: Any, unit_coords: Any, boxes: Any) -> None:
    b, u = wide(boxes)[:, None], wide(unit_coords)
    expected = u * (b[..., 2:] - b[..., :2]) + b[..., :2]
    assert_near(out, expected, np.abs(b).max(axis=-1, keepdims=True) * (2 + np.abs(u)) + 1)


def _to_unit(out: Any, coords: Any, boxes: Any) -> None:
    b, x = wide(boxes)[:, None], wide(coords)
    sides = b[..., 2:] - b[..., :2]
    expected = (x - b[..., :2]) / sides
    assert_near(out, expected, (np.abs(x) + np.abs(b[..., :2]) + sides) / sides)


def _regular(out: Any, side: int, num: int) -> None:
    assert out.shape == (num, side * side, 2) and out.dtype == torch.float32
    if num:
        centres = (np.arange(side) + 0.5) / side
        y, x = np.meshgrid(centres, centres, indexing="ij")
        expected = np.stack([x, y], axis=-1).reshape(-1, 2)
        np.testing.assert_allclose(out[0].numpy(), expected, atol=1e-6)


TARGETS = {
    "roi_align": Target(geometry.roi_align, _regions(), _aligns(True)),
    "roi_align_unaligned": Target(geometry.roi_align_unaligned, _regions(), _aligns(False)),
    "roi_align_grid_sample": Target(geometry.roi_align_grid_sample, _regions(), _aligns(True)),
    "sample_points": Target(geometry.sample_points, _features_and_points(), _samples(False)),
    "sample_points_align_corners": Target(
        geometry.sample_points_align_corners, _features_and_points(), _samples(True)
    ),
    "sample_image_points": Target(geometry.sample_image_points, _image_points(), _samples_image),
    "regular_points": Target(
        geometry.regular_points,
        st.fixed_dictionaries({"side": st.integers(1, 20), "num": st.integers(0, 5)}),
        _regular,
    ),
    "unit_to_image_coords": Target(
        geometry.unit_to_image_coords,
        _points_of_boxes("unit_coords", False, True),
        _to_image,
    ),
    "image_to_unit_coords": Target(
        geometry.image_to_unit_coords,
        _points_of_boxes("coords", True, False),
        _to_unit,
    ),
}
