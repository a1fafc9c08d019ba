"""Mask targets: how ground-truth bitmasks are cropped to the proposals."""

from __future__ import annotations

from typing import Any

from detectron2.structures import BitMasks, Instances
from torch import Tensor

from d2align.geometry.mask_target import (
    crop_bitmasks_unaligned_unchecked,
    crop_bitmasks_unchecked,
)
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
