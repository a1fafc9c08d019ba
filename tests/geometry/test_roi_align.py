"""RoIAlign reads where the box says; the unaligned one half a feature pixel further."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch

from d2align import geometry as g

ALL = [g.roi_align, g.roi_align_unaligned, g.roi_align_grid_sample]
ALIGNED = [g.roi_align, g.roi_align_grid_sample]


def ramps(h: int, w: int, dtype=torch.float64) -> torch.Tensor:
    """Two channels that hold the x and y coordinates of every pixel's centre."""
    ys, xs = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return torch.stack([xs, ys])[None].to(dtype)


def bin_centers(roi, bins) -> torch.Tensor:
    """(2, K, K): the coordinates of the centres of the bins, from the article's formula."""
    _, x1, y1, x2, y2 = roi
    xs = [x1 + (0.5 + j) * (x2 - x1) / bins for j in range(bins)]
    ys = [y1 + (0.5 + i) * (y2 - y1) / bins for i in range(bins)]
    return torch.tensor([[xs] * bins, [[y] * bins for y in ys]], dtype=torch.float64)


def random_rois(n: int, batch: int, h: float, w: float, seed: int = 0, outside: bool = False):
    rng = np.random.default_rng(seed)
    margin = 6 if outside else 0
    x = np.sort(rng.uniform(-margin, w + margin, (n, 2)), axis=1)
    y = np.sort(rng.uniform(-margin, h + margin, (n, 2)), axis=1)
    index = rng.integers(0, batch, n)
    return torch.from_numpy(np.stack([index, x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1))


@pytest.mark.parametrize("fn", ALIGNED)
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_roi_align_of_a_ramp_returns_coordinates(fn, ratio, scale) -> None:
    features = ramps(20, 30)
    roi = torch.tensor([[0, 5.3, 4.1, 17.9, 15.2]], dtype=torch.float64)
    image_roi = torch.cat([roi[:, :1], roi[:, 1:] / scale], dim=1)
    out = fn(features, image_roi, 7, scale, ratio)[0]
    torch.testing.assert_close(out, bin_centers(roi[0].tolist(), 7), rtol=0, atol=1e-9)


@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_roi_align_unaligned_of_a_ramp_is_off_by_half(ratio, scale) -> None:
    features = ramps(20, 30)
    roi = torch.tensor([[0, 5.3, 4.1, 17.9, 15.2]], dtype=torch.float64)
    image_roi = torch.cat([roi[:, :1], roi[:, 1:] / scale], dim=1)
    out = g.roi_align_unaligned(features, image_roi, 7, scale, ratio)[0]
    torch.testing.assert_close(out - bin_centers(roi[0].tolist(), 7), torch.full_like(out, 0.5))


def test_roi_align_unaligned_takes_small_regions_as_one_pixel() -> None:
    features = ramps(9, 9)
    roi = torch.tensor([[0, 4.0, 4.0, 4.2, 4.2]], dtype=torch.float64)
    one = torch.tensor([[0, 4.0, 4.0, 5.0, 5.0]], dtype=torch.float64)
    assert torch.equal(
        g.roi_align_unaligned(features, roi, 3), g.roi_align_unaligned(features, one, 3)
    )
    assert not torch.allclose(g.roi_align(features, roi, 3), g.roi_align(features, one, 3))


def test_roi_align_hand_worked_5x5() -> None:
    features = (torch.arange(25.0).reshape(1, 1, 5, 5)).double()
    # A 2 x 2 region on pixel edges: bins are pixels.
    on_pixels = torch.tensor([[0, 1.0, 1.0, 3.0, 3.0]]).double()
    assert g.roi_align(features, on_pixels, 2)[0, 0].tolist() == [[6, 7], [11, 12]]
    assert g.roi_align_unaligned(features, on_pixels, 2)[0, 0].tolist() == [[9, 10], [14, 15]]
    # Half a pixel further each bin averages four pixels.
    between = on_pixels + torch.tensor([0, 0.5, 0.5, 0.5, 0.5])
    assert g.roi_align(features, between, 2)[0, 0].tolist() == [[9, 10], [14, 15]]
    # Detectron2's own example: region (1, 1)-(3, 3) in 4 x 4 bins.
    aligned = [[4.5, 5, 5.5, 6], [7, 7.5, 8, 8.5], [9.5, 10, 10.5, 11], [12, 12.5, 13, 13.5]]
    assert g.roi_align(features, on_pixels, 4)[0, 0].tolist() == aligned
    unaligned = [[7.5, 8, 8.5, 9], [10, 10.5, 11, 11.5], [12.5, 13, 13.5, 14], [15, 15.5, 16, 16.5]]
    assert g.roi_align_unaligned(features, on_pixels, 4)[0, 0].tolist() == unaligned


def test_roi_align_of_the_whole_map_at_its_size_is_identity() -> None:
    features = torch.rand(1, 2, 6, 6, dtype=torch.float64)
    whole = torch.tensor([[0, 0.0, 0, 6, 6]]).double()
    for fn in ALIGNED:
        torch.testing.assert_close(fn(features, whole, 6), features)


def test_roi_align_commutes_with_flip_and_unaligned_does_not() -> None:
    features = torch.rand(2, 3, 15, 20, dtype=torch.float64)
    rois = random_rois(30, 2, 15, 20)
    flipped = torch.cat([rois[:, :1], g.flip_boxes(rois[:, 1:], 20)], dim=1)
    for fn in ALIGNED:
        left, right = fn(features.flip(-1), flipped, 5), fn(features, rois, 5).flip(-1)
        torch.testing.assert_close(left, right)
    ramp, roi = ramps(15, 20), torch.tensor([[0, 5.0, 4, 12, 11]]).double()
    back = torch.cat([roi[:, :1], g.flip_boxes(roi[:, 1:], 20)], dim=1)
    error = g.roi_align_unaligned(ramp.flip(-1), back, 5).flip(-1) - g.roi_align_unaligned(
        ramp, roi, 5
    )
    # One is half a pixel too far right, the other too far left.
    torch.testing.assert_close(error[0, 0], torch.full((5, 5), -1.0).double())


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("size", [(3, 3), (2, 4)])
def test_roi_align_equals_reference(outside, ratio, scale, size) -> None:
    features = torch.rand(2, 2, 8, 11, dtype=torch.float64)
    rois = random_rois(12, 2, 8 / scale, 11 / scale, seed=ratio, outside=outside)
    for fn in ALL:
        aligned = fn is not g.roi_align_unaligned
        expected = references.roi_align(features, rois, size, scale, ratio, aligned)
        np.testing.assert_allclose(fn(features, rois, size, scale, ratio), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_equals_torchvision_and_grid_sample(dtype, ratio, device) -> None:
    from torchvision.ops import roi_align

    features = torch.rand(2, 4, 25, 38).to(device, dtype)
    rois = random_rois(200, 2, 400, 608, outside=True).to(device, dtype)
    args = (7, 1 / 16, ratio)
    expected = roi_align(features, rois, *args, aligned=True)
    assert torch.equal(g.roi_align(features, rois, *args), expected)
    unaligned = roi_align(features, rois, *args, aligned=False)
    assert torch.equal(g.roi_align_unaligned(features, rois, *args), unaligned)
    ours = g.roi_align_grid_sample(features, rois, *args)
    # grid_sample works in [-1, 1]: 38 / 2 times float32's 6e-8, a few times over
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("fn", ALIGNED)
@pytest.mark.parametrize("ratio", [0, 1, 2])
def test_roi_align_of_zero_size_equals_torchvision(fn, ratio) -> None:
    from torchvision.ops import roi_align

    features = ramps(9, 9)
    rois = torch.tensor([[0, 4.0, 3, 4, 3], [0, 4, 3, 4, 7], [0, 2, 3, 5, 3]]).double()
    out = fn(features, rois, 3, 1.0, ratio)
    torch.testing.assert_close(out, roi_align(features, rois, 3, 1.0, ratio, aligned=True))
    if ratio == 0:
        assert not out.any()
    else:
        torch.testing.assert_close(out[0, 0], torch.full((3, 3), 4.0).double())


@pytest.mark.parametrize("fn", ALL)
def test_roi_align_far_outside_is_zero(fn) -> None:
    rois = torch.tensor([[0, 20.0, 20, 25, 25], [0, -25, -25, -20, -20]])
    assert not fn(torch.ones(1, 1, 8, 8), rois, 2).any()


@pytest.mark.parametrize("fn", ALL)
def test_roi_align_gradcheck(fn) -> None:
    features = torch.rand(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = random_rois(3, 2, 5, 6)
    assert torch.autograd.gradcheck(lambda x: fn(x, rois, 2, 1.0, 2), features)


def test_roi_align_grid_sample_gradcheck_in_boxes() -> None:
    features = torch.rand(1, 2, 7, 8, dtype=torch.float64)
    boxes = torch.tensor([[1.13, 1.27, 5.41, 5.83]], dtype=torch.float64, requires_grad=True)

    def fn(b):
        return g.roi_align_grid_sample(features, torch.cat([b.new_zeros(1, 1), b], 1), 2, 1.0, 2)

    assert torch.autograd.gradcheck(fn, boxes)


@pytest.mark.parametrize("fn", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roi_align_empty_dtype_and_pure(fn, dtype, device) -> None:
    features = torch.rand(1, 3, 6, 6, dtype=dtype, device=device)
    assert fn(features, torch.zeros(0, 5, device=device), (2, 3)).shape == (0, 3, 2, 3)
    assert fn(features[:0], torch.zeros(0, 5, device=device), 2).shape == (0, 3, 2, 2)
    rois = torch.tensor([[0, 1.0, 1, 4, 4]], device=device)
    out = references.assert_pure(fn, features, rois, 2)
    assert out.dtype == dtype
    assert out.device == features.device


X, ROI = torch.zeros(2, 1, 4, 4), torch.tensor([[0, 0, 0, 1.0, 1]])


@pytest.mark.parametrize("fn", ALL)
@pytest.mark.parametrize(
    ("args", "name"),
    [
        (([[1.0]], ROI, 2), "input"),
        ((torch.zeros(4, 4), ROI, 2), "input"),
        ((X.long(), ROI, 2), "input"),
        ((X, ROI[0], 2), "rois"),
        ((X, ROI[:, 1:], 2), "rois"),
        ((X, ROI.tolist(), 2), "rois"),
        ((X, ROI.long(), 2), "rois"),
        ((X, torch.tensor([[2, 0, 0, 1.0, 1]]), 2), "rois"),
        ((X, torch.tensor([[-1, 0, 0, 1.0, 1]]), 2), "rois"),
        ((X, torch.tensor([[0.5, 0, 0, 1.0, 1]]), 2), "rois"),
        ((X, torch.tensor([[math.nan, 0, 0, 1.0, 1]]), 2), "rois"),
        ((X, torch.tensor([[0, math.nan, 0, 1.0, 1]]), 2), "rois"),
        ((X, torch.tensor([[0, 0, 0, math.inf, 1]]), 2), "rois"),
        ((X, torch.tensor([[0, 2, 0, 1.0, 1]]), 2), "rois"),
        ((X, ROI, 0), "output_size"),
        ((X, ROI, -1), "output_size"),
        ((X, ROI, (2, 0)), "output_size"),
        ((X, ROI, (2, 2, 2)), "output_size"),
        ((X, ROI, 2.5), "output_size"),
        ((X, ROI, 2, 0.0), "spatial_scale"),
        ((X, ROI, 2, -1.0), "spatial_scale"),
        ((X, ROI, 2, math.nan), "spatial_scale"),
        ((X, ROI, 2, 1.0, -1), "sampling_ratio"),
    ],
)
def test_roi_align_refuses_bad_input(fn, args, name) -> None:
    with pytest.raises(ValueError, match=name):
        fn(*args)


def test_roi_align_refuses_what_would_crash() -> None:
    """In a process of its own: torchvision would read outside its memory."""
    cases = [
        ("torch.zeros(1, 1, 0, 4), ROI, 2", "input"),
        ("torch.zeros(1, 1, 4, 0), ROI, 2", "input"),
        # Finite in float64, infinite in the features' float32.
        ("torch.zeros(1, 1, 4, 4), 1e300 * ROI.double(), 2, 1.0, 2", "rois"),
    ]
    calls = [(f"{fn.__name__}({args})", name) for fn in ALL for args, name in cases]
    references.assert_refused_in_a_process(
        "from d2align.geometry import *; ROI = torch.tensor([[0, 0, 0, 1.0, 1]])", calls
    )
