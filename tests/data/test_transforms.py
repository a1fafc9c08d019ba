"""Flips as fvcore transforms."""

from __future__ import annotations

from typing import Any

import detectron2.data.transforms  # noqa: F401  # registers rotated boxes with fvcore's flips
import numpy as np
import pytest
from fvcore.transforms.transform import HFlipTransform, TransformList, VFlipTransform

from d2align.data import (
    CoordinateHFlipTransform,
    CoordinateVFlipTransform,
    Detectron1HFlipTransform,
    IndexHFlipTransform,
    IndexVFlipTransform,
)
from d2align.registry import (
    FLIP_REGISTRY,
    VERTICAL_FLIP_REGISTRY,
    build_flip,
    build_vertical_flip,
)

W, H = 50, 40
BOXES = np.array([[0.0, 0.0, 50.0, 40.0], [3.25, 4.5, 20.5, 30.75], [10.0, 10.0, 10.0, 10.0]])
POINTS = np.array([[0.0, 0.0], [50.0, 40.0], [12.5, 7.25]])
POLYGONS = [np.array([[0.0, 0.0], [50.0, 0.0], [50.0, 40.0]]), POINTS + 0.5]
ROTATED = np.array([[20.0, 10.0, 8.0, 4.0, 30.0], [5.5, 30.25, 3.0, 9.0, -75.0]])
IMAGE = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)

# The offset in x (y for vertical ones) of everything but polygons, and that of polygons.
HORIZONTAL = {
    CoordinateHFlipTransform: (0.0, 0.0),
    Detectron1HFlipTransform: (0.0, -1.0),
    IndexHFlipTransform: (-1.0, -1.0),
}
VERTICAL = {CoordinateVFlipTransform: (0.0, 0.0), IndexVFlipTransform: (-1.0, -1.0)}
ALL = [(c, W, HFlipTransform(W), *o) for c, o in HORIZONTAL.items()]
ALL += [(c, H, VFlipTransform(H), *o) for c, o in VERTICAL.items()]
PARAMS = pytest.mark.parametrize(("cls", "size", "plain", "offset", "polygon_offset"), ALL)


def axis(plain: Any) -> int:
    return 0 if isinstance(plain, HFlipTransform) else 1


@PARAMS
def test_flip_of_points_and_boxes_is_fvcores_plus_the_offset(
    cls: type, size: int, plain: Any, offset: float, polygon_offset: float
) -> None:
    flip, shift = cls(size), np.zeros(2)
    shift[axis(plain)] = offset
    assert np.array_equal(flip.apply_coords(POINTS), plain.apply_coords(POINTS.copy()) + shift)
    expected = plain.apply_box(BOXES.copy()) + np.tile(shift, 2)
    assert np.array_equal(flip.apply_box(BOXES), expected)


@PARAMS
def test_flip_of_polygons_is_fvcores_plus_the_offset(
    cls: type, size: int, plain: Any, offset: float, polygon_offset: float
) -> None:
    shift = np.zeros(2)
    shift[axis(plain)] = polygon_offset
    found = cls(size).apply_polygons(POLYGONS)
    expected = plain.apply_polygons([p.copy() for p in POLYGONS])
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours, theirs + shift)


@pytest.mark.parametrize(("cls", "offset"), [(c, o[0]) for c, o in HORIZONTAL.items()])
def test_flip_of_rotated_boxes_is_detectron2s_plus_the_offset(cls: type, offset: float) -> None:
    expected = HFlipTransform(W).apply_rotated_box(ROTATED.copy())
    expected[:, 0] += offset
    assert np.array_equal(cls(W).apply_rotated_box(ROTATED), expected)


@pytest.mark.parametrize(("cls", "offset"), [(c, o[0]) for c, o in VERTICAL.items()])
def test_vertical_flip_of_rotated_boxes_mirrors_their_corners(cls: type, offset: float) -> None:
    def corners(box: np.ndarray) -> np.ndarray:
        cx, cy, w, h, angle = box
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        local = np.array([[w, h], [-w, h], [-w, -h], [w, -h]]) / 2
        # Detectron2's angles are counter-clockwise, with y pointing down.
        return np.stack(
            [cx + c * local[:, 0] + s * local[:, 1], cy - s * local[:, 0] + c * local[:, 1]], 1
        )

    for box, flipped in zip(ROTATED, cls(H).apply_rotated_box(ROTATED), strict=True):
        mirrored = corners(box)
        mirrored[:, 1] = H + offset - mirrored[:, 1]
        distances = np.abs(corners(flipped)[:, None] - mirrored[None]).max(axis=2)
        assert (distances.min(axis=1) < 1e-9).all()


