"""Inputs as they would be had the images been resized."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from d2align.ablation.price.inputs import Dataset, Inputs


@functools.lru_cache(maxsize=8)
def resized_inputs(inputs: Inputs, scale: float) -> Inputs:
    """Resize the images, the objects and the boxes of RoI masks alike.

    Convention: as ``resized_dataset``; the masks' own cells stay.

    Args:
        inputs: left untouched.
        scale: above 0.

    Returns:
        New inputs, without results.
    """
    masks = inputs.roi_masks
    resized = None if masks is None else replace(masks, boxes=masks.boxes * scale)
    return Inputs(resized_dataset(inputs.dataset, scale), None, resized, inputs.sources)


def resized_dataset(dataset: Dataset, scale: float) -> Dataset:
    """Resize the images and annotations of a COCO json.

    Convention: coordinates times scale, areas times its square; RLEs are sampled at the pixel
    centres of the new grid. Image sizes are rounded to whole pixels.

    Args:
        dataset: the COCO json; left untouched.
        scale: above 0.

    Returns:
        A new COCO json with the same ids.
    """
    images = [
        {**image, **{side: max(round(image[side] * scale), 1) for side in ("width", "height")}}
        for image in dataset["images"]
    ]
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    annotations = []
    for one in dataset["annotations"]:
        resized = {
            **one,
            "bbox": [value * scale for value in one["bbox"]],
            "area": one["area"] * scale**2,
        }
        if one.get("segmentation"):
            size = sizes[one["image_id"]]
            resized["segmentation"] = _segmentation(one["segmentation"], scale, size)
        annotations.append(resized)
    return {**dataset, "images": images, "annotations": annotations}


def _segmentation(segmentation: Any, scale: float, size: tuple[int, int]) -> Any:
    if isinstance(segmentation, list):
        return [[value * scale for value in polygon] for polygon in segmentation]
    rle = segmentation
    if isinstance(rle["counts"], list):
        rle = coco_mask.frPyObjects(rle, *rle["size"])
    mask = coco_mask.decode(rle)
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) / scale).astype(int), side - 1)
        for new, side in zip(size, mask.shape, strict=True)
    )
    resized = coco_mask.encode(np.asfortranarray(mask[np.ix_(rows, columns)]))
    return {**resized, "counts": resized["counts"].decode("ascii")}
