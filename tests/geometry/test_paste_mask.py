"""Pasting is the inverse of cropping; Detectron's moves edges to whole pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2align import geometry as g
from d2align.geometry.paste_dense import sample_masks

PASTES = [g.paste_masks, g.paste_masks_detectron1]
SIZE = (40, 52)


def random_masks(n: int, m: int = 28, seed: int = 0) -> torch.Tensor:
    """Smooth masks: a blob for each, values in [0, 1]."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((n, 5, 5)))
    return g.resize_half_pixel(coarse, (m, m)).float()


def boxes_in_and_out(n: int, seed: int = 0) -> torch.Tensor:
    """Boxes inside, across and outside an image of SIZE, many thinner than a pixel."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-40, 70, (n, 2))
    size = np.exp(rng.uniform(np.log(0.05), np.log(90), (n, 2)))
    boxes = np.concatenate([corner, corner + size], axis=1)
    boxes[::5] = boxes[::5].round()
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.05)
    return torch.from_numpy(boxes).float()


def test_paste_masks_hand_worked_5x5() -> None:
    # A mask of one cell over 3 x 3 pixels is a pyramid with its top in the middle.
    one = torch.ones(1, 1, 1)
    box = torch.tensor([[1.0, 1, 4, 4]])
    side = torch.tensor([1, 2, 3, 2, 1]) / 3
    soft = sample_masks(one, box, slice(0, 5), slice(0, 5))[0]
    torch.testing.assert_close(soft, side[:, None] * side[None, :])
    plus = [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert g.paste_masks(one, box, (5, 5))[0].int().tolist() == plus
    # Cells on pixels: the mask itself.
    diagonal = torch.tensor([[[1.0, 0], [0, 1]]])
    pasted = g.paste_masks(diagonal, torch.tensor([[1.0, 1, 3, 3]]), (5, 5))[0]
    assert pasted.nonzero().tolist() == [[1, 1], [2, 2]]
    # Half a pixel over the edges: 0.5 belongs to the mask.
    halves = g.paste_masks(torch.ones(1, 4, 4), torch.tensor([[0.5, 0.5, 4.5, 4.5]]), (5, 5))[0]
    assert halves.int().sum(0).tolist() == [3, 5, 5, 5, 3]


def test_paste_masks_detectron1_hand_worked_5x5() -> None:
    # Padded to 4 x 4 cells its box is -0.5 to 5.5, truncated to the pixels 0 to 5: 4 cells over
    # 6 pixels, the values 0, 1/2, 1, 1, 1/2, 0 along each side, and 1/2 is not above 1/2.
    pasted = g.paste_masks_detectron1(torch.ones(1, 2, 2), torch.tensor([[1.0, 1, 4, 4]]), (5, 5))
    assert pasted[0].nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    exact = g.paste_masks(torch.ones(1, 2, 2), torch.tensor([[1.0, 1, 4, 4]]), (5, 5))
    assert exact[0, 1:4, 1:4].all()
    assert exact.sum() == 9


@pytest.mark.parametrize("m", [(7, 7), (28, 28), (1, 1), (3, 6)])
def test_sample_masks_equals_reference(m) -> None:
    boxes = boxes_in_and_out(25).double()
    masks = random_masks(25, 28).double()[:, : m[0], : m[1]]
    soft = sample_masks(masks, boxes, slice(0, SIZE[0]), slice(0, SIZE[1]))
    for mask, box, values in zip(masks, boxes, soft, strict=True):
        np.testing.assert_allclose(values, references.paste(mask, box, SIZE), atol=1e-9)


def test_paste_masks_equals_reference() -> None:
    boxes, masks = boxes_in_and_out(40, seed=1), random_masks(40, 14)
    pasted = g.paste_masks(masks, boxes, SIZE)
    assert pasted.any()
    for mask, box, ours in zip(masks, boxes, pasted, strict=True):
        soft = references.paste(mask, box, SIZE)
        decided = np.abs(soft - 0.5) > 1e-4  # float32 against float64
        np.testing.assert_array_equal(ours.numpy()[decided], (soft >= 0.5)[decided])


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_paste_masks_equals_detectron2_bit_for_bit(threshold) -> None:
    from detectron2.layers.mask_ops import paste_masks_in_image

    boxes, masks = boxes_in_and_out(1500, seed=2), random_masks(1500)
    ours = g.paste_masks(masks, boxes, SIZE, threshold)
    # Detectron2 raises on a box more than a pixel outside the image; nothing is there to paste.
    h, w = SIZE
    near = (boxes[:, :2].floor() - 1 <= boxes.new_tensor([w, h])).all(dim=1)
    near &= (boxes[:, 2:].ceil() + 1 >= 0).all(dim=1)
    assert 300 < near.sum() < len(boxes)
    assert torch.equal(ours[near], paste_masks_in_image(masks[near], boxes[near], SIZE, threshold))
    assert not ours[~near].any()


def test_paste_masks_detectron1_equals_opencv() -> None:
    boxes, masks = boxes_in_and_out(60, seed=3), random_masks(60, 14)
    pasted = g.paste_masks_detectron1(masks, boxes, SIZE)
    assert pasted.any()
    for mask, box, ours in zip(masks, boxes, pasted, strict=True):
        np.testing.assert_array_equal(ours.numpy(), references.paste_detectron1(mask, box, SIZE))


def test_paste_masks_inverts_crop_bitmasks() -> None:
    rng = np.random.default_rng(4)
    shifts, ious, unaligned, detectron1 = [], [], [], []
    for _ in range(150):
        cx, cy, r = *rng.uniform(28, 36, 2), rng.uniform(8, 14)
        mask = references.disc_mask(cx, cy, r, (64, 64))
        margins = rng.uniform(0, 4, 4)
        edges = [cx - r - margins[0], cy - r - margins[1], cx + r + margins[2], cy + r + margins[3]]
        masks, box = torch.from_numpy(mask)[None], torch.tensor([edges])
        crop = g.crop_bitmasks(masks, box, 28).float()
        pasted = g.paste_masks(crop, box, (64, 64))[0].numpy()
        ious.append((pasted & mask).sum() / (pasted | mask).sum())
        center = np.array(references.centroid(mask))
        shifts.append(references.centroid(pasted) - center)
        wrong = g.crop_bitmasks_unaligned(masks, box, 28).float()
        unaligned.append(references.centroid(g.paste_masks(wrong, box, (64, 64))[0]) - center)
        old = g.paste_masks_detectron1(crop, box, (64, 64))[0]
        detectron1.append(references.centroid(old) - center)
    assert min(ious) > 0.93
    assert np.mean(ious) > 0.99
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.02
    np.testing.assert_allclose(np.mean(unaligned, axis=0), -0.5, atol=0.03)
    # Both ends of Detectron's box are truncated to pixels that then count as included: the left
    # edge moves by -0.5 on average, the right by +0.5, each by up to a pixel.
    assert np.abs(np.mean(detectron1, axis=0)).max() < 0.06
    assert np.std(detectron1) > 3 * np.std(shifts)


@given(st.integers(0, 30), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12))
def test_paste_masks_of_ones_on_pixel_edges_covers_the_box(x, y, w, h) -> None:
    box = torch.tensor([[x, y, x + w, y + h]], dtype=torch.float32)
    pasted = g.paste_masks(torch.ones(1, 28, 28), box, SIZE)[0]
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[y : y + h, x : x + w] = True
    assert torch.equal(pasted, expected)


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_paste_masks_moves_with_its_box(dx, dy) -> None:
    masks = random_masks(1, 14)
    box = torch.tensor([[20.25, 14.5, 34.75, 29.125]])
    moved = g.paste_masks(masks, box + torch.tensor([dx, dy, dx, dy]), (100, 100))
    there = g.paste_masks(masks, box, (100, 100))
    whole = g.paste_masks(masks, box + 30, (100, 100))
    shifted = g.paste_masks(masks, box + 30 + torch.tensor([dx, dy, dx, dy]), (100, 100))
    assert torch.equal(shifted, torch.roll(whole, (dy, dx), (1, 2)))
    assert moved.sum() <= there.sum()


@pytest.mark.parametrize("seed", range(3))
def test_paste_masks_commutes_with_flip(seed) -> None:
    # Coordinates in sixteenths: exact in float32 on both sides.
    boxes = (boxes_in_and_out(60, seed) * 16).round() / 16
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1 / 16)
    masks = random_masks(60, 14, seed)
    pasted = g.paste_masks(masks, boxes, SIZE)
    flipped = g.paste_masks(g.flip_masks(masks), g.flip_boxes(boxes, SIZE[1]), SIZE)
    differ = (g.flip_masks(flipped) != pasted).sum().item()
    assert differ <= 2  # values that round to either side of one half


def test_paste_masks_threshold_is_met_by_equal_values() -> None:
    half, box = torch.full((1, 4, 4), 0.5), torch.tensor([[1.0, 1, 5, 5]])
    assert g.paste_masks(half, box, (6, 6)).sum() == 16
    assert g.paste_masks_detectron1(half, box, (6, 6)).sum() == 0


@pytest.mark.parametrize("n", [1, 3])
def test_paste_masks_of_zero_size_is_empty(n) -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [5.5, 5.5, 5.5, 9], [4, 7.5, 9, 7.5]])[:n]
    assert not g.paste_masks(torch.ones(n, 28, 28), boxes, SIZE).any()


def test_paste_masks_detectron1_of_zero_size_is_the_pixel_it_lies_in() -> None:
    pasted = g.paste_masks_detectron1(torch.ones(1, 28, 28), torch.tensor([[5.5, 7.5] * 2]), SIZE)
    assert pasted[0].nonzero().tolist() == [[7, 5]]


@pytest.mark.parametrize("fn", PASTES)
def test_paste_masks_far_outside_is_empty_and_huge_boxes_fill(fn) -> None:
    far = torch.tensor([[-50.0, -50, -20, -20], [90, 5, 120, 9], [5, 90, 9, 120]])
    assert not fn(torch.ones(3, 28, 28), far, SIZE).any()
    for reach in (1e3, 1e6):
        huge = torch.tensor([[-reach, -reach, reach, reach]])
        assert fn(torch.ones(1, 28, 28), huge, SIZE).all()


@pytest.mark.parametrize("fn", PASTES)
def test_paste_masks_empty_dtypes_and_pure(fn, device) -> None:
    masks, boxes = random_masks(4, 14).to(device), boxes_in_and_out(4).to(device)
    empty = fn(masks[:0], boxes[:0], SIZE)
    assert empty.shape == (0, *SIZE)
    assert empty.dtype == torch.bool
    expected = fn(masks, boxes, SIZE)
    assert expected.device == masks.device
    references.assert_pure(fn, masks, boxes, SIZE)
    bits = masks >= 0.5
    assert torch.equal(fn(bits, boxes, SIZE), fn(bits.float(), boxes, SIZE))
    assert torch.equal(fn(bits.double(), boxes.double(), SIZE), fn(bits.float(), boxes, SIZE))
    assert torch.equal(fn(masks.requires_grad_(), boxes, SIZE), expected)


def test_paste_masks_same_on_every_device(device) -> None:
    masks, boxes = random_masks(200), boxes_in_and_out(200, seed=5)
    expected = g.paste_masks(masks, boxes, SIZE)
    ours = g.paste_masks(masks.to(device), boxes.to(device), SIZE).cpu()
    assert (ours != expected).sum() <= 5  # the order of a GPU's sums


def test_sample_masks_gradcheck() -> None:
    masks = random_masks(2, 4).double().requires_grad_()
    boxes = (
        torch.tensor([[1.13, 0.97, 6.31, 7.49], [-2.2, 1.1, 5.3, 3.7]]).double().requires_grad_()
    )
    window = slice(0, 6), slice(1, 7)
    assert torch.autograd.gradcheck(lambda m, b: sample_masks(m, b, *window), (masks, boxes))


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_paste_soft_masks_is_what_paste_masks_compares(threshold, device) -> None:
    masks, boxes = random_masks(40).to(device), boxes_in_and_out(40, seed=7).to(device)
    boxes[3, 2:] = boxes[3, :2]  # of zero size
    references.assert_pure(g.paste_soft_masks, masks, boxes, SIZE)
    soft = g.paste_soft_masks(masks, boxes, SIZE)
    assert soft.shape == (40, *SIZE)
    assert torch.equal(soft >= threshold, g.paste_masks(masks, boxes, SIZE, threshold))
    assert g.paste_soft_masks(masks[:0], boxes[:0], SIZE).shape == (0, *SIZE)
    bits, paste = masks >= 0.5, g.paste_soft_masks
    assert torch.equal(paste(bits, boxes, SIZE), paste(bits.float(), boxes, SIZE))


def test_paste_soft_masks_equals_reference_and_stops_a_pixel_outside() -> None:
    masks, boxes = random_masks(20, 9).double(), boxes_in_and_out(20, seed=8).double()
    for mask, box, soft in zip(masks, boxes, g.paste_soft_masks(masks, boxes, SIZE), strict=True):
        x1, y1, x2, y2 = box.tolist()
        near = np.zeros(SIZE, bool)
        columns = slice(max(math.floor(x1) - 1, 0), max(math.ceil(x2) + 1, 0))
        near[max(math.floor(y1) - 1, 0) : max(math.ceil(y2) + 1, 0), columns] = True
        np.testing.assert_allclose(soft, references.paste(mask, box, SIZE) * near, atol=1e-9)


def test_paste_soft_masks_gradcheck() -> None:
    masks = random_masks(3, 4).double().requires_grad_()
    boxes = torch.tensor([[1.13, 0.97, 6.31, 7.49], [-2.2, 1.1, 5.3, 3.7], [20.1, 3, 25, 8]])
    boxes = boxes.double().requires_grad_()  # the last one is outside
    assert torch.autograd.gradcheck(lambda m, b: g.paste_soft_masks(m, b, (7, 8)), (masks, boxes))
    outside = g.paste_soft_masks(masks[2:], boxes[2:], (7, 8))
    outside.sum().backward()
    assert masks.grad.abs().sum() == 0


MASK, BOX = torch.ones(1, 4, 4), torch.tensor([[0.0, 0, 4, 4]])
BAD_INPUT = [
    (([[[1.0]]], BOX, SIZE), "masks"),
    ((MASK[0], BOX, SIZE), "masks"),
    ((MASK[:, :0], BOX, SIZE), "masks"),
    ((MASK * math.nan, BOX, SIZE), "masks"),
    ((MASK.repeat(2, 1, 1), BOX, SIZE), "masks"),
    ((MASK, BOX[0], SIZE), "boxes"),
    ((MASK, BOX.tolist(), SIZE), "boxes"),
    ((MASK, BOX.long(), SIZE), "boxes"),
    ((MASK, BOX[:, :3], SIZE), "boxes"),
    ((MASK, BOX * math.nan, SIZE), "boxes"),
    ((MASK, BOX + torch.tensor([0, 0, 0, math.inf]), SIZE), "boxes"),
    ((MASK, BOX[:, [2, 1, 0, 3]], SIZE), "boxes"),
    ((MASK, BOX, (0, 5)), "image_size"),
    ((MASK, BOX, (5, -1)), "image_size"),
    ((MASK, BOX, (5,)), "image_size"),
    ((MASK, BOX, (5.5, 5)), "image_size"),
    ((MASK, BOX, None), "image_size"),
    ((MASK, BOX, SIZE, 0.0), "threshold"),
    ((MASK, BOX, SIZE, 1.5), "threshold"),
    ((MASK, BOX, SIZE, math.nan), "threshold"),
]


@pytest.mark.parametrize("fn", [*PASTES, g.paste_masks_to_rle, g.paste_masks_detectron1_to_rle])
@pytest.mark.parametrize(("args", "name"), BAD_INPUT)
def test_paste_masks_refuses_bad_input(fn, args, name) -> None:
    with pytest.raises(ValueError, match=name):
        fn(*args)


def test_paste_masks_detectron1_refuses_masks_that_are_not_square() -> None:
    with pytest.raises(ValueError, match="masks"):
        g.paste_masks_detectron1(MASK[:, :3], BOX, SIZE)
