"""Width, area, clip, IoU and conversions: float boxes, and Detectron's inclusive-index boxes.

A float box spans [x1, x2], so its width is x2 - x1. An inclusive-index box names its first and
last pixel, so its width is x2 - x1 + 1. They are different things: convert at the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from d2align.geometry._checks import (
    accepts_numpy,
    as_number,
    as_numbers,
    check_boxes,
    check_columns,
    check_image_size,
    check_tensor,
    describe,
    fail,
)


@accepts_numpy
def box_sizes(boxes: Tensor) -> Tensor:
    """Return the width and height of float boxes.

    Convention: integer corners; width = x2 - x1.

    Args:
        boxes: (N, 4) XYXY, pixels.

    Returns:
        (N, 2) widths and heights, pixels.

    Raises:
        ValueError: the shape is not (N, 4).
    """
    boxes = _checked(boxes)
    return boxes[:, 2:4] - boxes[:, 0:2]


@accepts_numpy
def box_sizes_detectron1(boxes: Tensor) -> Tensor:
    """Return the width and height of inclusive-index boxes.

    Convention: inclusive indices; width = x2 - x1 + 1.

    Args:
        boxes: (N, 4) first and last pixel, XYXY.

    Returns:
        (N, 2) widths and heights, pixels.

    Raises:
        ValueError: the shape is not (N, 4).

    Differs from: box_sizes by +1.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (boxes_area, filter_small_boxes).
    """
    boxes = _checked(boxes)
    return boxes[:, 2:4] - boxes[:, 0:2] + 1


@accepts_numpy
def box_areas(boxes: Tensor) -> Tensor:
    """Return the areas of float boxes.

    Convention: integer corners; area = (x2 - x1)(y2 - y1).

    Args:
        boxes: (N, 4) XYXY, pixels.

    Returns:
        (N,) square pixels; float32 for halves, in which the area of 256 x 256 is infinite.

    Raises:
        ValueError: the shape is not (N, 4).
    """
    return _without_halves(box_sizes(boxes)).prod(dim=1)


@accepts_numpy
def box_areas_detectron1(boxes: Tensor) -> Tensor:
    """Return the number of pixels in inclusive-index boxes.

    Convention: inclusive indices; area = (x2 - x1 + 1)(y2 - y1 + 1).

    Args:
        boxes: (N, 4) first and last pixel, XYXY.

    Returns:
        (N,) square pixels; float32 for halves.

    Raises:
        ValueError: the shape is not (N, 4).

    Differs from: box_areas by the +1 on each side.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (boxes_area).
    """
    return _without_halves(box_sizes_detectron1(boxes)).prod(dim=1)


def _checked(boxes: Tensor) -> Tensor:
    check_columns("boxes", boxes, 4)
    return as_numbers("boxes", boxes)


def _without_halves(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


@accepts_numpy
def clip_boxes(boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Clip float boxes to the image, [0, W] x [0, H].

    Convention: integer corners.

    Args:
        boxes: (N, 4k) tiled XYXY boxes, pixels.
        image_size: (h, w), pixels, each at least 1.

    Returns:
        (N, 4k), pixels.

    Raises:
        ValueError: image_size is not two positive integers.
    """
    h, w = check_image_size("image_size", image_size)
    return _clip(boxes, float(h), float(w))


