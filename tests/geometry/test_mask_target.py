"""Mask targets: where a cropped bitmask or a drawn polygon lies on the mask grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch

from d2align import geometry as g

CROPS = [g.crop_bitmasks, g.crop_bitmasks_unaligned]
DRAWS = [g.rasterize_polygons_within_box, g.rasterize_polygons_within_box_detectron1]
SQUARE = [0.0, 0, 10, 0, 10, 10, 0, 10]


def discs(n: int, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks of discs and float boxes around them."""
    rng = np.random.default_rng(0)
    masks, boxes = [], []
    for _ in range(n):
        cx, cy, r = *rng.uniform(28, 36, 2), rng.uniform(8, 16)
        masks.append(references.disc_mask(cx, cy, r, (size, size)))
        margins = rng.uniform(0, 4, 4)
        boxes.append(
            [cx - r - margins[0], cy - r - margins[1], cx + r + margins[2], cy + r + margins[3]]
        )
    return torch.from_numpy(np.stack(masks)), torch.tensor(boxes)


def target_centroid(target, box) -> np.ndarray:
    """The centroid of a mask target, in pixels of the image."""
    x1, y1, x2, y2 = (float(v) for v in box)
    u, v = references.centroid(target)
    return np.array([x1 + u * (x2 - x1) / target.shape[1], y1 + v * (y2 - y1) / target.shape[0]])


def test_crop_bitmasks_hand_worked_5x5() -> None:
    mask = torch.zeros(1, 5, 5, dtype=torch.bool)
    mask[0, 1:3, 2:4] = True
    box = torch.tensor([[1.0, 1, 4, 4]])
    assert g.crop_bitmasks(mask, box, 3)[0].int().tolist() == [[0, 1, 1], [0, 1, 1], [0, 0, 0]]
    # Read half a pixel further: the mean of four pixels, at least two of them in the mask.
    expected = [[1, 1, 1], [0, 1, 0], [0, 0, 0]]
    assert g.crop_bitmasks_unaligned(mask, box, 3)[0].int().tolist() == expected


@pytest.mark.parametrize("m", [7, 10, 28])
def test_crop_bitmasks_equals_reference(m) -> None:
    masks, boxes = discs(6, 50)
    boxes = boxes.double()
    rois = torch.cat([torch.arange(6.0)[:, None].double(), boxes], dim=1)
    for fn, aligned in zip(CROPS, (True, False), strict=True):
        soft = references.roi_align(masks[:, None].numpy(), rois, (m, m), aligned=aligned)[:, 0]
        ours = fn(masks, boxes, m).numpy()
        # A value of exactly one half may fall on either side in float32.
        decided = np.abs(soft - 0.5) > 1e-5
        assert decided.mean() > 0.99
        np.testing.assert_array_equal(ours[decided], (soft >= 0.5)[decided])


def test_crop_bitmasks_equals_detectron2() -> None:
    from detectron2.structures import BitMasks

    masks, boxes = discs(20)
    assert torch.equal(
        g.crop_bitmasks(masks, boxes, 28), BitMasks(masks).crop_and_resize(boxes, 28)
    )


def test_crop_bitmasks_centroid_stays_and_unaligned_moves_half_a_pixel() -> None:
    masks, boxes = discs(100)
    shifts = {}
    for fn in CROPS:
        crops = fn(masks, boxes, 28)
        shifts[fn] = np.array(
            [
                target_centroid(c, b) - references.centroid(m)
                for c, b, m in zip(crops, boxes, masks, strict=True)
            ]
        )
    assert np.abs(shifts[g.crop_bitmasks].mean(axis=0)).max() < 0.02
    assert np.abs(shifts[g.crop_bitmasks]).max() < 0.35  # a cell is up to 1.4 pixels
    np.testing.assert_allclose(shifts[g.crop_bitmasks_unaligned].mean(axis=0), -0.5, atol=0.02)


def test_crop_bitmasks_commutes_with_flip_and_unaligned_is_off_by_one_pixel() -> None:
    masks, boxes = discs(100)
    flipped, back = g.flip_masks(masks), g.flip_boxes(boxes, 64)
    wrong = []
    for fn in CROPS:
        right, left = fn(masks, boxes, 28), g.flip_masks(fn(flipped, back, 28))
        differ = (right != left).float().mean().item()
        if fn is g.crop_bitmasks:
            assert differ < 1e-4  # values of one half
        else:
            for a, b, box in zip(left, right, boxes, strict=True):
                wrong.append((target_centroid(a, box) - target_centroid(b, box))[0])
    assert np.mean(wrong) == pytest.approx(1.0, abs=0.04)


