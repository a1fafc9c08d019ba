"""Masks to COCO's run-length encoding where they are: only the ends of runs leave a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d2align.geometry._checks import check_tensor, describe, fail
from d2align.geometry.paste_dense import near_boxes, sample_masks
from d2align.geometry.paste_mask import check_paste_input
from d2align.geometry.paste_runs import write_toggles
from d2align.geometry.rle import Rle, runs_to_rles

# Of one chunk of dense masks with their sampling grid, some 16 bytes a pixel.
_CHUNK_BYTES = 256 * 2**20


def paste_masks_to_rle_on_device(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float = 0.5
) -> list[Rle]:
    """Return the COCO RLE of each pasted mask, pasted and turned into runs on its own device.

    Convention: as ``paste_masks``, and its bits on that device. A GPU may round a value at the
    threshold otherwise than the CPU, where ``paste_masks_to_rle`` computes whatever it is given.

    Args:
        masks: (N, M_h, M_w) probabilities; bool and integers count as float32.
        boxes: (N, 4) XYXY, pixels, on the same device; they may reach outside the image.
        image_size: (h, w), pixels, each at least 1.
        threshold: in (0, 1].

    Returns:
        N dicts {"size": [h, w], "counts": bytes}, as pycocotools makes them.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.
    """
    h, w = check_paste_input(masks, boxes, image_size, threshold)
    masks = masks.detach() if masks.is_floating_point() else masks.to(torch.float32)
    boxes, chunk = boxes.detach(), max(1, _CHUNK_BYTES // (16 * h * w))
    rles: list[Rle] = []
    for first in range(0, len(masks), chunk):
        part = slice(first, first + chunk)
        soft = sample_masks(masks[part], boxes[part], slice(0, h), slice(0, w))
        rles += _encode((soft >= threshold) & near_boxes(boxes[part], (h, w)))
    return rles


def encode_masks_on_device(masks: Tensor) -> list[Rle]:
    """Return the COCO RLE of full-image masks; their runs are found on their device.

    Convention: none; bits in, the same bits out.

    Args:
        masks: (N, h, w) bool, h and w at least 1.

    Returns:
        N dicts {"size": [h, w], "counts": bytes}, as pycocotools makes them.

    Raises:
        ValueError: another shape or dtype, or no pixels.
    """
    check_tensor("masks", masks, 3, "full-image masks of shape (N, h, w)")
    if masks.dtype != torch.bool or 0 in masks.shape[1:]:
        raise fail("masks", describe(masks), "bool, with at least one pixel a side")
    chunk = max(1, _CHUNK_BYTES // (16 * masks.shape[1] * masks.shape[2]))
    parts = (masks[first : first + chunk] for first in range(0, len(masks), chunk))
    return [rle for part in parts for rle in _encode(part)]


def _encode(masks: Tensor) -> list[Rle]:
    """The RLE of masks that are few enough to be done at once."""
    n, h, w = masks.shape
    runs = write_toggles(*_toggles(masks), h * w)
    return [] if n == 0 else runs_to_rles(runs, (h, w))


def _toggles(masks: Tensor) -> tuple[Any, Any]:
    """Where masks go on or off down the columns, all in one, and where each one's end."""
    columns = masks.transpose(1, 2).flatten(1)
    changes = columns.clone()
    changes[:, 1:] ^= columns[:, :-1]
    mask, pixel = changes.nonzero(as_tuple=True)
    ends = torch.bincount(mask, minlength=len(masks)).cumsum(0)
    # Half the bytes to move, where an image is not larger than 46k x 46k.
    moved = pixel.to(torch.int32 if columns.shape[1] < 2**31 else torch.int64)
    return moved.cpu().numpy().astype(np.int64), ends.cpu().numpy()
