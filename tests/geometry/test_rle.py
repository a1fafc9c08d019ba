"""The RLE of a pasted mask holds the bits of the pasted mask, to the last one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import references
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from older_torch import skip_unless_sampled_on_cpu
from pycocotools import mask as coco_mask
from test_paste_mask import SIZE, boxes_in_and_out, random_masks

from d2align import geometry as g
from d2align.geometry.paste_dense import near_boxes, sample_masks
from d2align.geometry.paste_mask import paste_masks_unchecked
from d2align.geometry.rle import encode_mask

TO_RLE = [g.paste_masks_to_rle, g.paste_masks_detectron1_to_rle]


def assert_same_bits(masks, boxes, size, threshold) -> None:
    """Dense masks and RLEs hold what comparing torch's own values with the threshold gives."""
    expected = g.paste_soft_masks(masks, boxes, size) >= threshold
    assert torch.equal(g.paste_masks(masks, boxes, size, threshold), expected)
    rles = g.paste_masks_to_rle(masks, boxes, size, threshold)
    assert rles == [encode_mask(mask) for mask in expected]


@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_paste_masks_to_rle_decodes_to_paste_masks(threshold, seed, device) -> None:
    masks, boxes = random_masks(150, seed=seed), boxes_in_and_out(150, seed)
    rles = g.paste_masks_to_rle(masks.to(device), boxes.to(device), SIZE, threshold)
    dense = g.paste_masks(masks, boxes, SIZE, threshold)
    decoded = coco_mask.decode(rles).transpose(2, 0, 1)
    np.testing.assert_array_equal(decoded.astype(bool), dense.numpy())


@pytest.mark.parametrize("seed", range(5))
def test_paste_masks_to_rle_is_byte_identical_to_detectron2_and_pycocotools(seed) -> None:
    from detectron2.layers.mask_ops import paste_masks_in_image

    rng = np.random.default_rng(seed)
    size = (int(rng.integers(20, 200)), int(rng.integers(20, 200)))
    masks, boxes = random_masks(1000, int(rng.integers(2, 57)), seed), boxes_in_and_out(1000, seed)
    boxes *= torch.tensor([size[1] / SIZE[1], size[0] / SIZE[0]]).repeat(2)
    masks = masks.round() if seed % 2 else masks  # edges of cells at the threshold
    inside = ((boxes[:, :2] < torch.tensor(size[::-1])) & (boxes[:, 2:] > 0)).all(dim=1)
    masks, boxes = masks[inside], boxes[inside]
    assert len(masks) > 200
    dense = paste_masks_in_image(masks, boxes, size).numpy().astype(np.uint8)
    expected = coco_mask.encode(np.asfortranarray(dense.transpose(1, 2, 0)))
    assert g.paste_masks_to_rle(masks, boxes, size) == expected


def test_paste_masks_to_rle_is_canonical() -> None:
    masks, boxes = random_masks(50), boxes_in_and_out(50)
    boxes[0] = torch.tensor([500.0, 500, 600, 600])  # outside
    boxes[1] = torch.tensor([3.0, 3, 3, 3])  # of zero size
    boxes[2] = torch.tensor([-1e3, -1e3, 1e3, 1e3])  # all of the image
    masks[2] = 1
    dense = g.paste_masks(masks, boxes, SIZE).numpy().astype(np.uint8)
    for rle, mask in zip(g.paste_masks_to_rle(masks, boxes, SIZE), dense, strict=True):
        assert rle == coco_mask.encode(np.asfortranarray(mask))
        assert rle["size"] == list(SIZE)
        assert isinstance(rle["counts"], bytes)
        assert coco_mask.area(rle) == mask.sum()


def test_paste_masks_to_rle_hand_worked() -> None:
    # Ones over the pixels x 1, y 1 and 2 of 4 x 3: runs down the columns of 5, 2 and 5.
    box = torch.tensor([[1.0, 1, 2, 3]])
    (rle,) = g.paste_masks_to_rle(torch.ones(1, 2, 2), box, (4, 3))
    assert rle == {"size": [4, 3], "counts": b"525"}


SIDES = st.sampled_from([1e-30, 1e-3, 0.3, 1.0, 7.0, 28.0, 33.3, 500.0, 1e4, 1e6, 3e9, 1e30])
STARTS = st.sampled_from([-1e6, -333.3, -7.0, -0.5, 0.0, 0.25, 3.0, 11.9, 23.0, 1e4, 1e6])
LEVELS = st.sampled_from([0.0, 1.0, -1.0, 1e-45, 1e-40, 0.25, 0.75, 2.0, 3e30, -3.4e38])


@st.composite
def pastes(draw) -> tuple:
    """A few masks with many values at the threshold or next to it, or beyond all reason."""
    dtype = draw(st.sampled_from([np.float32, np.float32, np.float64]))
    threshold = draw(st.sampled_from([0.5, 0.3, 1.0, 1e-40]) | st.floats(2**-10, 1, width=32))
    limit = dtype(threshold)
    near = st.sampled_from(
        [limit, np.nextafter(limit, dtype(2)), np.nextafter(limit, dtype(0)), 2 * limit]
    )
    cells = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    smooth, flat = st.floats(0, 1, width=32), near | LEVELS
    value = draw(st.sampled_from([smooth, near, flat, smooth | near]))
    count = cells[0] * cells[1]
    masks = np.array(draw(st.lists(value, min_size=count, max_size=count)), dtype)
    x1, y1, w, h = draw(st.tuples(STARTS, STARTS, SIDES, SIDES))
    box = np.array([[x1, y1, x1 + w, y1 + h]], draw(st.sampled_from([np.float32, dtype])))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    return torch.from_numpy(masks.reshape(1, *cells)), torch.from_numpy(box), size, threshold


