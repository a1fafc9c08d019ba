"""Mask targets: what an RoI mask should be, cropped from ground-truth bitmasks or polygons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d2align.geometry._checks import (
    as_array,
    as_list,
    check_boxes,
    check_masks,
    check_same_length,
    check_whole,
    describe,
    fail,
)
from d2align.geometry.roi_align import (
    check_samples,
    roi_align_unaligned_unchecked,
    roi_align_unchecked,
)

# pycocotools walks along the outline, and crashes on outlines too long for its integers.
_FARTHEST = 1e6
RoiAlign = Callable[[Tensor, Tensor, Sequence[int], float, int], Tensor]


def crop_bitmasks(masks: Tensor, boxes: Tensor, mask_size: int) -> Tensor:
    """Crop full-image masks to boxes and resize them, by aligned RoIAlign.

    Convention: integer corners. ``paste_masks`` is its inverse. A box of zero size gets 0s.

    Args:
        masks: (N, H, W) bool or 0/1.
        boxes: (N, 4) XYXY, pixels.
        mask_size: M, at least 1.

    Returns:
        (N, M, M) bool: where the resampled mask is at least 0.5.

    Raises:
        ValueError: wrong shapes or dtypes, NaN or inverted boxes.
    """
    _check_crop(masks, boxes, mask_size)
    return crop_bitmasks_unchecked(masks, boxes, mask_size)


def crop_bitmasks_unaligned(masks: Tensor, boxes: Tensor, mask_size: int) -> Tensor:
    """Crop full-image masks to boxes by unaligned RoIAlign: half a pixel to the left and above.

    Convention: reads mask pixel i as if centred on i, so targets shift by -0.5 pixel.

    Args:
        masks: (N, H, W) bool or 0/1.
        boxes: (N, 4) XYXY, pixels.
        mask_size: M, at least 1.

    Returns:
        (N, M, M) bool: where the resampled mask is at least 0.5.

    Raises:
        ValueError: wrong shapes or dtypes, NaN or inverted boxes.

    Differs from: crop_bitmasks in the half pixel of its RoIAlign.
    Source: pytorch/vision, torchvision/models/detection/roi_heads.py (project_masks_on_boxes),
        made binary; facebookresearch/maskrcnn-benchmark's RoIAlign.
    """
    _check_crop(masks, boxes, mask_size)
    return crop_bitmasks_unaligned_unchecked(masks, boxes, mask_size)


def crop_bitmasks_unchecked(masks: Tensor, boxes: Tensor, mask_size: int) -> Tensor:
    """``crop_bitmasks`` without its checks."""
    return _crop(masks, boxes, mask_size, roi_align_unchecked)


def crop_bitmasks_unaligned_unchecked(masks: Tensor, boxes: Tensor, mask_size: int) -> Tensor:
    """``crop_bitmasks_unaligned`` without its checks."""
    return _crop(masks, boxes, mask_size, roi_align_unaligned_unchecked)


def _crop(masks: Tensor, boxes: Tensor, mask_size: int, roi_align: RoiAlign) -> Tensor:
    # float32, since half precision cannot count the masks.
    index = torch.arange(len(boxes), device=boxes.device, dtype=torch.float32)[:, None]
    rois = torch.cat([index, boxes.to(torch.float32)], dim=1)
    crops = roi_align(masks[:, None].to(torch.float32), rois, (mask_size, mask_size), 1.0, 0)
    return crops[:, 0] >= 0.5


def rasterize_polygons_within_box(
    polygons: Sequence[Any], box: Sequence[float], mask_size: int
) -> Tensor:
    """Draw an instance's polygons on the mask grid of a box.

    Convention: integer corners; the box spans [x1, x2], at least 0.1 pixel wide, as in
    Detectron2; pycocotools fills the polygons.

    Args:
        polygons: flat arrays x0, y0, x1, y1, ..., pixels, of one instance.
        box: x1, y1, x2, y2, pixels.
        mask_size: M, at least 1.

    Returns:
        (M, M) bool.

    Raises:
        ValueError: a polygon is not flat with at least 3 points, or the box is not 4 numbers.
    """
    corners = _corners(box)
    if (corners[2:] < corners[:2]).any():
        raise fail("box", describe(box), "x1 <= x2 and y1 <= y2")
    return _rasterize(polygons, corners, mask_size, min_side=0.1)


def rasterize_polygons_within_box_detectron1(
    polygons: Sequence[Any], box: Sequence[float], mask_size: int
) -> Tensor:
    """Draw an instance's polygons on the mask grid of an inclusive box, as Detectron did.

    Convention: the inclusive-index box is read as continuous, so x2 - x1 is a pixel too small
    for it; at least 1 pixel wide, even where it is inverted.

    Args:
        polygons: flat arrays x0, y0, x1, y1, ..., pixels, of one instance.
        box: first and last pixel, x1, y1, x2, y2.
        mask_size: M, at least 1.

    Returns:
        (M, M) bool.

    Raises:
        ValueError: a polygon is not flat with at least 3 points, or the box is not 4 numbers.

    Differs from: rasterize_polygons_within_box in the minimum side, and in being given boxes
        without their last pixel.
    Source: facebookresearch/Detectron, detectron/utils/segms.py (polys_to_mask_wrt_box).
    """
    return _rasterize(polygons, _corners(box), mask_size, min_side=1.0)


def _corners(box: Sequence[float]) -> Any:
    corners = as_array("box", box, np.float32, "four finite numbers x1, y1, x2, y2")
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise fail("box", describe(box), "four finite numbers x1, y1, x2, y2")
    return corners


def _rasterize(polygons: Sequence[Any], corners: Any, mask_size: int, min_side: float) -> Tensor:
    from pycocotools import mask as coco_mask

    given = as_list("polygons", polygons, "a sequence of flat polygons")
    check_whole("mask_size", mask_size)
    sides = np.maximum(corners[2:] - corners[:2], np.float32(min_side))
    scaled = [
        ((_polygon_points(i, p) - corners[:2]) * mask_size / sides).reshape(-1).astype(np.float64)
        for i, p in enumerate(given)
    ]
    if not scaled:
        raise fail("polygons", "none", "at least one polygon")
    if any((np.abs(p) > _FARTHEST).any() for p in scaled):
        raise fail("polygons", "points far outside the box", f"within {_FARTHEST:g} cells of it")
    rles = coco_mask.frPyObjects([p.tolist() for p in scaled], mask_size, mask_size)
    return torch.from_numpy(coco_mask.decode(rles).any(axis=2))


def _polygon_points(i: int, polygon: Any) -> Any:
    name = f"polygons[{i}]"
    flat = as_array(name, polygon, np.float32, "a flat array of at least 3 points x, y")
    if flat.ndim != 1 or len(flat) % 2 or len(flat) < 6:
        raise fail(name, describe(polygon), "a flat array of at least 3 points x, y")
    if not np.isfinite(flat).all():
        raise fail(name, "a point that is not finite", "finite coordinates")
    return flat.reshape(-1, 2)


def _check_crop(masks: Tensor, boxes: Tensor, mask_size: int) -> None:
    check_masks("masks", masks, "a tensor of shape (N, H, W)")
    check_boxes("boxes", boxes)
    check_same_length("masks", masks, "boxes", boxes)
    check_whole("mask_size", mask_size)
    check_samples("boxes", boxes, (mask_size, mask_size), 1.0, 0)
