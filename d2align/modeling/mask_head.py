"""Mask targets: how ground-truth masks are cropped to the proposals."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from torch import Tensor

from d2align.geometry.mask_target import (
    crop_bitmasks_unaligned_unchecked,
    crop_bitmasks_unchecked,
    rasterize_polygons_within_box_detectron1,
)
from d2align.modeling.image_scale import box_scale, check_knows_scale
from d2align.registry import MASK_TARGET_REGISTRY


@MASK_TARGET_REGISTRY.register("aligned")
class AlignedBitMasks(BitMasks):
    """Bitmasks that are cropped by aligned RoIAlign, as Detectron2 does.

    Convention: integer corners, in network pixels.
    """

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Return the masks within boxes.

        Args:
            boxes: (N, 4) XYXY, pixels.
            mask_size: M.

        Returns:
            (N, M, M) bool.
        """
        return crop_bitmasks_unchecked(self.tensor, boxes.to(self.device), mask_size)


@MASK_TARGET_REGISTRY.register("unaligned")
class UnalignedBitMasks(BitMasks):
    """Bitmasks that are cropped by unaligned RoIAlign: targets shifted by half a pixel.

    Convention: reads pixel i as if centred on i, in network pixels.
    Differs from: AlignedBitMasks by -0.5 pixel in x and y.
    Source: pytorch/vision, torchvision/models/detection/roi_heads.py (project_masks_on_boxes).
    """

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Return the masks within boxes.

        Args:
            boxes: (N, 4) XYXY, pixels.
            mask_size: M.

        Returns:
            (N, M, M) bool.
        """
        return crop_bitmasks_unaligned_unchecked(self.tensor, boxes.to(self.device), mask_size)


@MASK_TARGET_REGISTRY.register("detectron1")
class Detectron1PolygonMasks(PolygonMasks):
    """Polygons that are drawn within boxes of at least one pixel, read as continuous.

    Convention: in original pixels. Detectron's boxes were inclusive indices, so that their last
    pixel is left out.
    Source: facebookresearch/Detectron, detectron/utils/segms.py (polys_to_mask_wrt_box).
    """

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Return the masks within boxes.

        Args:
            boxes: (N, 4) XYXY, original pixels.
            mask_size: M.

        Returns:
            (N, M, M) bool.
        """
        crops = [
            rasterize_polygons_within_box_detectron1(polygons, box, mask_size)
            for polygons, box in zip(self.polygons, boxes.cpu().numpy(), strict=True)
        ]
        empty = torch.zeros(0, mask_size, mask_size, dtype=torch.bool)
        return (torch.stack(crops) if crops else empty).to(boxes.device)


class CropByName:
    """A mixin over a mask head: crop its training targets by ``bitmasks_class``.

    Convention: that of the class, a value of MASK_TARGET_REGISTRY.
    """

    training: bool
    bitmasks_class: type[BitMasks] = AlignedBitMasks

    def forward(self, x: Any, instances: list[Instances]) -> Any:
        """Run the head, in training on ground truth that is cropped as chosen.

        Args:
            x: features of the regions.
            instances: one Instances an image; in training with gt_masks that are bitmasks.

        Returns:
            What the head returns.

        Raises:
            ValueError: ground-truth masks are polygons.
        """
        if self.training:
            instances = [_with_masks(i, self.bitmasks_class) for i in instances]
        return super().forward(x, instances)  # type: ignore[misc]


def _with_masks(instances: Instances, bitmasks_class: type[BitMasks]) -> Instances:
    if not instances.has("gt_masks"):
        return instances
    masks = instances.gt_masks
    if not isinstance(masks, BitMasks):
        raise ValueError(
            f"gt_masks: got {type(masks).__name__}, expected BitMasks: mask_target acts on "
            "bitmasks, so set INPUT.MASK_FORMAT bitmask"
        )
    out = Instances(instances.image_size, **instances.get_fields())
    out.gt_masks = bitmasks_class(masks.tensor)
    return out


class CropPolygonsInOriginalPixels:
    """A mixin over a mask head: draw its training targets by ``polygons_class``.

    Convention: that of the class, a value of MASK_TARGET_REGISTRY, in original pixels.
    Source: facebookresearch/Detectron, detectron/roi_data/mask_rcnn.py.
    """

    training: bool
    polygons_class: type[PolygonMasks] = Detectron1PolygonMasks

    def forward(self, x: Any, instances: list[Instances]) -> Any:
        """Run the head, in training on ground truth that is drawn as chosen.

        Args:
            x: features of the regions.
            instances: one Instances an image, whose image_size knows its scale; in training with
                gt_masks that are polygons.

        Returns:
            What the head returns.

        Raises:
            ValueError: ground-truth masks are bitmasks.
        """
        if self.training:
            instances = [_in_original_pixels(i, self.polygons_class) for i in instances]
        return super().forward(x, instances)  # type: ignore[misc]


def _in_original_pixels(instances: Instances, polygons_class: type[PolygonMasks]) -> Instances:
    if not instances.has("gt_masks"):
        return instances
    masks, boxes = instances.gt_masks, instances.proposal_boxes.tensor
    if not isinstance(masks, PolygonMasks):
        raise ValueError(
            f"gt_masks: got {type(masks).__name__}, expected PolygonMasks: this mask_target draws "
            "polygons, so set INPUT.MASK_FORMAT polygon"
        )
    size = check_knows_scale(instances.image_size)
    x, y = size.scale_x, size.scale_y
    out = Instances(instances.image_size, **instances.get_fields())
    out.gt_masks = polygons_class(
        [[(p.reshape(-1, 2) / (x, y)).reshape(-1) for p in polygons] for polygons in masks.polygons]
    )
    out.proposal_boxes = Boxes(boxes / box_scale(size, boxes))
    return out
