"""Flips: coordinates to W - x, indices to W - 1 - i, and Detectron's mixture of the two."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st
from references import assert_pure

from d2align import geometry as g

H, W = 40, 56
FLIP_INDICES = [0, 2, 1, 4, 3]
# name: function of (x, length), and inputs of its kind
FLIPS = {
    "coords": (g.flip_coords, (6, 2)),
    "coords_vertical": (g.flip_coords_vertical, (6, 2)),
    "boxes": (g.flip_boxes, (6, 4)),
    "boxes_vertical": (g.flip_boxes_vertical, (6, 4)),
    "boxes_detectron1": (g.flip_boxes_detectron1, (6, 4)),
    "keypoints": (g.flip_keypoints, (2, 5, 3)),
    "keypoints_detectron1": (g.flip_keypoints_detectron1, (2, 5, 3)),
    "rotated_boxes": (g.flip_rotated_boxes, (6, 5)),
    "rotated_boxes_vertical": (g.flip_rotated_boxes_vertical, (6, 5)),
}
POLYGON_FLIPS = [g.flip_polygons, g.flip_polygons_vertical, g.flip_polygons_detectron1]
MASK_FLIPS = [g.flip_masks, g.flip_masks_vertical]


def example(shape, dtype=np.float64) -> np.ndarray:
    return (np.random.default_rng(0).integers(1, 160, shape) / 4).astype(dtype)


def random_polygon(seed: int) -> np.ndarray:
    """A star-shaped polygon, two pixels or more inside the image, with no symmetry."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(5, 17, 9)
    return np.stack([27 + radius * np.cos(angle), 20 + radius * np.sin(angle)], 1).reshape(-1)


@pytest.mark.parametrize("name", FLIPS)
@pytest.mark.parametrize("length", [W, 56.5])
def test_flip_twice_is_identity(name, length) -> None:
    fn, shape = FLIPS[name]
    x = example(shape)
    np.testing.assert_array_equal(fn(fn(x, length), length), x)


@given(st.lists(st.floats(-1e4, 1e4), min_size=6, max_size=6), st.floats(1, 1e4))
def test_flip_coords_keeps_distances_and_moves_edges_to_edges(values, width) -> None:
    x = torch.tensor(values, dtype=torch.float64).reshape(3, 2)
    flipped = g.flip_coords(x, width)
    torch.testing.assert_close(torch.cdist(flipped, flipped), torch.cdist(x, x), atol=1e-6, rtol=0)
    assert torch.equal(flipped[:, 1], x[:, 1])
    edges = torch.tensor([[0.0, 3], [width, 3]], dtype=torch.float64)
    assert torch.equal(g.flip_coords(edges, width), edges.flip(0))


def test_flip_coords_sampled_in_the_flipped_image_is_the_original() -> None:
    rng = np.random.default_rng(1)
    image = rng.random((H, W))
    points = np.stack([rng.uniform(0.5, W - 0.5, 50), rng.uniform(0.5, H - 0.5, 50)], 1)

    def sample(img, xy):
        return [references.bilinear(img, y - 0.5, x - 0.5) for x, y in xy]

    expected = sample(image, points)
    flipped = sample(g.flip_masks(image), g.flip_coords(points, W))
    np.testing.assert_allclose(flipped, expected, atol=1e-12)
    flipped = sample(g.flip_masks_vertical(image), g.flip_coords_vertical(points, H))
    np.testing.assert_allclose(flipped, expected, atol=1e-12)
    # The index flip reads a pixel to the left of the right place.
    wrong = g.flip_coords(points, W - 1)
    assert np.abs(np.subtract(sample(g.flip_masks(image), wrong), expected)).max() > 0.1
    shifted = sample(g.flip_masks(image), wrong + [1, 0])
    np.testing.assert_allclose(shifted, expected, atol=1e-12)


@given(st.integers(0, W - 1))
def test_flip_masks_flips_the_index_of_the_centre_that_flip_coords_flips(i) -> None:
    image = torch.zeros(H, W)
    image[3, i] = 1
    index = int(g.flip_masks(image)[3].argmax())
    coords = torch.tensor([[i + 0.5, 3.5]])
    assert g.coord_to_index(g.flip_coords(coords, W)).tolist() == [[index, 3]]
    assert index == W - 1 - i


