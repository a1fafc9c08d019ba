"""The pastes and the boxes that they paste into, by the names that the report uses."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from d2align.ablation.price.roi_masks import Paste
from d2align.geometry import (
    float_to_inclusive,
    paste_masks_detectron1_to_rle,
    paste_masks_to_rle,
)


def lose_a_pixel(boxes: Tensor) -> Tensor:
    """Take the last pixel of a box for its edge.

    Convention: integer corners in; out, the same box with x2 and y2 less 1, at least x1 and y1.

    Args:
        boxes: (N, 4) XYXY, pixels.

    Returns:
        (N, 4) XYXY, pixels.
    """
    lost = float_to_inclusive(boxes)
    lost[:, 2:] = lost[:, 2:].maximum(lost[:, :2])
    return lost


def _keep(boxes: Tensor) -> Tensor:
    return boxes


PASTES: dict[str, Paste] = {
    "aligned": paste_masks_to_rle,
    "detectron1": paste_masks_detectron1_to_rle,
}
CROP_BOX, LOST_PIXEL = "the box of the crop", "that box less its last pixel"
PASTE_BOXES: dict[str, Callable[[Tensor], Tensor]] = {CROP_BOX: _keep, LOST_PIXEL: lose_a_pixel}
