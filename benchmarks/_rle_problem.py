"""RoI masks and boxes for the benchmarks of pasting: drawn, or real ones; and the peer's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d2align.geometry import resize_half_pixel

SMALL, LARGE, HUGE = (480, 640), (800, 1333), (8000, 8000)
Input = tuple[Tensor, Tensor, tuple[int, int]]


def blobs(n: int, size: tuple[int, int], m: int = 28, noise: float = 0.0, seed: int = 0) -> Input:
    """Return masks of a soft irregular blob each, and boxes as a detector finds in an image.

    ``noise`` 1 gives masks of nothing but smooth noise about the threshold: many more outlines.
    """
    rng = np.random.default_rng(seed)
    at = (np.arange(m) + 0.5) / m - 0.5
    radius = np.hypot(at[:, None], at[None, :])
    coarse = resize_half_pixel(torch.from_numpy(rng.random((n, 5, 5))), (m, m)).numpy()
    logits = (1 - noise) * 20 * (0.35 - radius) + (4 + 8 * noise) * (coarse - 0.5)
    masks = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    h, w = size
    sides = np.exp(rng.normal(np.log(0.2 * min(h, w)), 0.8, (n, 2))).clip(4, [w, h])
    center = rng.uniform(sides / 2, np.array([w, h]) - sides / 2)
    boxes = np.concatenate([center - sides / 2, center + sides / 2], axis=1)
    return masks, torch.from_numpy(boxes).float(), size


def huge_image() -> Input:
    """Return 1,000 masks on 8000 x 8000 pixels, box sides log-normal about 70 px up to 7,600."""
    rng = np.random.default_rng(0)
    masks = blobs(1000, SMALL)[0]
    sides = np.exp(rng.normal(np.log(70), 1.2, (1000, 2))).clip(2, 7600)
    sides[0] = 7600
    corner = rng.uniform(0, 8000 - sides)
    return masks, torch.from_numpy(np.concatenate([corner, corner + sides], 1)).float(), HUGE


def random_masks(total: int) -> Iterator[Input]:
    """Yield at least so many masks, 50 or fewer an image: smooth, sharp and binary, of many sizes.

    A fifth of the boxes have whole corners, where values tie; many reach outside the image.
    """
    rng = np.random.default_rng(1)
    seed = 0
    while total > 0:
        size = int(rng.integers(8, 400)), int(rng.integers(8, 400))
        masks, boxes, _ = blobs(50, size, int(rng.integers(2, 57)), rng.random(), seed)
        boxes += torch.from_numpy(rng.normal(0, 0.1 * min(size), boxes.shape)).float().sort(1)[0]
        boxes = boxes.round() if seed % 5 == 0 else boxes
        boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + 0.05)
        near = ((boxes[:, :2] < torch.tensor(size[::-1])) & (boxes[:, 2:] > 0)).all(1)
        masks = masks.round() if seed % 3 == 0 else masks
        yield masks[near], boxes[near], size
        total -= int(near.sum())
        seed += 1


def real_masks(path: str) -> Iterator[Input]:
    """Yield the detections of each image of a file, in an image that just holds them.

    Args:
        path: an .npz of rows (N, 7), image_id, category_id, score, x, y, w, h in original pixels,
            and of masks (N, M, M), uint8, probability times 255.
    """
    file = np.load(path)
    rows, masks = file["rows"], torch.from_numpy(file["masks"]).float() / 255
    for image in np.unique(rows[:, 0]):
        chosen = rows[:, 0] == image
        boxes = torch.from_numpy(rows[chosen, 3:7]).float()
        boxes[:, 2:] += boxes[:, :2]
        h, w = (int(np.ceil(float(boxes[:, k].max()))) for k in (3, 2))
        yield masks[torch.from_numpy(chosen)], boxes, (h, w)


def encode_detectron2(
    masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5
) -> list[Any]:
    """Paste and encode as Detectron2's COCOEvaluator does."""
    from detectron2.layers.mask_ops import paste_masks_in_image

    return encode_dense(paste_masks_in_image(masks, boxes, size, threshold))


def encode_dense(dense: Tensor) -> list[Any]:
    """Encode each mask with pycocotools; the array is made without a deprecation warning."""
    from pycocotools import mask as coco_mask

    return [
        coco_mask.encode(np.array(m[:, :, None].numpy(), order="F", dtype="uint8"))[0]
        for m in dense
    ]