@pytest.mark.parametrize("seed", range(10))
def test_flip_polygons_rasterised_is_the_flipped_raster(seed) -> None:
    polygon = random_polygon(seed)
    mask = references.rasterize(polygon, (H, W))
    (flipped,) = g.flip_polygons([polygon], W)
    np.testing.assert_array_equal(references.rasterize(flipped, (H, W)), mask[:, ::-1])
    (flipped,) = g.flip_polygons_vertical([polygon], H)
    np.testing.assert_array_equal(references.rasterize(flipped, (H, W)), mask[::-1])


@pytest.mark.parametrize("seed", range(10))
def test_flip_polygons_detectron1_is_off_by_one_column(seed) -> None:
    polygon = random_polygon(seed)
    mask = references.rasterize(polygon, (H, W))[:, ::-1]
    (flipped,) = g.flip_polygons_detectron1([polygon], W)
    drawn = references.rasterize(flipped, (H, W))
    np.testing.assert_array_equal(drawn, np.roll(mask, -1, axis=1))
    assert (drawn != mask).any()


def test_flip_polygons_rasterised_by_pycocotools() -> None:
    from pycocotools import mask as coco_mask

    def draw(polygon):
        return coco_mask.decode(coco_mask.frPyObjects([polygon.tolist()], H, W))[..., 0]

    error, wrong = [], []
    for seed in range(20):
        polygon = random_polygon(seed)
        expected = references.centroid(draw(polygon)[:, ::-1])[0]
        error.append(references.centroid(draw(g.flip_polygons([polygon], W)[0]))[0] - expected)
        drawn = draw(g.flip_polygons_detectron1([polygon], W)[0])
        wrong.append(references.centroid(drawn)[0] - expected)
    # pycocotools rounds a polygon's border to a fifth of a pixel.
    assert np.abs(error).max() < 0.2
    assert abs(np.mean(error)) < 0.05
    assert np.mean(wrong) == pytest.approx(-1, abs=0.05)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 30))
def test_flip_boxes_cover_the_flipped_pixels(x, y, h, w) -> None:
    image = np.zeros((H, W), bool)
    image[y : y + h, x : x + w] = True
    box = np.array([[x, y, x + w, y + h]], float)

    def pixels(b):
        canvas = np.zeros((H, W), bool)
        x1, y1, x2, y2 = b[0].astype(int)
        canvas[y1:y2, x1:x2] = True
        return canvas

    np.testing.assert_array_equal(pixels(g.flip_boxes(box, W)), image[:, ::-1])
    np.testing.assert_array_equal(pixels(g.flip_boxes_vertical(box, H)), image[::-1])
    inclusive = g.flip_boxes_detectron1(g.float_to_inclusive(box), W)
    np.testing.assert_array_equal(g.inclusive_to_float(inclusive), g.flip_boxes(box, W))


def test_flip_boxes_detectron1_on_float_boxes_is_off_by_one() -> None:
    boxes = references.random_boxes(np.random.default_rng(2), 9)
    error = g.flip_boxes_detectron1(boxes, 640) - g.flip_boxes(boxes, 640)
    np.testing.assert_array_equal(error, np.tile([-1, 0, -1, 0], (9, 1)))


def test_flip_keypoints_swaps_left_and_right() -> None:
    keypoints = torch.tensor([[[10.5, 1, 2], [20, 2, 1], [30, 3, 0], [5, 4, 2], [6, 5, 2]]])
    flipped = g.flip_keypoints(keypoints, 100, FLIP_INDICES)
    expected = [[89.5, 1, 2], [70, 3, 0], [80, 2, 1], [94, 5, 2], [95, 4, 2]]
    assert flipped[0].tolist() == expected
    without_visibility = g.flip_keypoints(keypoints[..., :2], 100, FLIP_INDICES)
    assert torch.equal(without_visibility, flipped[..., :2])


def test_flip_keypoints_detectron1_on_indices_is_the_flip_of_coordinates() -> None:
    rng = np.random.default_rng(3)
    indices = np.concatenate([rng.integers(0, 50, (4, 5, 2)), np.full((4, 5, 1), 2)], -1) * 1.0
    ours = g.flip_keypoints(g.coords_from_coco_keypoints(indices), W, FLIP_INDICES)
    theirs = g.flip_keypoints_detectron1(indices, W, FLIP_INDICES)
    np.testing.assert_array_equal(g.coords_to_coco_keypoints(ours), theirs)
    # Taken for coordinates, Detectron's are one pixel off.
    error = g.flip_keypoints_detectron1(indices, W) - g.flip_keypoints(indices, W)
    assert (error == [-1, 0, 0]).all()