@accepts_numpy
def clip_boxes_detectron1(boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Clip inclusive-index boxes to the image, [0, W - 1] x [0, H - 1].

    Convention: inclusive indices.

    Args:
        boxes: (N, 4k) tiled XYXY boxes, pixels.
        image_size: (h, w), pixels, each at least 1.

    Returns:
        (N, 4k), pixels.

    Raises:
        ValueError: image_size is not two positive integers.

    Differs from: clip_boxes in its right and bottom limits, W - 1 and H - 1.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (clip_tiled_boxes);
        rbgirshick/py-faster-rcnn, lib/fast_rcnn/bbox_transform.py (clip_boxes).
    """
    h, w = check_image_size("image_size", image_size)
    return _clip(boxes, h - 1.0, w - 1.0)


def _clip(boxes: Tensor, y_max: float, x_max: float) -> Tensor:
    check_tensor("boxes", boxes, 2, "a tensor of shape (N, 4k)")
    boxes = as_numbers("boxes", boxes)
    if boxes.shape[1] == 0 or boxes.shape[1] % 4:
        raise fail("boxes", describe(boxes), "shape (N, 4k), k at least 1")
    limits = boxes.new_tensor([x_max, y_max]).repeat(boxes.shape[1] // 2)
    return torch.minimum(boxes.clamp(min=0), limits)


@accepts_numpy
def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the intersection over union of all pairs of float boxes.

    Convention: integer corners; boxes that only touch have IoU 0, and so have empty ones.

    Args:
        boxes1: (N, 4) XYXY, pixels.
        boxes2: (M, 4) XYXY, pixels.

    Returns:
        (N, M) in [0, 1].

    Raises:
        ValueError: a box is NaN or inverted, or a shape or dtype is wrong.
    """
    check_boxes("boxes1", boxes1)
    check_boxes("boxes2", boxes2)
    return _pairwise_iou(boxes1, boxes2, 0.0)


@accepts_numpy
def box_iou_detectron1(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the intersection over union of all pairs of inclusive-index boxes.

    Convention: inclusive indices; boxes that share one column of pixels do overlap.

    Args:
        boxes1: (N, 4) first and last pixel, XYXY.
        boxes2: (M, 4) first and last pixel, XYXY.

    Returns:
        (N, M) in [0, 1].

    Raises:
        ValueError: a box is NaN or has x2 < x1 - 1, or a shape or dtype is wrong.

    Differs from: box_iou by +1 on every width and height.
    Source: facebookresearch/Detectron, detectron/utils/cython_bbox.pyx (bbox_overlaps).
    """
    check_boxes("boxes1", boxes1, least=-1.0)
    check_boxes("boxes2", boxes2, least=-1.0)
    return _pairwise_iou(boxes1, boxes2, 1.0)


def _pairwise_iou(boxes1: Tensor, boxes2: Tensor, extra: float) -> Tensor:
    dtype = torch.promote_types(boxes1.dtype, boxes2.dtype)
    boxes1, boxes2 = _without_halves(boxes1), _without_halves(boxes2)
    top_left = torch.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = torch.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    inter = (bottom_right - top_left + extra).clamp(min=0).prod(dim=2)
    areas1 = (boxes1[:, 2:] - boxes1[:, :2] + extra).prod(dim=1)
    areas2 = (boxes2[:, 2:] - boxes2[:, :2] + extra).prod(dim=1)
    union = areas1[:, None] + areas2[None, :] - inter
    safe = torch.where(union > 0, union, torch.ones_like(union))
    return torch.where(union > 0, inter / safe, torch.zeros_like(inter)).to(dtype)


@accepts_numpy
def float_to_inclusive(boxes: Tensor) -> Tensor:
    """Name the last pixel instead of the far edge: subtract 1 from x2 and y2.

    Convention: integer corners in, inclusive indices out.

    Args:
        boxes: (N, 4) XYXY, pixels.

    Returns:
        (N, 4) first and last pixel (not rounded).

    Raises:
        ValueError: the shape is not (N, 4).
    """
    boxes = _checked(boxes)
    return boxes - boxes.new_tensor([0, 0, 1, 1])


@accepts_numpy
def inclusive_to_float(boxes: Tensor) -> Tensor:
    """Give the far edge instead of the last pixel: add 1 to x2 and y2.

    Convention: inclusive indices in, integer corners out.

    Args:
        boxes: (N, 4) first and last pixel, XYXY.

    Returns:
        (N, 4) XYXY, pixels.

    Raises:
        ValueError: the shape is not (N, 4).
    """
    boxes = _checked(boxes)
    return boxes + boxes.new_tensor([0, 0, 1, 1])


@accepts_numpy
def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Turn corner and size into two corners.

    Convention: integer corners; x2 = x1 + w.

    Args:
        boxes: (N, 4) XYWH, pixels.

    Returns:
        (N, 4) XYXY, pixels.

    Raises:
        ValueError: the shape is not (N, 4).
    """
    boxes = _checked(boxes)
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)


@accepts_numpy
def xywh_to_xyxy_detectron1(boxes: Tensor) -> Tensor:
    """Turn corner and size into first and last pixel, x2 = x1 + max(w - 1, 0).

    Convention: XYWH in, inclusive indices out.

    Args:
        boxes: (N, 4) XYWH, pixels.

    Returns:
        (N, 4) first and last pixel, XYXY.

    Raises:
        ValueError: the shape is not (N, 4).

    Differs from: xywh_to_xyxy by the -1, and by taking widths below 1 as 1.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (xywh_to_xyxy).
    """
    boxes = _checked(boxes)
    return torch.cat([boxes[:, :2], boxes[:, :2] + (boxes[:, 2:] - 1).clamp(min=0)], dim=1)


@accepts_numpy
def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """Turn two corners into corner and size.

    Convention: integer corners; w = x2 - x1.

    Args:
        boxes: (N, 4) XYXY, pixels.

    Returns:
        (N, 4) XYWH, pixels.

    Raises:
        ValueError: the shape is not (N, 4).
    """
    boxes = _checked(boxes)
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)


@accepts_numpy
def xyxy_to_xywh_detectron1(boxes: Tensor) -> Tensor:
    """Turn first and last pixel into corner and size, w = x2 - x1 + 1.

    Convention: inclusive indices in, XYWH out.

    Args:
        boxes: (N, 4) first and last pixel, XYXY.

    Returns:
        (N, 4) XYWH, pixels.

    Raises:
        ValueError: the shape is not (N, 4).

    Differs from: xyxy_to_xywh by +1.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (xyxy_to_xywh).
    """
    boxes = _checked(boxes)
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + 1], dim=1)


@accepts_numpy
def scale_boxes(boxes: Tensor, factor: float) -> Tensor:
    """Scale boxes about their own centres.

    Convention: the same for float and inclusive-index boxes read as continuous numbers, which
    is how Detectron's expand_boxes reads them.

    Args:
        boxes: (N, 4) XYXY, pixels.
        factor: positive.

    Returns:
        (N, 4) XYXY, pixels.

    Raises:
        ValueError: the shape is not (N, 4), or the factor is not positive.

    Source: facebookresearch/Detectron, detectron/utils/boxes.py (expand_boxes).
    """
    boxes = _checked(boxes)
    factor = as_number("factor", factor, "a positive number")
    if not (math.isfinite(factor) and factor > 0):
        raise fail("factor", factor, "a positive number")
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * factor
    centers = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    return torch.cat([centers - half, centers + half], dim=1)
