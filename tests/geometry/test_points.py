"""Point sampling, and points in units of a box, of an image, and in pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2align import geometry as g

SAMPLES = [g.sample_points, g.sample_points_align_corners]


def ramp(h: int, w: int) -> torch.Tensor:
    xs = (torch.arange(w) + 0.5).double().expand(h, w)
    ys = (torch.arange(h) + 0.5).double()[:, None].expand(h, w)
    return torch.stack([xs, ys])[None]


def inner_points(h: int, w: int, n: int = 40) -> torch.Tensor:
    """Unit coordinates between the centres of the outermost cells."""
    u = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (1, n, 2)))
    least = torch.tensor([0.5 / w, 0.5 / h])
    return least + u * (1 - 2 * least)


def test_sample_points_of_a_ramp_returns_coordinates() -> None:
    points = inner_points(6, 9)
    out = g.sample_points(ramp(6, 9), points)[0]
    torch.testing.assert_close(out, (points[0] * torch.tensor([9, 6])).T, rtol=0, atol=1e-12)


def test_sample_points_align_corners_is_off_by_up_to_half_a_cell() -> None:
    points = torch.tensor([[[0.0, 0], [0.25, 0.5], [0.5, 0.5], [1, 1]]]).double()
    out = g.sample_points_align_corners(ramp(8, 8), points)[0]
    expected = points[0] * 8 + (0.5 - points[0])
    torch.testing.assert_close(out, expected.T, rtol=0, atol=1e-12)
    inner = inner_points(8, 8)
    error = g.sample_points_align_corners(ramp(8, 8), inner) - g.sample_points(ramp(8, 8), inner)
    torch.testing.assert_close(error[0], (0.5 - inner[0]).T, rtol=0, atol=1e-12)


def test_sample_points_equals_reference() -> None:
    features = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    points = torch.from_numpy(np.random.default_rng(1).uniform(-0.1, 1.1, (1, 60, 2)))
    out = g.sample_points(features, points)
    for c in range(2):
        expected = [
            references.bilinear(features[0, c].numpy(), v * 5 - 0.5, u * 7 - 0.5, outside=0.0)
            for u, v in points[0].tolist()
        ]
        np.testing.assert_allclose(out[0, c], expected, atol=1e-12)


def test_sample_points_on_cell_centres_returns_the_cells() -> None:
    features = torch.rand(3, 2, 6, 6)
    out = g.sample_points(features, g.regular_points(6, 3))
    torch.testing.assert_close(out, features.flatten(2), rtol=0, atol=1e-5)


def test_sample_points_equals_detectron2_point_rend() -> None:
    from detectron2.projects.point_rend import point_features

    features = torch.rand(4, 3, 7, 9)
    points = torch.rand(4, 50, 2)
    theirs = point_features.point_sample(features, points, align_corners=False)
    assert torch.equal(g.sample_points(features, points), theirs)
    regular = point_features.generate_regular_grid_point_coords(4, 7, "cpu")
    # Theirs come from an affine grid, to the last bits of float32.
    torch.testing.assert_close(g.regular_points(7, 4), regular, rtol=0, atol=1e-6)
    boxes = torch.from_numpy(references.random_boxes(np.random.default_rng(2), 4)).float()
    theirs = point_features.get_point_coords_wrt_image(boxes, points)
    torch.testing.assert_close(g.unit_to_image_coords(points, boxes), theirs, rtol=0, atol=0)


def test_sample_points_of_flipped_features_at_flipped_points() -> None:
    features = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    points = torch.rand(1, 30, 2, dtype=torch.float64)
    flipped = g.flip_coords(points, 1.0)
    for fn in SAMPLES:
        torch.testing.assert_close(fn(features.flip(-1), flipped), fn(features, points))


def test_roi_align_with_one_sample_is_sample_points_at_regular_points() -> None:
    features = torch.rand(1, 2, 12, 15, dtype=torch.float64)
    boxes = torch.tensor([[2.3, 1.7, 13.1, 9.9]]).double()
    points = g.unit_to_image_coords(g.regular_points(4, 1).double(), boxes)
    sampled = g.sample_image_points(features, points, (12, 15))
    rois = torch.cat([torch.zeros(1, 1), boxes], dim=1)
    crop = g.roi_align(features, rois, 4, 1.0, 1)
    torch.testing.assert_close(sampled, crop.flatten(2))


@pytest.mark.parametrize("scale", [1, 4, 16])
def test_sample_image_points_do_not_depend_on_the_stride(scale) -> None:
    """A ramp held at any stride gives the coordinates in the image."""
    h, w = 8, 10
    image_size = (h * scale, w * scale)
    points = inner_points(h, w) * torch.tensor([w * scale, h * scale])
    out = g.sample_image_points(ramp(h, w) * scale, points, image_size)
    torch.testing.assert_close(out[0], points[0].T, rtol=0, atol=1e-9)


def test_regular_points_are_the_centres_of_cells() -> None:
    assert g.regular_points(2, 1)[0].tolist() == [
        [0.25, 0.25],
        [0.75, 0.25],
        [0.25, 0.75],
        [0.75, 0.75],
    ]
    points = g.regular_points(5, 3)
    assert points.shape == (3, 25, 2)
    torch.testing.assert_close(points.mean(1), torch.full((3, 2), 0.5))
    assert g.regular_points(5, 0).shape == (0, 25, 2)


@given(st.lists(st.floats(-2, 3), min_size=6, max_size=6))
def test_image_to_unit_coords_inverts_unit_to_image_coords(values) -> None:
    points = torch.tensor(values, dtype=torch.float64).reshape(1, 3, 2)
    box = torch.tensor([[12.5, 7, 112, 57.25]], dtype=torch.float64)
    back = g.image_to_unit_coords(g.unit_to_image_coords(points, box), box)
    torch.testing.assert_close(back, points, rtol=0, atol=1e-12)


def test_unit_to_image_coords_corners() -> None:
    box = torch.tensor([[12.5, 7, 112, 57.25]])
    corners = torch.tensor([[[0.0, 0], [1, 1], [0.5, 0]]])
    assert g.unit_to_image_coords(corners, box).tolist() == [[[12.5, 7], [112, 57.25], [62.25, 7]]]


@pytest.mark.parametrize("fn", SAMPLES)
def test_sample_points_gradcheck(fn) -> None:
    features = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    points = (0.31 + 0.4 * torch.rand(1, 6, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(fn, (features, points))


def test_unit_to_image_coords_gradcheck() -> None:
    points = torch.rand(2, 3, 2, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[1.0, 2, 6, 8], [0, 0, 3, 4]]).double().requires_grad_()
    assert torch.autograd.gradcheck(g.unit_to_image_coords, (points, boxes))
    assert torch.autograd.gradcheck(g.image_to_unit_coords, (points, boxes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0, 2])
def test_points_empty_dtype_and_pure(dtype, n, device) -> None:
    features = torch.rand(n, 3, 4, 5, dtype=dtype, device=device)
    points = torch.rand(n, 6, 2, dtype=dtype, device=device)
    boxes = torch.tensor([[0.0, 0, 4, 4]], dtype=dtype, device=device).repeat(n, 1)
    for fn, args, shape in (
        (g.sample_points, (features, points), (n, 3, 6)),
        (g.sample_points_align_corners, (features, points), (n, 3, 6)),
        (g.sample_image_points, (features, points, (8, 10)), (n, 3, 6)),
        (g.unit_to_image_coords, (points, boxes), (n, 6, 2)),
        (g.image_to_unit_coords, (points, boxes), (n, 6, 2)),
    ):
        out = references.assert_pure(fn, *args)
        assert out.shape == shape
        assert out.dtype == dtype
        assert out.device == features.device
    assert g.regular_points(2, 1, device=device).device == features.device


FEATURES, POINTS, BOX = torch.rand(1, 2, 4, 4), torch.rand(1, 3, 2), torch.tensor([[0.0, 0, 4, 4]])


@pytest.mark.parametrize("fn", SAMPLES)
@pytest.mark.parametrize(
    ("args", "name"),
    [
        ((FEATURES[0], POINTS), "features"),
        ((FEATURES.long(), POINTS), "features"),
        (([1.0], POINTS), "features"),
        ((FEATURES.repeat(2, 1, 1, 1), POINTS), "features"),
        ((FEATURES, POINTS[0]), "unit_coords"),
        ((FEATURES, POINTS[..., :1]), "unit_coords"),
        ((FEATURES, torch.rand(1, 3, 3)), "unit_coords"),
        ((FEATURES, POINTS.long()), "unit_coords"),
        ((FEATURES, POINTS.tolist()), "unit_coords"),
    ],
)
def test_sample_points_refuses_bad_input(fn, args, name) -> None:
    with pytest.raises(ValueError, match=name):
        fn(*args)


@pytest.mark.parametrize(
    ("args", "name"),
    [
        ((FEATURES[0], POINTS, (8, 8)), "features"),
        ((FEATURES, POINTS[0], (8, 8)), r"\bcoords"),
        ((FEATURES, torch.rand(1, 3, 3), (8, 8)), r"\bcoords"),
        ((FEATURES, POINTS.tolist(), (8, 8)), r"\bcoords"),
        ((FEATURES, POINTS, (0, 8)), "image_size"),
        ((FEATURES, POINTS, 8), "image_size"),
    ],
)
def test_sample_image_points_refuses_bad_input(args, name) -> None:
    with pytest.raises(ValueError, match=name):
        g.sample_image_points(*args)


@pytest.mark.parametrize(
    ("fn", "argument"),
    [(g.unit_to_image_coords, "unit_coords"), (g.image_to_unit_coords, r"\bcoords")],
)
def test_image_coords_refuse_bad_input(fn, argument) -> None:
    for bad in (POINTS[0], POINTS[..., :1], torch.rand(1, 3, 3), POINTS.tolist()):
        with pytest.raises(ValueError, match=argument):
            fn(bad, BOX)
    with pytest.raises(ValueError, match=argument):
        fn(POINTS.repeat(2, 1, 1), BOX)
    for bad_box in (BOX[0], BOX.long(), BOX[:, :3], BOX * math.nan, BOX[:, [2, 3, 0, 1]]):
        with pytest.raises(ValueError, match="boxes"):
            fn(POINTS, bad_box)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_image_to_unit_coords_refuses_zero_size(dtype) -> None:
    with pytest.raises(ValueError, match="boxes"):
        g.image_to_unit_coords(POINTS.to(dtype), torch.tensor([[1.0, 1, 1, 5]], dtype=dtype))
    flat = torch.tensor([[1.0, 1, 1, 5]], dtype=dtype)
    assert (g.unit_to_image_coords(POINTS.to(dtype), flat)[..., 0] == 1).all()


@pytest.mark.parametrize(("side", "num"), [(0, 1), (-1, 1), (3, -1)])
def test_regular_points_refuses_bad_numbers(side, num) -> None:
    with pytest.raises(ValueError, match=r"side|num"):
        g.regular_points(side, num)