def test_flip_keypoints_detectron1_zeroes_x_of_unlabelled() -> None:
    flipped = g.flip_keypoints_detectron1(torch.tensor([[[10.0, 7, 0], [10, 7, 1]]]), 100)
    assert flipped.tolist() == [[[0, 7, 0], [89, 7, 1]]]


@pytest.mark.parametrize("vertical", [False, True])
def test_flip_rotated_boxes_have_the_flipped_corners(vertical) -> None:
    from detectron2.structures import RotatedBoxes

    def corners(boxes):
        # Counter-clockwise degrees, as in detectron2.structures.RotatedBoxes.
        result = []
        for cx, cy, w, h, angle in boxes:
            c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            for u, v in ((-w, -h), (w, -h), (w, h), (-w, h)):
                result.append(
                    (round(cx + (u * c + v * s) / 2, 6), round(cy + (v * c - u * s) / 2, 6))
                )
        return np.array(result)

    boxes = np.array([[20, 15, 12, 6, 30], [30.25, 12, 5, 8, -70], [10, 10, 4, 4, 0]], float)
    fn, of_corners = (
        (g.flip_rotated_boxes_vertical, g.flip_coords_vertical)
        if vertical
        else (g.flip_rotated_boxes, g.flip_coords)
    )
    ours = corners(fn(boxes, 50.0))
    expected = of_corners(corners(boxes), 50.0)
    for k in range(0, 12, 4):
        assert np.allclose(
            sorted(map(tuple, ours[k : k + 4])), sorted(map(tuple, expected[k : k + 4])), atol=1e-5
        )
    # The reference's reading of the angle is Detectron2's: a box turned by 90 swaps its sides.
    assert RotatedBoxes(fn(boxes, 50.0)).area().tolist() == pytest.approx([72, 40, 16])


def test_flip_equals_fvcore_hflip() -> None:
    from detectron2.data.transforms import HFlipTransform, VFlipTransform
    from detectron2.data.transforms.transform import HFlip_rotated_box

    horizontal, vertical = HFlipTransform(W), VFlipTransform(H)
    coords, boxes, rotated = example((9, 2)), example((9, 4)), example((9, 5))
    boxes = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
    )
    np.testing.assert_array_equal(g.flip_coords(coords, W), horizontal.apply_coords(coords.copy()))
    ours = g.flip_coords_vertical(coords, H)
    np.testing.assert_array_equal(ours, vertical.apply_coords(coords.copy()))
    np.testing.assert_array_equal(g.flip_boxes(boxes, W), horizontal.apply_box(boxes.copy()))
    np.testing.assert_array_equal(g.flip_boxes_vertical(boxes, H), vertical.apply_box(boxes.copy()))
    polygon = random_polygon(0)
    (ours,) = g.flip_polygons([polygon], W)
    (theirs,) = horizontal.apply_polygons([polygon.reshape(-1, 2).copy()])
    np.testing.assert_array_equal(ours.reshape(-1, 2), theirs)
    expected = HFlip_rotated_box(horizontal, rotated.copy())
    np.testing.assert_array_equal(g.flip_rotated_boxes(rotated, W), expected)
    image = np.random.default_rng(0).random((H, W))
    np.testing.assert_array_equal(g.flip_masks(image), horizontal.apply_image(image))


