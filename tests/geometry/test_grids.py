"""The three grids of the article and their 2x resizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from d2align import geometry as g

GRIDS = {1: g.align_corners_grid, 2: g.half_pixel_grid, 3: g.asymmetric_grid}
POSITIONS = {
    1: g.resize_positions_align_corners,
    2: g.resize_positions_half_pixel,
    3: g.resize_positions_asymmetric,
}
RESIZES = {1: g.resize_align_corners, 2: g.resize_half_pixel, 3: g.resize_asymmetric}
UPSAMPLES = {
    "half_stride": g.upsample2x_half_stride,
    "twice_samples": g.upsample2x_twice_samples,
    "half_pixel": g.upsample2x_half_pixel,
    "asymmetric": g.upsample2x_asymmetric,
}
sizes = st.integers(1, 40)


def as_row(fn, values: list[float]) -> list[float]:
    """Resize a signal as the columns of an image whose rows are all the same."""
    image = torch.tensor([values] * len(values), dtype=torch.float64)
    out = fn(image)
    assert torch.allclose(out, out[:1].expand_as(out))
    assert torch.allclose(fn(image.T.contiguous()), out.T)
    return out[0].tolist()


# ---- where the samples are


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize(("length", "stride"), [(1, 1), (5, 1), (6, 2), (6, 0.5), (9, 3), (1, 0.1)])
def test_grid_matches_the_article(grid, length, stride) -> None:
    made = GRIDS[grid](length, stride)
    expected = references.grid_locations(grid, length, stride)
    assert made.resolution == len(expected)
    assert made.stride == stride
    np.testing.assert_allclose(made.locations(), expected, atol=1e-12)


def test_grid_locations_hand_worked() -> None:
    assert g.align_corners_grid(4).locations().tolist() == [0, 1, 2, 3, 4]
    assert g.half_pixel_grid(4).locations().tolist() == [0.5, 1.5, 2.5, 3.5]
    assert g.asymmetric_grid(4).locations().tolist() == [0, 1, 2, 3]
    assert g.align_corners_grid(4, 0.5).resolution == 9
    assert g.half_pixel_grid(4, 0.5).locations()[0] == 0.25


@given(st.integers(1, 100), st.integers(1, 20))
def test_grid_stride_is_the_inverse_of_resolution_except_on_grid_1(steps, stride) -> None:
    length = steps * stride
    for grid in (2, 3):
        assert (
            GRIDS[grid](length, stride / 2).resolution == 2 * GRIDS[grid](length, stride).resolution
        )
    assert GRIDS[1](length, stride / 2).resolution == 2 * GRIDS[1](length, stride).resolution - 1


@given(st.integers(1, 50))
def test_grid_symmetry_only_grid_3_is_moved_by_a_flip(n) -> None:
    for grid in (1, 2):
        x = GRIDS[grid](n).locations()
        assert torch.equal(n - x.flip(0), x)
    x = GRIDS[3](n).locations()
    assert torch.equal(n - x.flip(0), x + 1)


@pytest.mark.parametrize("make", GRIDS.values())
@pytest.mark.parametrize(
    ("length", "stride"),
    [(0, 1), (-4, 1), (4, 0), (4, -1), (5, 2), (4, math.nan), (math.nan, 1), (math.inf, 1)],
)
def test_grid_refuses_what_is_no_multiple(make, length, stride) -> None:
    with pytest.raises(ValueError, match="length"):
        make(length, stride)


@pytest.mark.parametrize("grid", [1, 2, 3])
@given(n=sizes, m=sizes)
def test_resize_positions_are_those_of_the_definition(grid, n, m) -> None:
    positions = POSITIONS[grid](n, m)
    assert positions.dtype == torch.float64
    np.testing.assert_allclose(positions, references.resize_1d([0] * n, m, grid)[0], atol=1e-9)


@given(n=st.integers(2, 40))
def test_resize_positions_extrapolation_at_2x(n) -> None:
    """Grids 2 and 3 read outside [0, n - 1]; grid 1 never does."""
    for m in (2 * n, 2 * n - 1):
        p = POSITIONS[1](n, m)
        assert p[0] == 0
        assert p[-1] == pytest.approx(n - 1)
        assert (p <= n - 1 + 1e-9).all()
    p = POSITIONS[2](n, 2 * n)
    assert (p < 0).nonzero().flatten().tolist() == [0]
    assert (p > n - 1).nonzero().flatten().tolist() == [2 * n - 1]
    assert p[0] == -0.25
    assert p[-1] == n - 1 + 0.25
    p = POSITIONS[3](n, 2 * n)
    assert (p < 0).sum() == 0
    assert (p > n - 1).nonzero().flatten().tolist() == [2 * n - 1]
    assert p[-1] == n - 1 + 0.5


@given(n=sizes, m=sizes)
def test_resize_positions_mirror_except_on_grid_3(n, m) -> None:
    for grid in (1, 2):
        if grid == 1 and m == 1:
            continue  # a single sample sits on the first input by definition
        p = POSITIONS[grid](n, m)
        assert torch.allclose(n - 1 - p.flip(0), p, atol=1e-9)
    p = POSITIONS[3](n, m)
    assert torch.allclose(n - 1 - p.flip(0), p + (n / m - 1), atol=1e-9)


@given(n=sizes, m=sizes)
def test_resize_positions_asymmetric_offset_to_half_pixel(n, m) -> None:
    difference = POSITIONS[2](n, m) - POSITIONS[3](n, m)
    assert torch.allclose(difference, torch.full_like(difference, (n / m - 1) / 2), atol=1e-9)


@pytest.mark.parametrize("fn", POSITIONS.values())
@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (-1, 2), (2.5, 2), (math.nan, 2)])
def test_resize_positions_refuse_bad_sizes(fn, n, m) -> None:
    with pytest.raises(ValueError, match="in_size, out_size"):
        fn(n, m)


# ---- the resizes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("half_stride", [0, 5, 10, 25, 40, 35, 30]),
        ("twice_samples", [0, 30 / 7, 60 / 7, 130 / 7, 220 / 7, 270 / 7, 240 / 7, 30]),
        ("half_pixel", [0, 2.5, 7.5, 17.5, 32.5, 37.5, 32.5, 30]),
        ("asymmetric", [0, 5, 10, 25, 40, 35, 30, 30]),
    ],
)
def test_upsample2x_hand_worked(name, expected) -> None:
    assert as_row(UPSAMPLES[name], [0, 10, 40, 30]) == pytest.approx(expected, abs=1e-12)


FIVE = torch.zeros(5, 5, dtype=torch.float64)
FIVE[2, 2] = 16


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("half_stride", [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0]),
        ("twice_samples", [0, 0, 0, 3 / 9, 7 / 9, 7 / 9, 3 / 9, 0, 0, 0]),
        ("half_pixel", [0, 0, 0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0]),
        ("asymmetric", [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0, 0]),
    ],
)
def test_upsample2x_of_one_pixel_in_5x5(name, profile) -> None:
    row = torch.tensor(profile, dtype=torch.float64)
    assert torch.allclose(UPSAMPLES[name](FIVE), 16 * row[:, None] * row[None, :], atol=1e-12)


@pytest.mark.parametrize("name", UPSAMPLES)
@given(n=st.integers(2, 20))
def test_upsample2x_information_loss(name, n) -> None:
    """Which of the samples survive: those whose value appears unchanged in the result."""
    values = [float(v * v) + 0.125 for v in range(n)]
    image = torch.tensor([values], dtype=torch.float64).expand(2, n)
    out = UPSAMPLES[name](image)[0].tolist()
    assert len(out) == (2 * n - 1 if name == "half_stride" else 2 * n)
    if name == "half_stride":
        assert out[::2] == values
    elif name == "asymmetric":
        assert out[::2] == values
        assert out[-1] == values[-1]
    elif name == "twice_samples":
        assert out[0] == values[0]
        assert out[-1] == pytest.approx(values[-1], abs=1e-9)
        assert all(abs(o - v) > 1e-6 for o in out[1:-1] for v in values[1:-1])
    else:
        # None is kept; the two ends are made up, by repeating the edge.
        assert all(abs(o - v) > 1e-6 for o in out[1:-1] for v in values)


def test_upsample2x_new_grid_is_still_the_grid_of_the_article() -> None:
    n = 6
    old, new = g.half_pixel_grid(n), g.half_pixel_grid(n, 0.5)
    read = old.offset + old.stride * g.resize_positions_half_pixel(n, new.resolution)
    assert torch.allclose(read, new.locations())
    old, new = g.align_corners_grid(n), g.align_corners_grid(n, 0.5)
    read = g.resize_positions_align_corners(old.resolution, new.resolution)
    assert torch.allclose(read, new.locations())
    old, new = g.asymmetric_grid(n), g.asymmetric_grid(n, 0.5)
    read = g.resize_positions_asymmetric(old.resolution, new.resolution)
    assert torch.allclose(read, new.locations())


@pytest.mark.parametrize("name", ["half_stride", "twice_samples", "half_pixel"])
def test_upsample2x_commutes_with_flip(name) -> None:
    x = torch.rand(3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fn = UPSAMPLES[name]
    for dims in ((-1,), (-2,)):
        assert torch.allclose(fn(x.flip(dims)), fn(x).flip(dims), atol=1e-12)


def test_upsample2x_asymmetric_does_not_commute_with_flip_by_one_output_sample() -> None:
    ramp = torch.arange(8, dtype=torch.float64).expand(2, 8)
    flip_first = g.upsample2x_asymmetric(ramp.flip(-1))
    flip_last = g.upsample2x_asymmetric(ramp).flip(-1)
    assert not torch.allclose(flip_first, flip_last)
    # Half an input sample, which is one output sample.
    assert ((flip_last - flip_first)[:, 1:-1] == 0.5).all()
    assert torch.equal(flip_first[:, :-1], flip_last[:, 1:])


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize("size", [(7, 9), (14, 18), (4, 3), (1, 1), (13, 2)])
def test_resize_equals_reference(grid, size) -> None:
    x = torch.rand(7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows = [references.resize_1d(c, size[0], grid)[1] for c in x.T.numpy()]
    expected = [references.resize_1d(r, size[1], grid)[1] for r in np.array(rows).T]
    np.testing.assert_allclose(RESIZES[grid](x, size), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(10, 14), (9, 13), (5, 7), (3, 4), (23, 31), (1, 1)])
@pytest.mark.parametrize("align_corners", [True, False])
def test_resize_equals_interpolate(dtype, size, align_corners, device) -> None:
    x = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(2)).to(device, dtype)
    ours = (g.resize_align_corners if align_corners else g.resize_half_pixel)(x, size)
    theirs = F.interpolate(x, size, mode="bilinear", align_corners=align_corners)
    # torch finds positions of up to 30 in the dtype itself, ours are float64.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_resize_half_pixel_equals_opencv() -> None:
    import cv2

    x = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    for h, w in ((12, 18), (7, 20), (4, 5)):
        ours = g.resize_half_pixel(torch.from_numpy(x), (h, w)).numpy()
        np.testing.assert_allclose(ours, cv2.resize(x, (w, h)), atol=1e-6)


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_resize_to_the_same_size_is_identity(grid) -> None:
    x = torch.rand(2, 5, 6)
    assert torch.equal(RESIZES[grid](x, (5, 6)), x)
    references.assert_pure(RESIZES[grid], x, (5, 6))


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_resize_gradcheck(grid) -> None:
    x = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: RESIZES[grid](v, (5, 7)), x)


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_resize_empty_batch_and_dtype(grid, device) -> None:
    out = RESIZES[grid](torch.zeros(0, 3, 4, 5, device=device, dtype=torch.float64), (8, 10))
    assert out.shape == (0, 3, 8, 10)
    assert out.dtype == torch.float64
    assert out.device.type == device.type


def test_downsample2x_size_deeplab_chain() -> None:
    for size, chain in ((321, [161, 81, 41, 21, 11]), (513, [257, 129, 65, 33, 17])):
        for expected in chain:
            half = g.downsample2x_size_half_stride(size)
            assert half == expected
            up = g.upsample2x_half_stride(torch.zeros(half, 2))
            assert up.shape[0] == size
            size = half


@given(st.integers(1, 500))
def test_downsample2x_size_keeps_every_other_sample(half) -> None:
    size = 2 * half - 1
    assert g.downsample2x_size_half_stride(size) == len(range(0, size, 2))


@pytest.mark.parametrize("size", [0, -1, 2, 320, 512])
def test_downsample2x_size_refuses_even(size) -> None:
    with pytest.raises(ValueError, match="size"):
        g.downsample2x_size_half_stride(size)


@pytest.mark.parametrize("fn", RESIZES.values())
@pytest.mark.parametrize(
    ("image", "size", "name"),
    [
        (torch.zeros(3), (2, 2), "image"),
        (torch.zeros(3, 3, dtype=torch.int64), (2, 2), "image"),
        (torch.zeros(3, 3, dtype=torch.bool), (2, 2), "image"),
        ([[1.0]], (2, 2), "image"),
        (torch.zeros(3, 0), (2, 2), "image"),
        (torch.zeros(3, 3), (0, 2), "size"),
        (torch.zeros(3, 3), (2, -1), "size"),
        (torch.zeros(3, 3), (2.5, 2), "size"),
        (torch.zeros(3, 3), (2,), "size"),
        (torch.zeros(3, 3), 2, "size"),
        (torch.zeros(3, 3), (math.inf, 2), "size"),
    ],
)
def test_resize_refuses_bad_input(fn, image, size, name) -> None:
    with pytest.raises(ValueError, match=name):
        fn(image, size)


@pytest.mark.parametrize("fn", UPSAMPLES.values())
@pytest.mark.parametrize("image", [torch.zeros(3), torch.zeros(3, 3).long(), [[1.0]]])
def test_upsample2x_refuses_bad_image(fn, image) -> None:
    with pytest.raises(ValueError, match="image"):
        fn(image)
