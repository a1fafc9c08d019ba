"""RoI masks to COCO's run-length encoding, without full-image masks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from d2align.geometry.paste_mask import (
    check_paste_input,
    check_square,
    paste_masks_detectron1_unchecked,
    paste_masks_unchecked,
)
from d2align.geometry.paste_runs import Runs, paste_runs, paste_runs_detectron1

Rle = dict[str, Any]


def paste_masks_to_rle(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float = 0.5
) -> list[Rle]:
    """Return the COCO RLE of each pasted mask, the same bits as ``paste_masks`` on the CPU.

    Convention: as ``paste_masks``. The work grows with the outlines of the masks, not with the
    image; the first call in an environment compiles for seconds. Masks and boxes on a GPU are
    copied to the CPU first, small as they are.

    Args:
        masks: (N, M_h, M_w) probabilities; bool and integers count as float32. Masks of 16 bits
            are sampled in 16 bits, slowly and roughly: call .float() on them first.
        boxes: (N, 4) XYXY, pixels; they may reach outside the image.
        image_size: (h, w), pixels, each at least 1.
        threshold: in (0, 1].

    Returns:
        N dicts {"size": [h, w], "counts": bytes}, as pycocotools makes them.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.
    """
    size = check_paste_input(masks, boxes, image_size, threshold)
    return paste_masks_to_rle_unchecked(masks, boxes, size, threshold)


def paste_masks_to_rle_unchecked(
    masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float
) -> list[Rle]:
    """``paste_masks_to_rle`` without its checks; inverted boxes give empty masks."""
    masks, boxes = masks.cpu(), boxes.cpu()
    runs = paste_runs(masks, boxes, size, threshold, along_rows=False)
    if runs is not None:
        return runs_to_rles(runs, size)
    return [
        encode_mask(paste_masks_unchecked(masks[i : i + 1], boxes[i : i + 1], size, threshold)[0])
        for i in range(len(masks))
    ]


def paste_masks_detectron1_to_rle(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float = 0.5
) -> list[Rle]:
    """Return the COCO RLE of each mask as Detectron pasted it.

    Convention: as ``paste_masks_detectron1``, and the same bits; speed as ``paste_masks_to_rle``.

    Args:
        masks: (N, M, M) probabilities.
        boxes: (N, 4) the boxes in which the masks were cropped, as continuous numbers, no -1.
        image_size: (h, w), pixels, each at least 1.
        threshold: in (0, 1]; a pixel belongs to the mask if its value is above this.

    Returns:
        N dicts {"size": [h, w], "counts": bytes}, as pycocotools makes them.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.

    Differs from: paste_masks_to_rle in its integer boxes, and in `>` instead of `>=`.
    Source: facebookresearch/Detectron, detectron/core/test.py (segm_results).
    """
    size = check_paste_input(masks, boxes, image_size, threshold)
    check_square(masks)
    return paste_masks_detectron1_to_rle_unchecked(masks, boxes, size, threshold)


def paste_masks_detectron1_to_rle_unchecked(
    masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float
) -> list[Rle]:
    """``paste_masks_detectron1_to_rle`` without its checks; inverted boxes are pasted, too."""
    masks, boxes = masks.cpu(), boxes.cpu()
    runs = paste_runs_detectron1(masks, boxes, size, threshold, along_rows=False)
    if runs is not None:
        return runs_to_rles(runs, size)
    paste = paste_masks_detectron1_unchecked
    return [
        encode_mask(paste(masks[i : i + 1], boxes[i : i + 1], size, threshold)[0])
        for i in range(len(masks))
    ]


def runs_to_rles(runs: Runs, size: tuple[int, int]) -> list[Rle]:
    """Return runs down the columns of images of a size as COCO's dicts."""
    text, ends = runs.text.tobytes(), [0, *runs.ends.tolist()]
    return [
        {"size": list(size), "counts": text[start:end]} for start, end in itertools.pairwise(ends)
    ]


def encode_mask(mask: Tensor) -> Rle:
    """Return the COCO RLE of one full-image mask.

    Convention: none; bits in, the same bits out.

    Args:
        mask: (h, w) bool.

    Returns:
        {"size": [h, w], "counts": bytes}.
    """
    from pycocotools import mask as coco_mask

    rle: Rle = coco_mask.encode(np.asfortranarray(mask.cpu().numpy().astype(np.uint8)))
    return rle
