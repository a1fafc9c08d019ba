"""Part (c): AP of each paste of the same RoI masks, and what the differences rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.pasting import CROP_BOX, LOST_PIXEL, PASTE_BOXES, PASTES
from d2align.ablation.price.resized import resized_inputs
from d2align.ablation.price.roi_masks import RoIMasks, paste_all

_TINIEST = 0.5 / 255  # as near to 0 and 1 as a probability of 8 bits can be told


def sharpen(masks: Tensor, factor: float) -> Tensor:
    """Multiply the logits of mask probabilities.

    Args:
        masks: (N, M, M) in 0..1.
        factor: 1 changes nothing, infinity makes them binary, less than 1 flattens them.

    Returns:
        (N, M, M) in 0..1; which cells are above one half does not change.
    """
    if math.isinf(factor):
        return (masks >= 0.5).to(masks.dtype)
    logits = torch.logit(masks.clamp(_TINIEST, 1 - _TINIEST))
    return torch.sigmoid(logits * factor)


def blur(masks: Tensor, sigma: float) -> Tensor:
    """Blur mask probabilities over their cells, reflected at the border.

    Args:
        masks: (N, M, M) in 0..1.
        sigma: cells.

    Returns:
        (N, M, M) in 0..1.
    """
    return gaussian_blur(masks[:, None], [2 * math.ceil(3 * sigma) + 1] * 2, [sigma])[:, 0]


def coarsen(masks: Tensor, factor: int) -> Tensor:
    """Average square blocks of cells.

    Args:
        masks: (N, M, M) in 0..1, M a multiple of factor.
        factor: cells a side.

    Returns:
        (N, M / factor, M / factor) in 0..1.
    """
    return F.avg_pool2d(masks[:, None], factor)[:, 0]


def _same(masks: Tensor) -> Tensor:
    return masks


HALF_CELLS = "half as many cells"
MASK_CHANGES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "as found": _same,
    "logits x 0.5": lambda masks: sharpen(masks, 0.5),
    "logits x 2": lambda masks: sharpen(masks, 2.0),
    "logits x 4": lambda masks: sharpen(masks, 4.0),
    "binary": lambda masks: sharpen(masks, math.inf),
    "blurred by 1 cell": lambda masks: blur(masks, 1.0),
    HALF_CELLS: lambda masks: coarsen(masks, 2),
}
IMAGE_SCALES = (0.25, 0.5, 2.0)
THRESHOLDS = (0.3, 0.4, 0.6, 0.7)


@dataclass(frozen=True)
class PasteArm(Arm):
    """The RoI masks pasted in one way.

    Attributes:
        paste: a key of ``PASTES``.
        box: a key of ``PASTE_BOXES``.
        masks: a key of ``MASK_CHANGES``.
        scale: of the whole problem, images, objects and detections alike.
        threshold: in (0, 1].
    """

    paste: str
    box: str = CROP_BOX
    masks: str = "as found"
    scale: float = 1.0
    threshold: float = 0.5
    part = "paste"
    metric = "segm"
    has_bias = True

    @property
    def name(self) -> str:
        """The paste and its box."""
        return f"{self.paste} into {self.box}"

    def reference(self) -> PasteArm:
        """The aligned paste of the same masks."""
        return replace(self, paste="aligned", box=CROP_BOX)

    def world(self, inputs: Inputs) -> Inputs:
        """The inputs, resized."""
        return inputs if self.scale == 1 else resized_inputs(inputs, self.scale)

    def results(self, world: Inputs) -> Results:
        """The pasted masks."""
        found = world.roi_masks
        assert found is not None
        boxes = PASTE_BOXES[self.box](found.boxes)
        changed = replace(found, boxes=boxes, masks=MASK_CHANGES[self.masks](found.masks))
        return paste_all(changed, world.image_sizes, PASTES[self.paste], self.threshold)


@dataclass(frozen=True)
class StudyArm(PasteArm):
    """A paste with one thing about the masks changed: sharpness, object size or threshold."""

    part = "paste_study"
    areas = ("all",)

    @property
    def changed(self) -> tuple[str, str]:
        """What was changed, and to what."""
        if self.masks != "as found":
            return "sharpness", self.masks
        if self.scale != 1:
            return "object size", f"images x {self.scale:g}"
        return "threshold", f"{self.threshold:g}"

    @property
    def name(self) -> str:
        """The change, paste and box."""
        return f"{': '.join(self.changed)}; {super().name}"


VARIANTS = (("aligned", CROP_BOX), ("detectron1", CROP_BOX), ("detectron1", LOST_PIXEL))


def paste_arms() -> list[Arm]:
    """Return the arms of all pastes and boxes.

    Returns:
        The reference first.
    """
    return [PasteArm(paste, box) for box in PASTE_BOXES for paste in PASTES]


def study_arms(roi_masks: RoIMasks) -> list[Arm]:
    """Return the arms of the study.

    Args:
        roi_masks: the masks; those of an odd number of cells are not coarsened.

    Returns:
        For each change the reference and the two variants of Detectron's paste.
    """
    left_out = {"as found"} | ({HALF_CELLS} if roi_masks.masks.shape[-1] % 2 else set())
    changes: list[dict[str, object]] = [
        {"masks": one} for one in MASK_CHANGES if one not in left_out
    ]
    changes += [{"scale": scale} for scale in IMAGE_SCALES]
    changes += [{"threshold": threshold} for threshold in THRESHOLDS]
    return [StudyArm(*variant, **change) for change in changes for variant in VARIANTS]
