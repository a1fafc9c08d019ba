"""Post-processing of detections with a chosen mask paste."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectron2.modeling.postprocessing import detector_postprocess as d2_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from d2align.geometry.paste_mask import (
    paste_masks_detectron1_unchecked,
    paste_masks_unchecked,
)
from d2align.modeling.image_scale import NetworkSize, box_scale
from d2align.registry import PASTE_MASK_REGISTRY

PasteMasks = Callable[[Tensor, Tensor, tuple[int, int], float], Tensor]
_ROI_MASKS = "roi_masks"

PASTE_MASK_REGISTRY.register("aligned")(paste_masks_unchecked)
PASTE_MASK_REGISTRY.register("detectron1")(paste_masks_detectron1_unchecked)


def detector_postprocess(
    results: Instances,
    output_height: int,
    output_width: int,
    paste: PasteMasks = paste_masks_unchecked,
    mask_threshold: float = 0.5,
) -> Instances:
    """Bring detections to the size of the original image, pasting masks with a given function.

    Convention: boxes scale about the corner of the image; masks are pasted in original pixels.

    Args:
        results: raw detections; image_size is the network's (h, w).
        output_height: pixels.
        output_width: pixels.
        paste: a value of ``PASTE_MASK_REGISTRY``.
        mask_threshold: in (0, 1].

    Returns:
        Instances of that size; pred_masks, if any, are dense (N, h, w) bool.
    """
    size = (int(output_height), int(output_width))
    if not results.has("pred_masks"):
        return d2_postprocess(_at_exact_scale(results, size), *size)
    out, masks, boxes = split_roi_masks(results, size)
    out.pred_masks = paste(masks, boxes, size, mask_threshold)
    return out


def split_roi_masks(results: Instances, size: tuple[int, int]) -> tuple[Instances, Tensor, Tensor]:
    """Bring detections to the size of the original image, and their masks apart from them.

    Convention: boxes scale about the corner of the image.

    Args:
        results: raw detections with pred_masks, and with mask_boxes, original pixels, where masks
            were cropped in other boxes than pred_boxes; image_size is the network's (h, w).
        size: (h, w) of the original image, pixels.

    Returns:
        Instances of that size without masks; their (N, M, M) RoI masks; (N, 4) the boxes in which
        to paste them, XYXY, original pixels.
    """
    results = _at_exact_scale(results, size)
    # Under another name the masks pass Detectron2's own postprocessing unpasted, yet filtered.
    fields = dict(results.get_fields())
    fields[_ROI_MASKS] = fields.pop("pred_masks")
    out = d2_postprocess(Instances(results.image_size, **fields), *size)
    masks, boxes = _as_tensor(out.get(_ROI_MASKS)), out.pred_boxes
    out.remove(_ROI_MASKS)
    if out.has("mask_boxes"):
        boxes = out.mask_boxes
        out.remove("mask_boxes")
    return out, masks, boxes.tensor


def _at_exact_scale(results: Instances, size: tuple[int, int]) -> Instances:
    """Bring detections to output size by their image's exact scale, where it is known.

    Detectron2 takes the ratio of the sizes, which are whole numbers.
    """
    network = results.image_size
    if not (isinstance(network, NetworkSize) and network.exact):
        return results
    fields = dict(results.get_fields())
    if "pred_boxes" in fields:
        boxes = fields["pred_boxes"].tensor
        fields["pred_boxes"] = Boxes(boxes / box_scale(network, boxes))
    if "pred_keypoints" in fields:
        points = fields["pred_keypoints"].clone()
        points[:, :, :2] /= box_scale(network, points)[:2]
        fields["pred_keypoints"] = points
    return Instances(size, **fields)


def _as_tensor(roi_masks: Any) -> Tensor:
    masks: Tensor = getattr(roi_masks, "tensor", roi_masks)
    return masks[:, 0] if masks.dim() == 4 else masks


def postprocess_batch(
    instances: list[Instances],
    batched_inputs: list[dict[str, Any]],
    paste: PasteMasks,
    postprocess: Callable[..., Instances] = detector_postprocess,
) -> list[dict[str, Instances]]:
    """Bring the detections of a batch to the sizes of the original images.

    Args:
        instances: raw detections, one an image.
        batched_inputs: the model's inputs; height and width are the sizes wanted.
        paste: a value of ``PASTE_MASK_REGISTRY``.
        postprocess: detector_postprocess, or detector_postprocess_to_rle.

    Returns:
        One dict {"instances": Instances} an image.
    """
    processed = []
    for result, inputs in zip(instances, batched_inputs, strict=True):
        height = inputs.get("height", result.image_size[0])
        width = inputs.get("width", result.image_size[1])
        processed.append({"instances": postprocess(result, height, width, paste)})
    return processed
