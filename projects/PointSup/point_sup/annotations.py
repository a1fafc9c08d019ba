"""Point annotations drawn from masks: random points of each box, inside the object or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pycocotools.mask as mask_util
from numpy.typing import NDArray

from d2align.geometry import clip_boxes, coord_to_index, xywh_to_xyxy

Record = dict[str, Any]


def draw_points(
    mask: NDArray[np.bool_], box: NDArray[np.float64], num_points: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw points uniformly from a box, and say which of them lie in the mask.

    Convention: integer corners; a point has the label of the pixel that contains it,
    mask[floor(y), floor(x)].

    Args:
        mask: (h, w) bool, of the whole image.
        box: (4,) XYXY, pixels, inside the image.
        num_points: P.
        rng: where the randomness comes from.

    Returns:
        (P, 3): x, y in pixels, and 1 inside the object or 0 outside.
    """
    coords = box[:2] + rng.random((num_points, 2)) * (box[2:] - box[:2])
    # Rounding may put a point on the far edge of the image, which no pixel contains.
    last = np.array(mask.shape[::-1]) - 1
    columns, rows = np.minimum(coord_to_index(coords), last).T
    return np.column_stack([coords, mask[rows, columns]])


def add_points(coco: Record, num_points: int, seed: int) -> Record:
    """Return annotations with points in the place of masks.

    Convention: integer corners. The points of an annotation depend on its id, its box, its mask
    and the seed alone, so that a part of a data set gets the same ones.

    Args:
        coco: the content of a file in COCO's format.
        num_points: points for each object.
        seed: not negative.

    Returns:
        The same without "segmentation", and with "points" [[x, y, label], ...]; crowds get none,
        and an object whose box has no area in the image is left out.

    Raises:
        ValueError: no point wanted, a negative seed, content of another kind, or annotations
            without masks.
    """
    if not isinstance(coco, dict) or not {"images", "annotations"} <= coco.keys():
        raise ValueError("coco: got content without images and annotations, expected COCO's format")
    if num_points < 1 or seed < 0:
        raise ValueError(
            f"num_points, seed: got {num_points}, {seed}, expected at least 1 and at least 0"
        )
    sizes = {i["id"]: (i["height"], i["width"]) for i in coco["images"]}
    annotations = []
    for annotation in coco["annotations"]:
        kept = {k: v for k, v in annotation.items() if k != "segmentation"}
        if not annotation.get("iscrowd", 0):
            size = sizes[annotation["image_id"]]
            box = clip_boxes(xywh_to_xyxy(np.array([annotation["bbox"]], dtype=float)), size)[0]
            if (box[2:] <= box[:2]).any():
                continue
            rng = np.random.default_rng([seed, annotation["id"]])
            points = draw_points(_mask(annotation, size), box, num_points, rng)
            kept["points"] = [[x, y, int(inside)] for x, y, inside in points.tolist()]
        annotations.append(kept)
    return {**coco, "annotations": annotations}


def _mask(annotation: Record, size: tuple[int, int]) -> NDArray[np.bool_]:
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise ValueError(
            f"annotations: got one, id {annotation['id']}, without a segmentation, expected "
            "masks, from which points get their labels"
        )
    if isinstance(segmentation, list):
        rle = mask_util.merge(mask_util.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        rle = mask_util.frPyObjects(segmentation, *size)
    else:
        rle = segmentation
    return mask_util.decode(rle).astype(bool)
