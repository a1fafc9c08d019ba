"""Detections whose masks go straight from the RoI to COCO's run-length encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from detectron2.structures import Instances
from torch import Tensor

from d2align.geometry._checks import check_finite
from d2align.geometry.paste_mask import (
    paste_masks_detectron1_unchecked,
    paste_masks_unchecked,
)
from d2align.geometry.rle import (
    encode_mask,
    paste_masks_detectron1_to_rle_unchecked,
    paste_masks_to_rle_unchecked,
)
from d2align.modeling.postprocessing import PasteMasks, detector_postprocess, split_roi_masks

Rle = dict[str, Any]
PasteMasksToRle = Callable[[Tensor, Tensor, tuple[int, int], float], list[Rle]]


class RleMasks(list[Rle]):
    """Encoded masks, a list that Instances can index as they index tensors."""

    def __getitem__(self, index: Any) -> Any:
        """Return one mask, or those of a slice, of an array of indices or of a bool mask."""
        if isinstance(index, slice):
            return RleMasks(super().__getitem__(index))
        if not isinstance(index, Iterable):
            return super().__getitem__(index)
        chosen = torch.arange(len(self))[torch.as_tensor(index, device="cpu")]
        return RleMasks(super(RleMasks, self).__getitem__(i) for i in chosen.tolist())


def detector_postprocess_to_rle(
    results: Instances,
    output_height: int,
    output_width: int,
    paste: PasteMasks = paste_masks_unchecked,
    mask_threshold: float = 0.5,
) -> Instances:
    """Bring detections to the size of the original image, masks as RLE instead of dense.

    Convention: as ``detector_postprocess``, and the same bits; no full-image mask is made.

    Args:
        results: raw detections; image_size is the network's (h, w).
        output_height: pixels.
        output_width: pixels.
        paste: a value of ``PASTE_MASK_REGISTRY``. One without an RLE form of its own pastes one
            mask at a time.
        mask_threshold: in (0, 1].

    Returns:
        Instances of that size; in place of pred_masks, if any, pred_masks_rle, a list of
        {"size": [h, w], "counts": bytes}, which COCOEvaluator takes.

    Raises:
        ValueError: masks or boxes are NaN.
    """
    size = (int(output_height), int(output_width))
    if not results.has("pred_masks"):
        return detector_postprocess(results, *size)
    out, masks, boxes = split_roi_masks(results, size)
    check_finite("pred_masks", masks)
    check_finite("pred_boxes", boxes)
    out.pred_masks_rle = RleMasks(paste_to_rle(paste)(masks, boxes, size, mask_threshold))
    return out


def paste_to_rle(paste: PasteMasks) -> PasteMasksToRle:
    """Return the function that gives the RLE of what a paste gives.

    Args:
        paste: a value of ``PASTE_MASK_REGISTRY``.

    Returns:
        A function of the same arguments, to a list of RLE dicts.
    """

    def one_at_a_time(
        masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float
    ) -> list[Rle]:
        singles = (slice(i, i + 1) for i in range(len(masks)))
        return [encode_mask(paste(masks[i], boxes[i], size, threshold)[0]) for i in singles]

    return _RLE_FORMS.get(paste, one_at_a_time)


_RLE_FORMS: dict[PasteMasks, PasteMasksToRle] = {
    paste_masks_unchecked: paste_masks_to_rle_unchecked,
    paste_masks_detectron1_unchecked: paste_masks_detectron1_to_rle_unchecked,
}

# How detections are brought to the original image, by D2ALIGN.TEST.MASK_FORMAT.
POSTPROCESS: dict[str, Callable[..., Instances]] = {
    "bitmask": detector_postprocess,
    "rle": detector_postprocess_to_rle,
}
