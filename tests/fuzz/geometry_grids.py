"""Fuzzed: the sampling grids, resizes and up- and downsampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import references
import torch
from fuzz_target import Target
from fuzz_values import FLOATS, dressed, eps_of, numbers, seeded, seeds, wide
from hypothesis import strategies as st

from d2align import geometry

_STRIDES = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 1e-3, 1e6]) | st.integers(1, 7)
_SIDES = st.sampled_from([1, 2, 3, 7, 257, 16384]) | st.integers(1, 40)


def _grids() -> Any:
    pair = st.tuples(st.integers(1, 300), _STRIDES)
    return pair.map(lambda p: {"length": p[0] * p[1], "stride": p[1]})


def _is_grid(number: int) -> Callable[..., None]:
    def law(out: Any, length: float, stride: float) -> None:
        locations = out.locations()
        assert locations.dtype == torch.float64
        expected = references.grid_locations(number, length, stride)
        np.testing.assert_allclose(locations.numpy(), expected, rtol=1e-12, atol=1e-12 * length)

    return law


def _positions(number: int) -> Callable[..., None]:
    def law(out: Any, in_size: int, out_size: int) -> None:
        n, m = in_size, out_size
        i = np.arange(m)
        expected = {
            1: i * (n - 1) / max(m - 1, 1),
            2: (i + 0.5) * n / m - 0.5,
            3: i * n / m,
        }[number]
        assert out.dtype == torch.float64
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-9)
        if number == 1:
            assert out.min() >= 0 and out.max() <= n - 1

    return law


def _images() -> Any:
    shape = st.tuples(st.integers(1, 9), st.integers(1, 9))
    front = st.sampled_from([(), (2,), (0,), (2, 3)])
    made = st.builds(
        lambda f, s, d, seed: seeded((*f, *s), d, seed, -1.0),
        front,
        shape,
        st.sampled_from(FLOATS),
        seeds(),
    )
    return dressed(made)


def _resized(number: int, size_of: Callable[..., Any] | None = None) -> Callable[..., None]:
    def law(out: Any, image: Any, size: Any = None) -> None:
        h, w = size_of(*image.shape[-2:]) if size_of else size
        assert out.shape == (*image.shape[:-2], h, w) and out.dtype == image.dtype
        first = wide(image).reshape(-1, *image.shape[-2:])[:1]
        for plane, got in zip(first, wide(out).reshape(-1, h, w)[:1], strict=True):
            tall = np.stack([references.resize_1d(c, h, number)[1] for c in plane.T], axis=1)
            both = np.stack([references.resize_1d(r, w, number)[1] for r in tall])
            assert (np.abs(got - both) <= 16 * eps_of(image)).all(), (got, both)

    return law


def _resize(function: Any, number: int) -> Target:
    size = st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.just([1, 64])
    return Target(
        function, st.fixed_dictionaries({"image": _images(), "size": size}), _resized(number)
    )


def _double(function: Any, number: int, size_of: Callable[..., Any]) -> Target:
    return Target(function, st.fixed_dictionaries({"image": _images()}), _resized(number, size_of))


def _twice(h: int, w: int) -> tuple[int, int]:
    return 2 * h, 2 * w


def _two_sizes(function: Any, number: int) -> Target:
    sizes = st.fixed_dictionaries({"in_size": _SIDES | st.just(10**9), "out_size": _SIDES})
    return Target(function, sizes, _positions(number))


def _halved(out: Any, size: int) -> None:
    assert 2 * out - 1 == size


def _located(out: Any, offset: float, stride: float, resolution: int) -> None:
    got = out.locations()
    assert got.dtype == torch.float64 and got.shape == (resolution,)
    np.testing.assert_allclose(got.numpy(), offset + stride * np.arange(resolution), atol=1e-9)


TARGETS = {
    "Grid": Target(
        geometry.Grid,
        st.fixed_dictionaries(
            {
                "offset": numbers(-1e3, 1e3),
                "stride": numbers(1e-3, 1e3),
                "resolution": st.integers(0, 300),
            }
        ),
        _located,
    ),
    "align_corners_grid": Target(geometry.align_corners_grid, _grids(), _is_grid(1)),
    "half_pixel_grid": Target(geometry.half_pixel_grid, _grids(), _is_grid(2)),
    "asymmetric_grid": Target(geometry.asymmetric_grid, _grids(), _is_grid(3)),
    "resize_positions_align_corners": _two_sizes(geometry.resize_positions_align_corners, 1),
    "resize_positions_half_pixel": _two_sizes(geometry.resize_positions_half_pixel, 2),
    "resize_positions_asymmetric": _two_sizes(geometry.resize_positions_asymmetric, 3),
    "resize_align_corners": _resize(geometry.resize_align_corners, 1),
    "resize_half_pixel": _resize(geometry.resize_half_pixel, 2),
    "resize_asymmetric": _resize(geometry.resize_asymmetric, 3),
    "upsample2x_half_stride": _double(
        geometry.upsample2x_half_stride, 1, lambda h, w: (2 * h - 1, 2 * w - 1)
    ),
    "upsample2x_twice_samples": _double(geometry.upsample2x_twice_samples, 1, _twice),
    "upsample2x_half_pixel": _double(geometry.upsample2x_half_pixel, 2, _twice),
    "upsample2x_asymmetric": _double(geometry.upsample2x_asymmetric, 3, _twice),
    "downsample2x_size_half_stride": Target(
        geometry.downsample2x_size_half_stride,
        st.fixed_dictionaries({"size": st.integers(0, 10**9).map(lambda n: 2 * n + 1)}),
        _halved,
    ),
}
