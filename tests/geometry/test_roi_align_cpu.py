"""The fast ways of RoIAlign on the CPU give torchvision's numbers, and are taken where they pay."""

from __future__ import annotations

import numpy as np
import pytest
import references
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align as kernel

from d2align import geometry as g
from d2align.geometry import roi_align_choice, roi_align_cpu, roi_align_gather
from d2align.geometry.roi_align import roi_align_unaligned_unchecked, roi_align_unchecked
from d2align.geometry.roi_align_samples import bins_of_boxes, bins_of_boxes_unaligned

BINS = {True: bins_of_boxes, False: bins_of_boxes_unaligned}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def by_sums(features, rois, size, scale=1.0, ratio=0, aligned=True):
    """RoIAlign by sums of rows, whatever the shapes."""
    images, bins = _parts(features, rois, size, scale, ratio, aligned)
    places = torch.arange(len(rois))
    regions = roi_align_gather.Regions(images, [len(rois)], places, *bins)
    return roi_align_gather.roi_align_gather([features], regions)


def by_matrices(features, rois, size, scale=1.0, ratio=0, aligned=True):
    """RoIAlign by dense matrices, whatever the shapes."""
    order = rois[:, 0].argsort(stable=True)
    images, bins = _parts(features, rois[order], size, scale, ratio, aligned)
    return roi_align_cpu.roi_align_separable(features, images, *bins)[order.argsort()]


def _parts(features, rois, size, scale, ratio, aligned):
    rois = rois.to(features.dtype)
    map_sizes = torch.tensor(features.shape[2:]).expand(len(rois), 2)
    return rois[:, 0].long(), BINS[aligned](rois[:, 1:], size, map_sizes, scale, ratio)


WAYS = [by_sums, by_matrices]


def random_rois(rng, n, batch, h, w, outside=0.0):
    """Regions of many sizes, unsorted, some of no width, some of no height."""
    xs, ys = (np.sort(rng.uniform(-outside, s + outside, (n, 2)), axis=1) for s in (w, h))
    xs[::7, 1], ys[3::7, 1] = xs[::7, 0], ys[3::7, 0]
    boxes = np.stack([xs[:, 0], ys[:, 0], xs[:, 1], ys[:, 1]], axis=1)
    return torch.from_numpy(np.concatenate([rng.integers(0, batch, (n, 1)), boxes], axis=1))


