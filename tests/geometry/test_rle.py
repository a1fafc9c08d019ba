"""The RLE of a pasted mask holds the bits of the pasted mask."""

from __future__ import annotations

import numpy as np
import pytest
import references
import torch
from pycocotools import mask as coco_mask
from test_paste_mask import SIZE, boxes_in_and_out, random_masks

from d2align import geometry as g
from d2align.geometry.rle import encode_mask


@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_paste_masks_to_rle_decodes_to_paste_masks(threshold, seed, device) -> None:
    masks, boxes = random_masks(150, seed=seed).to(device), boxes_in_and_out(150, seed).to(device)
    rles = g.paste_masks_to_rle(masks, boxes, SIZE, threshold)
    dense = g.paste_masks(masks, boxes, SIZE, threshold).cpu()
    decoded = coco_mask.decode(rles).transpose(2, 0, 1)
    np.testing.assert_array_equal(decoded.astype(bool), dense.numpy())


def test_paste_masks_to_rle_is_canonical() -> None:
    """The same bytes as pycocotools makes of the dense masks, as evaluation compares them."""
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


def test_encode_mask_round_trip() -> None:
    for mask in (torch.rand(5, 7) > 0.5, torch.zeros(3, 4).bool(), torch.ones(4, 3).bool()):
        np.testing.assert_array_equal(coco_mask.decode(encode_mask(mask)), mask.numpy())


def test_paste_masks_to_rle_empty_and_pure() -> None:
    assert g.paste_masks_to_rle(torch.zeros(0, 28, 28), torch.zeros(0, 4), SIZE) == []
    masks, boxes = random_masks(3), boxes_in_and_out(3)
    references.assert_pure(g.paste_masks_to_rle, masks, boxes, SIZE)
    bits = masks >= 0.5
    ours = g.paste_masks_to_rle(bits, boxes, SIZE)
    assert ours == g.paste_masks_to_rle(bits.float(), boxes, SIZE)