@PARAMS
def test_flip_of_images_is_by_index_for_every_value(
    cls: type, size: int, plain: Any, offset: float, polygon_offset: float
) -> None:
    expected = np.flip(IMAGE, axis=1 - axis(plain))
    assert np.array_equal(cls(size).apply_image(IMAGE), expected)
    assert np.array_equal(cls(size).apply_segmentation(IMAGE[..., 0]), expected[..., 0])


@PARAMS
def test_flip_undoes_itself(
    cls: type, size: int, plain: Any, offset: float, polygon_offset: float
) -> None:
    flip = cls(size)
    assert type(flip.inverse()) is cls
    assert np.array_equal(flip.inverse().apply_coords(flip.apply_coords(POINTS)), POINTS)
    assert np.array_equal(flip.inverse().apply_box(flip.apply_box(BOXES)), BOXES)
    for there, polygon in zip(flip.apply_polygons(POLYGONS), POLYGONS, strict=True):
        assert np.array_equal(flip.inverse().apply_polygons([there])[0], polygon)


@PARAMS
def test_flip_leaves_its_inputs_alone(
    cls: type, size: int, plain: Any, offset: float, polygon_offset: float
) -> None:
    inputs = [POINTS, BOXES, ROTATED, *POLYGONS, IMAGE]
    copies = [x.copy() for x in inputs]
    for array in inputs:
        array.flags.writeable = False
    try:
        flip = cls(size)
        flip.apply_coords(POINTS)
        flip.apply_box(BOXES)
        flip.apply_rotated_box(ROTATED)
        flip.apply_polygons(POLYGONS)
        flip.apply_image(IMAGE)
    finally:
        for array in inputs:
            array.flags.writeable = True
    assert all(np.array_equal(a, b) for a, b in zip(inputs, copies, strict=True))


@PARAMS
def test_flip_takes_lists_integers_and_no_points(
    cls: type, size: int, plain: Any, offset: float, polygon_offset: float
) -> None:
    flip = cls(size)
    as_list = flip.apply_coords([[1, 2], [3, 4]])
    assert np.array_equal(as_list, flip.apply_coords(np.array([[1.0, 2.0], [3.0, 4.0]])))
    assert flip.apply_coords(np.zeros((0, 2))).shape == (0, 2)
    assert flip.apply_polygons([]) == []
    single = flip.apply_coords(POINTS.astype(np.float32))
    np.testing.assert_allclose(single, flip.apply_coords(POINTS), rtol=1e-6)


def test_flips_are_fvcores_so_that_detectron2_swaps_left_and_right() -> None:
    assert all(issubclass(c, HFlipTransform) for c in HORIZONTAL)
    assert all(issubclass(c, VFlipTransform) for c in VERTICAL)
    assert not any(issubclass(c, HFlipTransform) for c in VERTICAL)


def test_flips_compose_in_transform_lists() -> None:
    both = TransformList([IndexHFlipTransform(W), IndexVFlipTransform(H)])
    assert np.array_equal(both.apply_coords(POINTS), [W - 1, H - 1] - POINTS)
    assert np.array_equal(both.inverse().apply_coords(both.apply_coords(POINTS)), POINTS)


def test_build_flip_knows_its_values_and_refuses_others() -> None:
    assert list(FLIP_REGISTRY) == ["coordinate", "detectron1", "index"]
    assert list(VERTICAL_FLIP_REGISTRY) == ["coordinate", "index"]
    assert isinstance(build_flip("index", W), IndexHFlipTransform)
    assert isinstance(build_vertical_flip("index", H), IndexVFlipTransform)
    with pytest.raises(ValueError, match=r"flip: got 'mirror'.*coordinate.*detectron1.*index"):
        build_flip("mirror", W)
    with pytest.raises(ValueError, match=r"vertical flip: got 'detectron1'.*coordinate.*index"):
        build_vertical_flip("detectron1", H)


@pytest.mark.parametrize("cls", [*HORIZONTAL, *VERTICAL])
def test_flip_refuses_wrong_shapes(cls: type) -> None:
    with pytest.raises(ValueError, match="shape"):
        cls(W).apply_coords(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="shape"):
        cls(W).apply_rotated_box(np.zeros((3, 4)))