def test_crop_bitmasks_of_zero_size_is_empty() -> None:
    masks = torch.ones(2, 9, 9)
    boxes = torch.tensor([[4.0, 4, 4, 4], [2, 3, 7, 3]])
    assert not g.crop_bitmasks(masks, boxes, 7).any()


@pytest.mark.parametrize("fn", CROPS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.float64])
def test_crop_bitmasks_any_mask_dtype_and_pure(fn, dtype, device) -> None:
    masks, boxes = discs(3)
    masks, boxes = masks.to(device), boxes.to(device)
    expected = fn(masks, boxes, 14)
    out = fn(masks.to(dtype), boxes, 14)
    assert out.dtype == torch.bool
    assert torch.equal(out, expected)
    references.assert_pure(fn, masks.to(dtype), boxes, 14)
    assert fn(masks[:0], boxes[:0], 14).shape == (0, 14, 14)


def test_crop_bitmasks_many_masks_with_half_precision_boxes() -> None:
    """float16 counts in steps of 2 above 2048, bfloat16 above 256: no mask may get another's."""
    n = 600
    masks = torch.zeros(n, 4, 4)
    masks[1::2] = 1
    boxes = torch.tensor([[0.0, 0, 4, 4]], dtype=torch.bfloat16).repeat(n, 1)
    assert torch.equal(g.crop_bitmasks(masks, boxes, 2)[:, 0, 0], masks[:, 0, 0] == 1)


@pytest.mark.parametrize("fn", DRAWS)
def test_rasterize_polygons_hand_worked(fn) -> None:
    """The left half of a box fills the left half of its mask."""
    polygon = [10.0, 20, 20, 20, 20, 60, 10, 60]
    mask = fn([polygon], [10, 20, 30, 60], 8)
    assert mask.dtype == torch.bool
    assert mask[:, :4].all()
    assert not mask[:, 4:].any()
    union = fn([polygon, [25.0, 20, 30, 20, 30, 60, 25, 60]], [10, 20, 30, 60], 8)
    assert union.any(0).int().tolist() == [1, 1, 1, 1, 0, 0, 1, 1]


def test_rasterize_polygons_centroid_is_that_of_the_disc() -> None:
    rng = np.random.default_rng(1)
    shifts = []
    for _ in range(100):
        cx, cy, r = *rng.uniform(50, 60, 2), rng.uniform(15, 30)
        box = [cx - r - 3, cy - r - 1, cx + r + 2, cy + r + 4]
        mask = g.rasterize_polygons_within_box([references.disc_polygon(cx, cy, r)], box, 28)
        shifts.append(target_centroid(mask, box) - [cx, cy])
    # pycocotools rounds borders to a fifth of a cell; a cell is up to two pixels here.
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.1


def test_rasterize_polygons_equals_detectron2() -> None:
    from detectron2.structures.masks import rasterize_polygons_within_box

    rng = np.random.default_rng(2)
    for _ in range(100):
        polygons = [rng.uniform(0, 200, 2 * n).round(2) for n in rng.integers(3, 12, 2)]
        box = np.concatenate([rng.uniform(0, 90, 2), rng.uniform(100, 200, 2)]).astype(np.float32)
        theirs = rasterize_polygons_within_box(polygons, box, 28)
        assert torch.equal(g.rasterize_polygons_within_box(polygons, box, 28), theirs)


def test_rasterize_polygons_detectron1_stretches_an_inclusive_box() -> None:
    """Without its last pixel a 10-pixel box is 9 wide, and what fills it overflows by 10/9."""
    half = [0.0, 0, 5, 0, 5, 10, 0, 10]
    exact = g.rasterize_polygons_within_box([half], [0, 0, 10, 10], 90)
    stretched = g.rasterize_polygons_within_box_detectron1([half], [0, 0, 9, 9], 90)
    assert exact.any(0).sum() == 45
    assert stretched.any(0).sum() == 50


