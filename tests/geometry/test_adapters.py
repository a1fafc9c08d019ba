"""Experiments that show what OpenCV, PIL, pycocotools and COCO mean by a coordinate."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import references
import torch
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from d2align import geometry as g

SIZE = (64, 64)
# The centres of discs, everywhere within a pixel.
CENTERS = [(32 + i / 5, 32 + j / 5) for i in range(5) for j in range(5)]
RADIUS = 20.0


def contour(mask: np.ndarray) -> np.ndarray:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return found[0]


def area_and_center(polygon: np.ndarray) -> tuple[float, float, float]:
    x, y = polygon.T.astype(np.float64)
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return abs(area), cx, cy


# ---- cv2.findContours


def test_coords_from_cv2_contour_of_a_box_is_half_a_pixel_inside() -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[20:40, 10:30] = 1  # covers [10, 30] x [20, 40]
    raw = contour(mask).reshape(-1, 2)
    coords = g.coords_from_cv2_contour(contour(mask))
    assert raw.min(0).tolist() == [10, 20]
    assert raw.max(0).tolist() == [29, 39]
    assert coords.min(0).tolist() == [10.5, 20.5]
    assert coords.max(0).tolist() == [29.5, 39.5]
    # So the centre is right, and that of the raw contour half a pixel off.
    assert area_and_center(coords)[1:] == pytest.approx((20, 30))
    assert area_and_center(raw)[1:] == pytest.approx((19.5, 29.5))


def test_coords_from_cv2_contour_of_discs_have_the_right_centre() -> None:
    with_adapter, without, radius = [], [], []
    for cx, cy in CENTERS:
        raw = contour(references.disc_mask(cx, cy, RADIUS, SIZE))
        area, x, y = area_and_center(g.coords_from_cv2_contour(raw))
        with_adapter.append((x - cx, y - cy))
        without.append(np.subtract(area_and_center(raw.reshape(-1, 2))[1:], (cx, cy)))
        radius.append(math.sqrt(area / math.pi))
    np.testing.assert_allclose(np.mean(with_adapter, axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.mean(without, axis=0), -0.5, atol=0.02)
    assert np.mean(radius) == pytest.approx(RADIUS - 0.5, abs=0.1)


def test_coords_from_cv2_contour_drawn_again_is_the_same_mask() -> None:
    mask = references.disc_mask(30.2, 31.7, 11.4, SIZE)
    index = g.coord_to_index(g.coords_from_cv2_contour(contour(mask)))
    drawn = cv2.fillPoly(np.zeros(SIZE, np.uint8), [index.astype(np.int32)], 1)
    np.testing.assert_array_equal(drawn.astype(bool), mask)


def test_coords_from_cv2_contour_kinds() -> None:
    raw = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], dtype=np.int32)
    out = references.assert_pure(g.coords_from_cv2_contour, raw)
    assert isinstance(out, np.ndarray)
    flat = g.coords_from_cv2_contour(torch.from_numpy(raw[:, 0]))
    assert flat.tolist() == [[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]]
    assert g.coords_from_cv2_contour(np.zeros((0, 1, 2), np.int32)).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.zeros((2, 3)), np.zeros(()), [[1, 2]], np.zeros((2, 3, 2))])
def test_coords_from_cv2_contour_refuses_bad_shape(bad) -> None:
    with pytest.raises(ValueError, match="contour"):
        g.coords_from_cv2_contour(bad)


# ---- cv2.warpAffine


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.warpAffine(image, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def test_affine_to_cv2_flips_as_an_array_flips() -> None:
    image = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    flip = np.array([[-1.0, 0, 9], [0, 1, 0]])  # x -> W - x
    np.testing.assert_allclose(warp(image, g.affine_to_cv2(flip), (6, 9)), image[:, ::-1])
    # As it is, the same matrix moves the image right by a pixel.
    raw = warp(image, flip, (6, 9))
    np.testing.assert_allclose(raw[:, 1:], image[:, ::-1][:, :-1])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_affine_to_cv2_turns_as_an_array_turns(turns) -> None:
    image = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    c, s = [(0, 1), (-1, 0), (0, -1)][turns - 1]
    linear = np.array([[c, s], [-s, c]], float)  # counter-clockwise on the screen
    center = np.full(2, 3.5)
    matrix = np.column_stack([linear, center - linear @ center])
    out = warp(image, g.affine_to_cv2(matrix), (7, 7))
    np.testing.assert_allclose(out, np.rot90(image, turns), atol=1e-6)
    assert not np.allclose(warp(image, matrix, (7, 7)), np.rot90(image, turns), atol=0.1)


def test_affine_to_cv2_scales_as_resize_half_pixel() -> None:
    image = torch.rand(6, 9)
    double = np.array([[2.0, 0, 0], [0, 2, 0]])
    inside = np.s_[1:-1, 1:-1]  # outside the image warpAffine reads zeros
    out = warp(image.numpy(), g.affine_to_cv2(double), (12, 18))
    expected = g.resize_half_pixel(image, (12, 18)).numpy()
    np.testing.assert_allclose(out[inside], expected[inside], atol=1e-6)
    # As it is, the same matrix is the article's grid 3.
    out = warp(image.numpy(), double, (12, 18))
    asymmetric = g.resize_asymmetric(image, (12, 18)).numpy()
    np.testing.assert_allclose(out[:-1, :-1], asymmetric[:-1, :-1], atol=1e-6)


@pytest.mark.parametrize(("angle", "scale"), [(30, 1.0), (-75, 1.5), (180, 1.0), (10, 1.2)])
def test_affine_to_cv2_moves_a_disc_where_the_matrix_says(angle, scale) -> None:
    t = math.radians(angle)
    linear = scale * np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
    matrix = np.column_stack([linear, np.array([50.25, 49.5]) - linear @ [30, 34]])
    errors, raw = [], []
    for cx, cy in CENTERS:
        image = references.disc_mask(cx, cy, 12, SIZE).astype(np.float32)
        start = np.array(references.centroid(image))
        ys, xs = np.mgrid[:100, :100] + 0.5
        for matrix_cv2, result in ((g.affine_to_cv2(matrix), errors), (matrix, raw)):
            out = warp(image, matrix_cv2, (100, 100))
            center = np.array([(out * xs).sum(), (out * ys).sum()]) / out.sum()
            result.append(center - (linear @ start + matrix[:, 2]))
    # OpenCV may round positions to 1 / 32 of a pixel.
    np.testing.assert_allclose(np.mean(errors, axis=0), 0, atol=0.02)
    offset = np.full(2, 0.5) - linear @ np.full(2, 0.5)
    np.testing.assert_allclose(np.mean(raw, axis=0), offset, atol=0.02)


def test_affine_from_cv2_inverts_affine_to_cv2() -> None:
    matrix = np.random.default_rng(0).normal(size=(2, 3))
    to = references.assert_pure(g.affine_to_cv2, matrix)
    np.testing.assert_allclose(g.affine_from_cv2(g.affine_to_cv2(matrix)), matrix, atol=1e-12)
    np.testing.assert_allclose(g.affine_to_cv2(g.affine_from_cv2(matrix)), matrix, atol=1e-12)
    assert to.dtype == np.float64
    assert g.affine_to_cv2(matrix.tolist()).shape == (2, 3)


def test_affine_to_cv2_keeps_translations() -> None:
    shift = np.array([[1.0, 0, 3.25], [0, 1, -2]])
    np.testing.assert_array_equal(g.affine_to_cv2(shift), shift)


def test_affine_from_cv2_of_a_rotation_matrix_turns_about_a_pixel() -> None:
    """cv2.getRotationMatrix2D takes its centre as an index."""
    matrix = g.affine_from_cv2(cv2.getRotationMatrix2D((10, 20), 33, 1.2))
    np.testing.assert_allclose(matrix @ [10.5, 20.5, 1], [10.5, 20.5], atol=1e-9)


@pytest.mark.parametrize("fn", [g.affine_to_cv2, g.affine_from_cv2])
@pytest.mark.parametrize("bad", [np.eye(3), np.zeros(6), np.zeros((3, 2)), 1.0])
def test_affine_refuses_bad_shape(fn, bad) -> None:
    with pytest.raises(ValueError, match="matrix"):
        fn(bad)


# ---- pycocotools polygons


def test_pycocotools_polygon_is_in_our_coordinates() -> None:
    shifts, radii = [], []
    for cx, cy in CENTERS:
        polygon = references.disc_polygon(cx, cy, RADIUS).tolist()
        mask = coco_mask.decode(coco_mask.frPyObjects([polygon], *SIZE))[..., 0]
        shifts.append(np.subtract(references.centroid(mask), (cx, cy)))
        radii.append(references.disc_radius(mask))
    # It rounds the border to a fifth of a pixel.
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.06
    assert np.mean(radii) == pytest.approx(RADIUS, abs=0.02)


def test_pycocotools_box_polygon_covers_its_pixels() -> None:
    polygon = [10.0, 20, 30, 20, 30, 40, 10, 40]
    mask = coco_mask.decode(coco_mask.frPyObjects([polygon], *SIZE))[..., 0]
    expected = np.zeros(SIZE, np.uint8)
    expected[20:40, 10:30] = 1
    np.testing.assert_array_equal(mask, expected)
    box = coco_mask.decode(coco_mask.frPyObjects(np.array([[10.0, 20, 20, 20]]), *SIZE))[..., 0]
    np.testing.assert_array_equal(box, expected)


# ---- PIL.ImageDraw.polygon


def draw_pil(polygon) -> np.ndarray:
    canvas = Image.new("L", (SIZE[1], SIZE[0]))
    ImageDraw.Draw(canvas).polygon(list(map(float, polygon)), outline=1, fill=1)
    return np.asarray(canvas).astype(bool)


def disc_statistics(draw) -> tuple[np.ndarray, float]:
    """Mean shift of the centre and mean growth of the radius of discs."""
    shifts, growths = [], []
    for cx, cy in CENTERS:
        mask = draw(references.disc_polygon(cx, cy, RADIUS))
        shifts.append(np.subtract(references.centroid(mask), (cx, cy)))
        growths.append(references.disc_radius(mask) - RADIUS)
    return np.mean(shifts, axis=0), float(np.mean(growths))


def test_pil_polygon_is_half_a_pixel_fat() -> None:
    shift, growth = disc_statistics(draw_pil)
    assert np.abs(shift).max() < 0.03
    # Measured 0.6: the half pixel, and the rounding of a border of many short edges.
    assert growth == pytest.approx(g.PIL_POLYGON_FATTENING, abs=0.15)


def test_draw_polygon_pil_removes_the_fattening() -> None:
    for upsample, most in ((8, 0.1), (16, 0.05), (32, 0.03)):
        shift, growth = disc_statistics(lambda p, u=upsample: g.draw_polygon_pil(p, SIZE, u))
        assert np.abs(shift).max() < 0.03
        assert abs(growth) < most


def test_draw_polygon_pil_of_a_box() -> None:
    polygon = [10.0, 20, 30, 20, 30, 40, 10, 40]
    assert draw_pil(polygon).sum() == 21 * 21
    expected = np.zeros(SIZE, bool)
    expected[20:40, 10:30] = True
    np.testing.assert_array_equal(g.draw_polygon_pil(polygon, SIZE), expected)


def test_draw_polygon_pil_at_upsample_1_is_pil() -> None:
    polygon = references.disc_polygon(30.3, 31.1, 12)
    np.testing.assert_array_equal(g.draw_polygon_pil(polygon, SIZE, 1), draw_pil(polygon))


def test_draw_polygon_pil_outside_and_pure() -> None:
    polygon = np.array([100.0, 100, 110, 100, 110, 110])
    out = references.assert_pure(g.draw_polygon_pil, polygon, SIZE)
    assert out.shape == SIZE
    assert out.dtype == bool
    assert not g.draw_polygon_pil(polygon, SIZE).any()
    assert g.draw_polygon_pil(polygon - 90, (12, 30)).shape == (12, 30)


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (([0, 0, 1, 1], SIZE), "polygon"),
        (([0, 0, 1, 1, 2, 2, 3], SIZE), "polygon"),
        (([[0, 0], [1, 1], [2, 0]], SIZE), "polygon"),
        (([0, 0, 1, 1, math.nan, 0], SIZE), "polygon"),
        (([0, 0, 1, 1, math.inf, 0], SIZE), "polygon"),
        (([0, 0, 5, 5, 5, 0], (0, 5)), "image_size"),
        (([0, 0, 5, 5, 5, 0], 5), "image_size"),
        (([0, 0, 5, 5, 5, 0], SIZE, 0), "upsample"),
        (([0, 0, 5, 5, 5, 0], SIZE, 2.5), "upsample"),
    ],
)
def test_draw_polygon_pil_refuses_bad_input(args, name) -> None:
    with pytest.raises(ValueError, match=name):
        g.draw_polygon_pil(*args)


# ---- COCO keypoints


def test_coco_keypoints_round_trip() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.concatenate(
        [rng.integers(0, 99, (5, 17, 2)), rng.integers(0, 3, (5, 17, 1))], -1
    )
    coords = g.coords_from_coco_keypoints(keypoints.astype(float))
    np.testing.assert_array_equal(g.coords_to_coco_keypoints(coords), keypoints)
    np.testing.assert_array_equal(coords[..., 2], keypoints[..., 2])
    labelled = keypoints[..., 2] > 0
    assert (coords[..., :2] - keypoints[..., :2])[labelled].min() == 0.5
    assert (coords[..., :2] == keypoints[..., :2])[~labelled].all()


def test_coco_keypoints_name_the_pixel_they_are_drawn_on() -> None:
    """A keypoint at index (7, 3) lies in the middle of that pixel."""
    image = np.zeros((10, 12))
    image[3, 7] = 1
    coords = g.coords_from_coco_keypoints(np.array([[[7.0, 3, 2]]]))
    assert references.centroid(image) == tuple(coords[0, 0, :2])


@pytest.mark.parametrize("fn", [g.coords_from_coco_keypoints, g.coords_to_coco_keypoints])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_coco_keypoints_kinds_empty_and_pure(fn, dtype, device) -> None:
    keypoints = np.array([[[4, 5, 2], [0, 0, 0]]], dtype=dtype)
    out = references.assert_pure(fn, keypoints)
    assert isinstance(out, np.ndarray)
    assert out.dtype.kind == "f"
    tensor = torch.from_numpy(keypoints).to(device)
    on_torch = fn(tensor)
    assert on_torch.device == tensor.device
    np.testing.assert_array_equal(fn(keypoints), on_torch.cpu().numpy())
    assert fn(keypoints[:0]).shape == (0, 2, 3)


@pytest.mark.parametrize("fn", [g.coords_from_coco_keypoints, g.coords_to_coco_keypoints])
@pytest.mark.parametrize("bad", [torch.zeros(2, 2), torch.zeros(51), [[1, 2, 3]]])
def test_coco_keypoints_refuse_bad_shape(fn, bad) -> None:
    with pytest.raises(ValueError, match="keypoints"):
        fn(bad)
