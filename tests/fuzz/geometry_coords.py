"""Fuzzed: the pixel model, and the adapters to other libraries' coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from fuzz_laws import assert_near, assert_same_kind
from fuzz_target import Target
from fuzz_values import FLOATS, NUMBERS, coordinates, dressed, images, numbers, rows, wide
from hypothesis import strategies as st

from d2align import geometry


def _points(columns: int, dtypes: tuple[torch.dtype, ...] = NUMBERS) -> Any:
    made = st.sampled_from(dtypes).flatmap(lambda d: rows(columns, d, coordinates(d)))
    return dressed(made, arrays=True)


def _shifts(by: float) -> Any:
    def law(out: Any, **arguments: Any) -> None:
        (value,) = arguments.values()
        assert_same_kind(out, value)
        assert_near(out, wide(value) + by, np.abs(wide(value)) + 1)

    return law


def _floors(out: Any, coords: Any) -> None:
    assert out.dtype in (torch.int64, np.dtype("int64"))
    np.testing.assert_array_equal(wide(out), np.floor(wide(coords)))


def _shifts_labelled(by: float) -> Any:
    def law(out: Any, keypoints: Any) -> None:
        expected = wide(keypoints)
        expected[..., :2] += np.where(expected[..., 2:] > 0, by, 0.0)
        assert_same_kind(out, keypoints)
        assert_near(out, expected, np.abs(expected) + 1)

    return law


def _contour(out: Any, contour: Any) -> None:
    assert_near(out, wide(contour).reshape(-1, 2) + 0.5, np.abs(wide(contour)).reshape(-1, 2) + 1)


def _matrices() -> Any:
    numbers_6 = st.lists(numbers(-1e8, 1e8), min_size=6, max_size=6)
    as_array = numbers_6.map(lambda v: np.array(v).reshape(2, 3))
    return as_array | numbers_6.map(lambda v: [v[:3], v[3:]])


def _inverts(inverse: Any) -> Any:
    def law(out: Any, matrix: Any) -> None:
        scale = np.abs(np.asarray(matrix)).max() + 1
        assert out.dtype == np.float64
        np.testing.assert_allclose(inverse(out), np.asarray(matrix), atol=1e-14 * scale)

    return law


def _polygon(out: Any, polygon: Any, image_size: Any, upsample: int) -> None:
    assert out.dtype == bool and out.shape == image_size
    points = np.asarray(polygon).reshape(-1, 2)
    low, high = np.floor(points.min(axis=0)) - 1, np.ceil(points.max(axis=0)) + 1
    ys, xs = np.nonzero(out)
    assert (xs >= low[0]).all() and (xs <= high[0]).all()
    assert (ys >= low[1]).all() and (ys <= high[1]).all()


_flat = st.integers(3, 8).flatmap(
    lambda p: st.lists(numbers(-1e3, 1e3), min_size=2 * p, max_size=2 * p)
)
TARGETS = {
    "index_to_coord": Target(
        geometry.index_to_coord, st.fixed_dictionaries({"indices": _points(2)}), _shifts(0.5)
    ),
    "coord_to_index": Target(
        geometry.coord_to_index, st.fixed_dictionaries({"coords": _points(2)}), _floors
    ),
    "corners_to_centers": Target(
        geometry.corners_to_centers, st.fixed_dictionaries({"coords": _points(2)}), _shifts(-0.5)
    ),
    "centers_to_corners": Target(
        geometry.centers_to_corners, st.fixed_dictionaries({"coords": _points(2)}), _shifts(0.5)
    ),
    "coords_from_coco_keypoints": Target(
        geometry.coords_from_coco_keypoints,
        st.fixed_dictionaries({"keypoints": _points(3)}),
        _shifts_labelled(0.5),
    ),
    "coords_to_coco_keypoints": Target(
        geometry.coords_to_coco_keypoints,
        st.fixed_dictionaries({"keypoints": _points(3)}),
        _shifts_labelled(-0.5),
    ),
    "coords_from_cv2_contour": Target(
        geometry.coords_from_cv2_contour,
        st.fixed_dictionaries(
            {"contour": _points(2) | _points(2, FLOATS).map(lambda x: x[:, None])}
        ),
        _contour,
    ),
    "affine_to_cv2": Target(
        geometry.affine_to_cv2,
        st.fixed_dictionaries({"matrix": _matrices()}),
        _inverts(geometry.affine_from_cv2),
    ),
    "affine_from_cv2": Target(
        geometry.affine_from_cv2,
        st.fixed_dictionaries({"matrix": _matrices()}),
        _inverts(geometry.affine_to_cv2),
    ),
    "draw_polygon_pil": Target(
        geometry.draw_polygon_pil,
        st.fixed_dictionaries(
            {"polygon": _flat, "image_size": images(), "upsample": st.sampled_from([1, 2, 8])}
        ),
        _polygon,
    ),
}
