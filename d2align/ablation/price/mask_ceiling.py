"""Part (a), masks: ground truth cropped to its box and pasted back, by each convention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.pasting import CROP_BOX, LOST_PIXEL, PASTE_BOXES, PASTES
from d2align.ablation.price.roi_masks import RoIMasks, paste_all
from d2align.geometry import (
    crop_bitmasks,
    crop_bitmasks_unaligned,
    rasterize_polygons_within_box,
    rasterize_polygons_within_box_detectron1,
    xywh_to_xyxy,
    xywh_to_xyxy_detectron1,
)

Target = Callable[[dict[str, Any], Tensor, tuple[int, int], int], Tensor]


def object_bitmask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Return an object's mask, as COCO's evaluation draws it.

    Convention: pycocotools fills polygons in continuous coordinates.

    Args:
        segmentation: polygons or an RLE.
        size: (h, w) of the image.

    Returns:
        (h, w) uint8 of 0 and 1.
    """
    if isinstance(segmentation, list):
        return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(segmentation, *size)))
    if isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, *size)
    return coco_mask.decode(segmentation)


def _crop_with(crop: Callable[[Tensor, Tensor, int], Tensor]) -> Target:
    def target(one: dict[str, Any], box: Tensor, size: tuple[int, int], side: int) -> Tensor:
        bitmask = torch.from_numpy(object_bitmask(one["segmentation"], size))
        return crop(bitmask[None], box[None], side)[0]

    return target


def _draw_with(draw: Callable[[Sequence[Any], Sequence[float], int], Tensor]) -> Target:
    def target(one: dict[str, Any], box: Tensor, size: tuple[int, int], side: int) -> Tensor:
        if isinstance(one["segmentation"], dict):  # not drawn: there is no outline
            return _crop_with(crop_bitmasks)(one, box, size, side)
        return draw(one["segmentation"], box.tolist(), side)

    return target


TARGETS: dict[str, Target] = {
    "aligned RoIAlign": _crop_with(crop_bitmasks),
    "unaligned RoIAlign": _crop_with(crop_bitmasks_unaligned),
    "polygons": _draw_with(rasterize_polygons_within_box),
    "detectron1": _draw_with(rasterize_polygons_within_box_detectron1),
}
# Detectron drew its targets in inclusive boxes and pasted into inclusive boxes.
_TARGET_BOXES = {"detectron1": xywh_to_xyxy_detectron1}


@dataclass(frozen=True)
class MaskCeiling(Arm):
    """Ground-truth masks, cropped and pasted in their own boxes, all with score 1.

    Attributes:
        target: how the mask is cropped, a key of ``TARGETS``.
        paste: how it is pasted, a key of ``PASTES``.
        box: the box it is pasted into, a key of ``PASTE_BOXES``.
        side: of the RoI mask, cells.
    """

    target: str
    paste: str
    box: str = CROP_BOX
    side: int = 28
    part = "mask_ceiling"
    metric = "segm"

    @property
    def name(self) -> str:
        """Target, paste, box if not the crop's, size."""
        box = "" if self.box == CROP_BOX else f" into {self.box}"
        return f"{self.target} target, {self.paste} paste{box}, {self.side}x{self.side}"

    def reference(self) -> MaskCeiling:
        """Aligned RoIAlign and its inverse, at the same size."""
        return MaskCeiling("aligned RoIAlign", "aligned", side=self.side)

    def results(self, world: Inputs) -> Results:
        """The masks that come out, as if a network had learned them perfectly."""
        masks = self._targets(world)
        boxes = PASTE_BOXES[self.box](masks.boxes)
        return paste_all(replace(masks, boxes=boxes), world.image_sizes, PASTES[self.paste])

    def _targets(self, inputs: Inputs) -> RoIMasks:
        objects, sizes = inputs.objects, inputs.image_sizes
        to_xyxy = _TARGET_BOXES.get(self.target, xywh_to_xyxy)
        boxes = to_xyxy(torch.tensor([one["bbox"] for one in objects], dtype=torch.float32))
        crop = TARGETS[self.target]
        masks = [
            crop(one, box, sizes[one["image_id"]], self.side)
            for one, box in zip(objects, boxes, strict=True)
        ]
        return RoIMasks(
            np.array([one["image_id"] for one in objects]),
            np.array([one["category_id"] for one in objects]),
            np.ones(len(objects)),
            boxes,
            torch.stack(masks).to(torch.float32),
        )


def mask_ceiling_arms(sides: Sequence[int]) -> list[Arm]:
    """Return the arms of this part.

    Args:
        sides: of the RoI masks; all pairs at the first, the consistent ones at the others.

    Returns:
        The arms, the reference of each size first.
    """
    consistent = [
        ("aligned RoIAlign", "aligned"),
        ("polygons", "aligned"),
        ("detectron1", "detectron1"),
    ]
    mixed = [
        ("unaligned RoIAlign", "aligned", CROP_BOX),
        ("polygons", "detectron1", CROP_BOX),
        ("polygons", "detectron1", LOST_PIXEL),
        ("polygons", "aligned", LOST_PIXEL),
    ]
    arms: list[Arm] = [MaskCeiling(*pair, side=sides[0]) for pair in consistent]
    arms += [MaskCeiling(*one, side=sides[0]) for one in mixed]
    return arms + [MaskCeiling(*pair, side=side) for side in sides[1:] for pair in consistent]
