"""Boxes in network pixels that name their first and last pixel."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.structures import Boxes, pairwise_iou
from torch import Tensor

from d2align.geometry.boxes import inclusive_to_float
from d2align.modeling.image_scale import box_scale

# What Detectron adds to size / 224 when it chooses a level, less the 1e-8 of Detectron2.
_LEVEL_MARGIN = 224 * (1e-6 - 1e-8)


class InclusiveBoxes(Boxes):
    """Boxes that name their first and last pixel.

    Convention: inclusive indices in original pixels, times the scale: x2 is (last pixel) * scale,
    so that the missing pixel is one original pixel, or one network pixel, as the user of the box
    has it.
    """

    def area(self) -> Tensor:
        """Return the areas by which ROIPooler chooses levels, (w + 1)(h + 1) in network pixels.

        Returns:
            (N,) square pixels. A margin of 2e-4 pixels a side gives ROIPooler, whose own is
            smaller, Detectron's levels just below a boundary.

        Source: facebookresearch/Detectron, detectron/modeling/FPN.py (map_rois_to_fpn_levels).
        """
        sides = self.tensor[:, 2:] - self.tensor[:, :2] + 1
        return (sides.prod(dim=1).sqrt() + _LEVEL_MARGIN).square()

    def clone(self) -> InclusiveBoxes:
        """Return a copy."""
        return type(self)(self.tensor.clone())

    def to(self, device: Any) -> InclusiveBoxes:
        """Return the same boxes on a device.

        Args:
            device: a torch device.
        """
        return type(self)(self.tensor.to(device=device))

    def __getitem__(self, item: Any) -> InclusiveBoxes:
        return type(self)(super().__getitem__(item).tensor)


def to_inclusive(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Name the last pixel instead of the far edge: take one original pixel off x2 and y2.

    Convention: integer corners in, inclusive indices out, both in network pixels. A box narrower
    than a pixel has x2 < x1, as Detectron's detections may.

    Args:
        boxes: (N, 4) XYXY, network pixels.
        size: of the image, which knows its scale.

    Returns:
        (N, 4) first and last pixel, XYXY, network pixels.
    """
    return torch.cat([boxes[:, :2], boxes[:, 2:] - box_scale(size, boxes)[:2]], dim=1)


def to_float(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Give the far edge instead of the last pixel: add one original pixel to x2 and y2.

    Convention: inclusive indices in, integer corners out, both in network pixels.

    Args:
        boxes: (N, 4) first and last pixel, XYXY, network pixels.
        size: of the image, which knows its scale.

    Returns:
        (N, 4) XYXY, network pixels.
    """
    return torch.cat([boxes[:, :2], boxes[:, 2:] + box_scale(size, boxes)[:2]], dim=1)


def iou_detectron1(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the overlaps of all pairs of inclusive boxes, as ``box_iou_detectron1``, unchecked.

    Args:
        boxes1: (N, 4) first and last pixel, XYXY, in the pixels that the +1 counts.
        boxes2: (M, 4), likewise.

    Returns:
        (N, M) in [0, 1].
    """
    iou: Tensor = pairwise_iou(Boxes(inclusive_to_float(boxes1)), Boxes(inclusive_to_float(boxes2)))
    return iou
