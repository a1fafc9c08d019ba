"""RoI masks to COCO's run-length encoding, one small window at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from d2align.geometry.paste_mask import check_paste_input, paste_masks_unchecked

Rle = dict[str, Any]


def paste_masks_to_rle(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float = 0.5
) -> list[Rle]:
    """Return the COCO RLE of each pasted mask, the same bits as ``paste_masks``.

    Convention: as ``paste_masks``. One mask is dense at a time, never all of them.

    Args:
        masks: (N, M_h, M_w) probabilities.
        boxes: (N, 4) XYXY, pixels; they may reach outside the image.
        image_size: (h, w), pixels, each at least 1.
        threshold: in (0, 1].

    Returns:
        N dicts {"size": [h, w], "counts": bytes}, as pycocotools makes them.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.
    """
    size = check_paste_input(masks, boxes, image_size, threshold)
    return [
        encode_mask(paste_masks_unchecked(masks[i : i + 1], boxes[i : i + 1], size, threshold)[0])
        for i in range(len(masks))
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