def with_gradient(fn, features, *args):
    """The output, and the gradient of the features for a random one of the output."""
    features = features.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    out = fn(features, *args)
    torch.manual_seed(0)
    out.backward(torch.rand(out.shape, dtype=out.dtype))
    return out.detach(), features.grad


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("outside", [0, 8])
def test_values_and_gradients_equal_torchvisions(way, dtype, aligned, ratio, outside) -> None:
    rng = np.random.default_rng(ratio)
    for h, w, size, scale in ((19, 26, (7, 7), 1.0), (9, 5, (3, 4), 0.25), (1, 1, (2, 2), 0.5)):
        features = torch.from_numpy(rng.normal(size=(3, 5, h, w))).to(dtype)
        rois = random_rois(rng, 40, 3, h / scale, w / scale, outside / scale).to(dtype)
        args = (rois, size, scale, ratio, aligned)
        expected, expected_gradient = with_gradient(kernel, features, *args)
        for layout in (torch.contiguous_format, torch.channels_last):
            out, gradient = with_gradient(way, features.contiguous(memory_format=layout), *args)
            assert out.dtype == dtype and out.shape == expected.shape
            atol = TOLERANCE[dtype]
            torch.testing.assert_close(out, expected, rtol=0, atol=atol)
            scale_of_gradient = float(expected_gradient.abs().max())
            torch.testing.assert_close(
                gradient, expected_gradient, rtol=0, atol=atol * max(1, scale_of_gradient)
            )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_values_equal_the_definition(way, aligned, ratio) -> None:
    rng = np.random.default_rng(1)
    features = torch.from_numpy(rng.normal(size=(2, 2, 7, 8)))
    rois = random_rois(rng, 9, 2, 7, 8, 3)
    expected = references.roi_align(features, rois, (3, 2), 1.0, ratio, aligned)
    out = way(features, rois, (3, 2), 1.0, ratio, aligned)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_samples_a_whole_pixel_apart_stay_in_their_window(way) -> None:
    """Bins of whole pixels: rounding puts the last sample of some on the pixel after."""
    start = torch.linspace(0, 3, 4001)[:, None]
    for bin_size in (1, 2, 3):
        extents = torch.tensor([[7.0 * bin_size, 7.0 * bin_size]])
        boxes = torch.cat([start, start, start + extents], dim=1)
        rois = torch.cat([torch.zeros_like(start), boxes], dim=1)
        features = torch.rand(1, 3, 24, 24)
        expected = kernel(features, rois, 7, 1.0, 0, True)
        torch.testing.assert_close(way(features, rois, (7, 7)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("ratio", [0, 2])
def test_work_in_pieces_is_the_same(ratio, monkeypatch) -> None:
    rng = np.random.default_rng(2)
    features = torch.from_numpy(rng.normal(size=(2, 4, 12, 15)))
    rois = random_rois(rng, 50, 2, 12, 15, 2)
    whole = [with_gradient(way, features, rois, (4, 4), 1.0, ratio) for way in WAYS]
    monkeypatch.setattr(roi_align_gather, "_MAX_ROWS_AT_ONCE", 700)
    monkeypatch.setattr("d2align.geometry.roi_align_separable._MAX_NUMBERS_AT_ONCE", 700)
    pieces = [with_gradient(way, features, rois, (4, 4), 1.0, ratio) for way in WAYS]
    for first, second in zip(whole, pieces, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


@pytest.mark.parametrize("aligned", [True, False])
def test_a_pyramid_is_its_levels_one_by_one(aligned) -> None:
    rng = np.random.default_rng(3)
    scales = [1.0, 0.5, 0.25, 0.125]
    features = [torch.from_numpy(rng.normal(size=(2, 32, s, s + 4))) for s in (40, 20, 10, 5)]
    rois = random_rois(rng, 90, 2, 40, 44, 2)
    levels = torch.from_numpy(rng.integers(0, 3, 90))  # none on the last
    expected_inputs = [f.clone().requires_grad_() for f in features]
    expected = features[0].new_zeros(90, 32, 6, 6)
    for level, scale in enumerate(scales):
        of_level = rois[levels == level]
        expected[levels == level] = kernel(expected_inputs[level], of_level, 6, scale, 0, aligned)
    inputs = [f.clone().requires_grad_() for f in features]
    out = roi_align_cpu.roi_align_pyramid_cpu(
        inputs, rois, levels, (6, 6), scales, 0, BINS[aligned]
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    weights = torch.rand(expected.shape, dtype=torch.float64)
    for result in (expected, out):
        (result * weights).sum().backward()
    for a, b in zip(inputs, expected_inputs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
    assert not inputs[3].grad.any()


# Laws.
@given(
    st.tuples(*[st.floats(0.5, 11.25)] * 4),
    st.integers(0, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
@settings(deadline=None, max_examples=40)
def test_of_a_ramp_the_value_is_the_coordinate(corners, ratio, size) -> None:
    centers = torch.arange(12, dtype=torch.float64) + 0.5
    ramps = torch.stack([centers.expand(12, 12), centers[:, None].expand(12, 12)])[None]
    (x1, x2), (y1, y2) = sorted(corners[::2]), sorted(corners[1::2])
    x2, y2 = x2 + 0.25, y2 + 0.25  # adaptive sampling reads nothing where there is no width
    rois = torch.tensor([[0, x1, y1, x2, y2]], dtype=torch.float64)
    for way in WAYS:
        xs, ys = way(ramps, rois, size, 1.0, ratio)[0].numpy()
        expected_x = x1 + (np.arange(size[1]) + 0.5) / size[1] * (x2 - x1)
        expected_y = y1 + (np.arange(size[0]) + 0.5) / size[0] * (y2 - y1)
        np.testing.assert_allclose(xs, np.broadcast_to(expected_x, size), rtol=0, atol=1e-9)
        np.testing.assert_allclose(ys.T, np.broadcast_to(expected_y, size[::-1]), atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
@settings(deadline=None, max_examples=40)
def test_laws_of_a_linear_map(seed, ratio, aligned) -> None:
    """Its gradient is its adjoint; regions do not see each other; images neither."""
    rng = np.random.default_rng(seed)
    h, w = rng.integers(1, 9, 2).tolist()
    features = torch.from_numpy(rng.normal(size=(3, 2, h, w)))
    rois = random_rois(rng, 12, 3, h, w, 3)
    order = torch.from_numpy(rng.permutation(12))
    for way in WAYS:
        args = ((3, 3), 1.0, ratio, aligned)
        out, gradient = with_gradient(way, features, rois, *args)
        torch.manual_seed(0)
        weights = torch.rand(out.shape, dtype=out.dtype)
        assert float((out * weights).sum()) == pytest.approx(float((features * gradient).sum()))
        shuffled = way(features, rois[order], *args)
        torch.testing.assert_close(shuffled, out[order], rtol=0, atol=1e-13)
        other = features.clone()
        other[0] = 7
        of_others = rois[:, 0] > 0
        assert torch.equal(way(other, rois, *args)[of_others], out[of_others])


# The choice.
def taken(monkeypatch, call) -> list[str]:
    """The ways that a call takes; torchvision's kernel is none of them."""
    found = []
    for name in ("roi_align_gather", "roi_align_separable"):
        fn = getattr(roi_align_cpu, name)

        def spy(*args, name=name, fn=fn):
            found.append(name)
            return fn(*args)

        monkeypatch.setattr(roi_align_cpu, name, spy)
    call()
    monkeypatch.undo()
    return found


ROIS = random_rois(np.random.default_rng(4), 200, 1, 64, 64).float()
LARGE, SMALL = torch.rand(1, 64, 64, 64), torch.rand(1, 64, 8, 8)


def test_the_way_suits_the_shapes(monkeypatch) -> None:
    def ways(features, rois=ROIS, size=7, scale=1.0):
        return taken(monkeypatch, lambda: g.roi_align(features, rois, size, scale))

    assert ways(LARGE) == ["roi_align_gather"]
    assert ways(SMALL, scale=0.125) == ["roi_align_separable"]
    assert ways(SMALL, torch.cat([ROIS[:1], ROIS[:1]]), scale=0.125) == []  # little work
    assert ways(LARGE[:, :16]) == []  # few channels
    assert ways(LARGE[:, :16].clone().requires_grad_()) == ["roi_align_gather"]
    assert ways(LARGE[:, :4].clone().requires_grad_()) == []
    two = torch.cat([SMALL, SMALL])
    mixed = ROIS.clone()
    mixed[::2, 0] = 1
    assert ways(two, mixed, scale=0.125) == ["roi_align_gather"]  # images not in groups
    # Bringing a large map to the layout of sums would take longer than a few regions.
    few = ROIS[:20]
    wide = torch.rand(1, 64, 200, 200)
    assert ways(wide, few, 7) == []
    assert ways(wide.contiguous(memory_format=torch.channels_last), few) == ["roi_align_gather"]


@pytest.mark.parametrize("fn", [g.roi_align, g.roi_align_unaligned])
@pytest.mark.parametrize("features", [LARGE, SMALL])
def test_public_functions_take_the_fast_ways(fn, features, monkeypatch) -> None:
    scale = features.shape[-1] / 64
    out, gradient = with_gradient(fn, features, ROIS, 7, scale)
    aligned = fn is g.roi_align
    expected = with_gradient(kernel, features, ROIS, 7, scale, 0, aligned)
    assert len(taken(monkeypatch, lambda: fn(features, ROIS, 7, scale))) == 1
    torch.testing.assert_close(out, expected[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(gradient, expected[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
def test_other_dtypes_are_left_to_torchvision(dtype, monkeypatch) -> None:
    features = LARGE.to(dtype)
    assert not roi_align_choice.beats_kernel(
        [features], ROIS.to(dtype), np.zeros(200, int), (7, 7), [1.0], 0
    )


def test_autocast_is_left_to_torchvision(monkeypatch) -> None:
    def call():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            g.roi_align(LARGE, ROIS, 7)

    assert taken(monkeypatch, call) == []


def test_recorded_graphs_keep_roi_align(monkeypatch) -> None:
    def crop(features, rois):
        return roi_align_unchecked(features, rois, (7, 7), 1.0, 0)

    def trace():
        traced = torch.jit.trace(crop, (LARGE, ROIS), check_trace=False)
        assert "torchvision::roi_align" in str(traced.inlined_graph)

    def compile_and_run():
        compiled = torch.compile(crop, backend=backend, fullgraph=True)
        torch.testing.assert_close(compiled(LARGE, ROIS), crop_of_kernel)

    def backend(module, inputs):
        assert "roi_align" in module.print_readable(print_output=False)
        return module.forward

    crop_of_kernel = kernel(LARGE, ROIS, 7, 1.0, 0, True)
    assert taken(monkeypatch, trace) == taken(monkeypatch, compile_and_run) == []


def test_boxes_get_no_gradient_and_there_is_no_second_one() -> None:
    features, rois = LARGE.clone().requires_grad_(), ROIS.clone().requires_grad_()
    out = g.roi_align(features, rois, 7)
    gradient = torch.autograd.grad(
        out.sum(), [features, rois], allow_unused=True, retain_graph=True
    )
    assert gradient[0] is not None and gradient[1] is None
    (first,) = torch.autograd.grad(out.square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def test_unchecked_inverted_boxes_are_left_to_torchvision(monkeypatch) -> None:
    inverted = ROIS[:, [0, 3, 2, 1, 4]]
    args = (LARGE, inverted, (7, 7), 1.0, 2)
    assert taken(monkeypatch, lambda: roi_align_unchecked(*args)) == []
    # Unaligned ones are not inverted any more: they are at least one pixel wide.
    assert taken(monkeypatch, lambda: roi_align_unaligned_unchecked(*args)) != []
    for fn, aligned in ((roi_align_unchecked, True), (roi_align_unaligned_unchecked, False)):
        torch.testing.assert_close(fn(*args), kernel(*args, aligned), rtol=0, atol=1e-5)


def test_regions_that_are_not_finite_are_left_to_torchvision() -> None:
    for value in (torch.inf, torch.nan):
        rois = ROIS.clone()
        rois[0, 3] = value
        along_y, along_x = bins_of_boxes(rois[:, 1:], (7, 7), torch.full((200, 2), 64), 1.0, 2)
        assert roi_align_choice.are_regular(along_y)
        assert not roi_align_choice.are_regular(along_x)


def test_mask_targets_keep_torchvisions_bits(monkeypatch) -> None:
    masks = torch.rand(50, 64, 64) > 0.5
    boxes = ROIS[:50, 1:]
    assert taken(monkeypatch, lambda: g.crop_bitmasks(masks, boxes, 28)) == []