@pytest.mark.parametrize("name", FLIPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flip_numpy_equals_torch_and_is_pure(name, dtype) -> None:
    fn, shape = FLIPS[name]
    for x in (example(shape, dtype), example((0, *shape[1:]), dtype)):
        out = fn(x, W)
        assert isinstance(out, np.ndarray)
        assert out.dtype == dtype
        assert out.shape == x.shape
        np.testing.assert_array_equal(out, fn(torch.from_numpy(x), W).numpy())
        assert_pure(fn, x, W)
        assert_pure(fn, torch.from_numpy(x), W)


@pytest.mark.parametrize("fn", POLYGON_FLIPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flip_polygons_keep_kind_and_input(fn, dtype) -> None:
    arrays = [random_polygon(0).astype(dtype), random_polygon(1)[:6].astype(dtype)]
    out = fn(arrays, W)
    assert [type(p) for p in out] == [np.ndarray, np.ndarray]
    assert [p.dtype for p in out] == [dtype, dtype]
    assert [p.shape for p in out] == [(18,), (6,)]
    tensors = [torch.from_numpy(p) for p in arrays]
    for a, t in zip(out, fn(tensors, W), strict=True):
        np.testing.assert_array_equal(a, t.numpy())
    np.testing.assert_allclose(fn(out, W)[0], arrays[0], atol=1e-5)
    assert_pure(fn, arrays, W)
    assert_pure(fn, tensors, W)
    assert fn([], W) == []


@pytest.mark.parametrize("fn", MASK_FLIPS)
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(4, 5), (0, 4, 5), (2, 3, 4, 5)])
def test_flip_masks_twice_is_identity_in_any_dtype(fn, dtype, shape) -> None:
    x = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    out = fn(x)
    assert isinstance(out, np.ndarray)
    assert out.dtype == dtype
    np.testing.assert_array_equal(fn(out), x)
    assert_pure(fn, torch.from_numpy(x))


@pytest.mark.parametrize("name", FLIPS)
def test_flip_stays_on_its_device(name, device) -> None:
    fn, shape = FLIPS[name]
    assert fn(torch.ones(shape, device=device), W).device.type == device.type


@pytest.mark.parametrize("name", FLIPS)
def test_flip_gradcheck(name) -> None:
    fn, shape = FLIPS[name]
    x = torch.from_numpy(example(shape)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: fn(v, W), x)


@pytest.mark.parametrize("name", FLIPS)
@pytest.mark.parametrize("length", [0, -1, math.nan, math.inf])
def test_flip_refuses_bad_length(name, length) -> None:
    fn, shape = FLIPS[name]
    with pytest.raises(ValueError, match="height" if "vertical" in name else "width"):
        fn(torch.ones(shape), length)


@pytest.mark.parametrize("name", FLIPS)
@pytest.mark.parametrize("bad", [torch.ones(3, 7), torch.tensor(1.0), [[1.0, 2.0]]])
def test_flip_refuses_bad_shape(name, bad) -> None:
    fn, _ = FLIPS[name]
    argument = next(k for k in ("coords", "boxes", "keypoints") if k in name)
    with pytest.raises(ValueError, match=argument):
        fn(bad, W)


@pytest.mark.parametrize("fn", POLYGON_FLIPS)
def test_flip_polygons_takes_a_coco_file_s_lists_and_gives_lists(fn) -> None:
    polygon = [1.0, 2.0, 3.5, 4.0, 5, 6]
    (flipped,) = fn([polygon], W)
    assert isinstance(flipped, list)
    assert flipped == fn([torch.tensor(polygon, dtype=torch.float64)], W)[0].tolist()
    assert polygon == [1.0, 2.0, 3.5, 4.0, 5, 6]


@pytest.mark.parametrize("fn", POLYGON_FLIPS)
@pytest.mark.parametrize(
    "bad", [[torch.ones(5)], [torch.ones(3, 2)], torch.ones(6), [[1.0, 2.0, 3.0]], [["a", "b"]]]
)
def test_flip_polygons_refuses_bad_polygons(fn, bad) -> None:
    with pytest.raises(ValueError, match="polygons"):
        fn(bad, W)


@pytest.mark.parametrize("fn", POLYGON_FLIPS)
@pytest.mark.parametrize("length", [0, -1, math.nan])
def test_flip_polygons_refuses_bad_length(fn, length) -> None:
    with pytest.raises(ValueError, match=r"width|height"):
        fn([torch.ones(6)], length)


@pytest.mark.parametrize("fn", [g.flip_keypoints, g.flip_keypoints_detectron1])
@pytest.mark.parametrize("indices", [[0, 1], [0, 0, 1, 2, 3], [1, 2, 3, 4, 5], []])
def test_flip_keypoints_refuses_no_permutation(fn, indices) -> None:
    with pytest.raises(ValueError, match="flip_indices"):
        fn(torch.ones(2, 5, 3), W, indices)