def test_rasterize_polygons_least_sides() -> None:
    point = [3.0, 4, 3, 4]
    tenth = g.rasterize_polygons_within_box([SQUARE], point, 10)
    one = g.rasterize_polygons_within_box_detectron1([SQUARE], point, 10)
    assert torch.equal(tenth, g.rasterize_polygons_within_box([SQUARE], [3, 4, 3.1, 4.1], 10))
    assert torch.equal(one, g.rasterize_polygons_within_box([SQUARE], [3, 4, 4, 5], 10))


@pytest.mark.parametrize("fn", DRAWS)
def test_rasterize_polygons_kinds_and_pure(fn) -> None:
    polygon, box = np.array(SQUARE), np.array([1.0, 1, 12, 12])
    expected = fn([SQUARE], box.tolist(), 14)
    assert torch.equal(references.assert_pure(fn, [polygon], box, 14), expected)
    assert torch.equal(fn([torch.tensor(SQUARE)], torch.tensor(box), 14), expected)


GOOD = torch.tensor([[0.0, 0, 4, 4]])
MASK = torch.zeros(1, 5, 5)


@pytest.mark.parametrize("fn", CROPS)
@pytest.mark.parametrize(
    ("args", "name"),
    [
        ((MASK[0], GOOD, 7), "masks"),
        (([[[1]]], GOOD, 7), "masks"),
        ((MASK.repeat(2, 1, 1), GOOD, 7), "masks"),
        ((MASK, GOOD[0], 7), "boxes"),
        ((MASK, GOOD.long(), 7), "boxes"),
        ((MASK, GOOD.tolist(), 7), "boxes"),
        ((MASK, GOOD * math.nan, 7), "boxes"),
        ((MASK, torch.tensor([[4.0, 4, 0, 0]]), 7), "boxes"),
        ((MASK, GOOD, 0), "mask_size"),
        ((MASK, GOOD, 2.5), "mask_size"),
        ((MASK * math.nan, GOOD, 7), "masks"),
    ],
)
def test_crop_bitmasks_refuses_bad_input(fn, args, name) -> None:
    with pytest.raises(ValueError, match=name):
        fn(*args)


@pytest.mark.parametrize("fn", DRAWS)
@pytest.mark.parametrize(
    ("args", "name"),
    [
        (([SQUARE[:4]], [0, 0, 1, 1], 7), "polygons"),
        (([SQUARE[:7]], [0, 0, 1, 1], 7), "polygons"),
        ((SQUARE, [0, 0, 1, 1], 7), "polygons"),
        (([], [0, 0, 1, 1], 7), "polygons"),
        (([SQUARE], [0, 0, 1], 7), "box"),
        (([SQUARE], [0, 0, 1, math.nan], 7), "box"),
        (([SQUARE], [0, 0, 1, 1], 0), "mask_size"),
        (([SQUARE], [0, 0, 1, 1], 2.5), "mask_size"),
    ],
)
def test_rasterize_polygons_refuses_bad_input(fn, args, name) -> None:
    with pytest.raises(ValueError, match=name):
        fn(*args)


def test_inverted_boxes_are_refused_but_one_wide_for_detectron1() -> None:
    """Detectron took the width of an inverted box as 1, and its golden values hold such boxes."""
    with pytest.raises(ValueError, match="box"):
        g.rasterize_polygons_within_box([SQUARE], [5, 5, 1, 1], 7)
    inverted = g.rasterize_polygons_within_box_detectron1([SQUARE], [5, 5, 1, 1], 7)
    one_wide = g.rasterize_polygons_within_box_detectron1([SQUARE], [5, 5, 6, 6], 7)
    assert torch.equal(inverted, one_wide)


def test_mask_targets_refuse_what_would_crash_or_hang() -> None:
    """In a process of its own: below, the C code reads outside its memory or never ends."""
    setup = "from d2align.geometry import *; B = torch.tensor([[0.0, 0, 4, 4]]); inf = float('inf')"
    calls = [(f"{fn.__name__}(torch.zeros(1, 0, 4), B, 2)", "masks") for fn in CROPS]
    for fn in DRAWS:
        for bad in ("float('nan')", "inf", "1e30"):
            calls.append(
                (f"{fn.__name__}([[0, 0, 1, 0, {bad}, 1.0]], [0, 0, 1, 1], 4)", "polygons")
            )
    references.assert_refused_in_a_process(setup, calls)