@settings(max_examples=600)
@given(pastes(), st.integers(0, 1599), st.booleans())
@example((torch.full((1, 3, 3), 1.0), torch.tensor([[-1e30, 0, 1e30, 9]]), (8, 8), 1.0), 0, False)
@example((torch.ones(1, 4, 4), torch.tensor([[-9.0, -9, 99, 99]]), (9, 9), 0.5), 0, False)
def test_no_bit_differs(paste, pick, above) -> None:
    masks, boxes, size, threshold = paste
    assert_same_bits(masks, boxes, size, threshold)
    # The value of some pixel as the threshold, or the next number.
    soft = g.paste_soft_masks(masks, boxes, size)
    values = soft[(soft > 1e-30) & (soft < 1)]
    if len(values):
        value = values[pick % len(values)].numpy()
        value = np.nextafter(value, value.dtype.type(2)) if above else value
        assert_same_bits(masks, boxes, size, float(value))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
@pytest.mark.parametrize("box_dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_dtype_has_the_bits_of_torch(dtype, box_dtype) -> None:
    skip_unless_sampled_on_cpu(dtype if dtype.is_floating_point else torch.float32)
    masks = random_masks(30, 9).round() if not dtype.is_floating_point else random_masks(30, 9)
    assert_same_bits(masks.to(dtype), boxes_in_and_out(30).to(box_dtype), SIZE, 0.5)


def test_values_that_are_not_finite_compare_as_in_torch() -> None:
    """A model may have diverged; the unchecked paste still agrees with the dense one."""
    masks = random_masks(3, 6)
    masks[0, 2, 3], masks[1, 1, 1], masks[2, 4, 4] = float("nan"), float("inf"), -float("inf")
    boxes = torch.tensor([[2.0, 3, 30, 33]]).repeat(3, 1)
    window = slice(0, SIZE[0]), slice(0, SIZE[1])
    soft = sample_masks(masks, boxes, *window)
    near = near_boxes(boxes, SIZE)
    assert torch.equal(paste_masks_unchecked(masks, boxes, SIZE, 0.5), (soft >= 0.5) & near)


@pytest.mark.parametrize("to_rle", TO_RLE)
def test_to_rle_of_a_huge_image_and_box(to_rle) -> None:
    """16,000 x 16,000 pixels and a box of 7,600: ones, whose corners fall below the threshold."""
    size, box = (16_000, 16_000), torch.tensor([[300.0, 200, 7900, 7800], [0, 0, 16e3, 16e3]])
    rles = to_rle(torch.ones(2, 28, 28), box, size)
    areas = [7600 * 7600, 16_000 * 16_000]
    if to_rle is g.paste_masks_to_rle:
        # Towards a corner both factors fall from 1 to 0.5 within half a cell: their product is
        # below 0.5 on (ln 2 / 2 - 1/4) of a squared cell.
        corner = np.log(2) / 2 - 0.25
        exact = [side**2 - 4 * corner * (side / 28) ** 2 for side in (7600, 16_000)]
        np.testing.assert_allclose(coco_mask.area(rles), exact, rtol=2e-6)
        assert coco_mask.toBbox(rles).tolist() == [[300, 200, 7600, 7600], [0, 0, 16e3, 16e3]]
    np.testing.assert_allclose(coco_mask.area(rles), areas, rtol=1e-3)


def test_paste_masks_detectron1_to_rle_has_the_bits_of_the_dense_paste() -> None:
    for threshold in (0.3, 0.5):
        masks, boxes = random_masks(200, 14), boxes_in_and_out(200, 3)
        boxes[0], masks[1] = torch.tensor([-1e8, -1e8, 1e8, 1e8]), threshold
        dense = g.paste_masks_detectron1(masks, boxes, SIZE, threshold)
        rles = g.paste_masks_detectron1_to_rle(masks, boxes, SIZE, threshold)
        assert rles == [encode_mask(mask) for mask in dense]


@pytest.mark.parametrize("to_rle", TO_RLE)
def test_to_rle_in_threads(to_rle) -> None:
    inputs = [(random_masks(20, seed=i), boxes_in_and_out(20, i), SIZE) for i in range(8)]
    expected = [to_rle(*args) for args in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(lambda args: to_rle(*args), inputs)) == expected


def test_encode_mask_round_trip() -> None:
    for mask in (torch.rand(5, 7) > 0.5, torch.zeros(3, 4).bool(), torch.ones(4, 3).bool()):
        np.testing.assert_array_equal(coco_mask.decode(encode_mask(mask)), mask.numpy())


@pytest.mark.parametrize("to_rle", TO_RLE)
def test_to_rle_empty_and_pure(to_rle) -> None:
    assert to_rle(torch.zeros(0, 28, 28), torch.zeros(0, 4), SIZE) == []
    masks, boxes = random_masks(3), boxes_in_and_out(3)
    references.assert_pure(to_rle, masks, boxes, SIZE)
    bits = masks >= 0.5
    ours = to_rle(bits, boxes, SIZE)
    assert ours == to_rle(bits.float(), boxes, SIZE)
    assert to_rle(masks.requires_grad_(), boxes, SIZE) == to_rle(masks.detach(), boxes, SIZE)
    apart = torch.rand(3, 28, 56)[:, :, ::2]  # not contiguous
    assert to_rle(apart, boxes, SIZE) == to_rle(apart.contiguous(), boxes, SIZE)


def test_paste_masks_detectron1_to_rle_refuses_masks_that_are_not_square() -> None:
    with pytest.raises(ValueError, match="masks"):
        g.paste_masks_detectron1_to_rle(torch.ones(1, 3, 4), torch.zeros(1, 4), SIZE)
