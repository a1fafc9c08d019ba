"""Scenes as COCO annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .figures import KEYPOINT_FLIP_MAP
from .polygons import DECIMALS, Coords, polygons_area, polygons_box
from .render import polygon_coverage
from .scene import SceneObject
from .specs import VERSION, ShapesSpec, Size

Record = dict[str, Any]


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), DECIMALS) for value in values]


def uncompressed_rle(mask: NDArray[np.bool_]) -> Record:
    """Encode a mask as COCO's uncompressed RLE.

    Convention: column after column; the first count is of zeros.

    Args:
        mask: (h, w) bool.

    Returns:
        A dict of ``counts`` (list of int) and ``size`` [h, w].
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return {"counts": [int(count) for count in counts], "size": list(mask.shape)}


def stored_keypoints(keypoints: Coords, size: Size) -> list[float]:
    """Write keypoints as COCO does: index coordinates, half a pixel less than ours.

    Convention: coords in, ``coord - 0.5`` out (Detectron2 adds the 0.5 when it loads them).

    Args:
        keypoints: (K, 2) float coords in pixels.
        size: (h, w) of the image in pixels.

    Returns:
        3K numbers x, y, v: v is 2 inside the image; outside all three are 0.
    """
    inside = ((keypoints >= 0) & (keypoints <= np.array([size[1], size[0]]))).all(axis=1)
    triplets = np.concatenate([keypoints - 0.5, np.full((len(keypoints), 1), 2.0)], axis=1)
    return _rounded((triplets * inside[:, None]).ravel())


def _outline(thing: SceneObject, size: Size) -> Record:
    """Segmentation, bbox (XYWH) and area; those of a crowd are its mask's."""
    if not thing.crowd:
        x1, y1, x2, y2 = polygons_box(thing.polygons)
        return {
            "segmentation": [_rounded(polygon.ravel()) for polygon in thing.polygons],
            "bbox": _rounded(np.array([x1, y1, x2 - x1, y2 - y1])),
            "area": round(polygons_area(thing.polygons), 2 * DECIMALS),
        }
    mask = polygon_coverage(thing.polygons, size) >= 0.5
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x1, y1 = int(columns[0]), int(rows[0])
    return {
        "segmentation": uncompressed_rle(mask),
        "bbox": [x1, y1, int(columns[-1]) + 1 - x1, int(rows[-1]) + 1 - y1],
        "area": int(mask.sum()),
    }


def annotation(spec: ShapesSpec, thing: SceneObject, size: Size) -> Record:
    """Return an object's COCO annotation, less the ids that depend on other images.

    Convention: polygons and bbox (XYWH, the exact float extents) are in coords; keypoints are
    in index coordinates; the area of polygons is their exact area, that of a crowd its mask's.

    Args:
        spec: the data set.
        thing: the object.
        size: (h, w) of the image in pixels.

    Returns:
        The annotation without ``id`` and ``image_id``.
    """
    record = _outline(thing, size)
    record["iscrowd"] = int(thing.crowd)
    record["category_id"] = spec.categories.index(thing.category) + 1
    if spec.has_keypoints:
        blank = [0.0] * (3 * len(spec.keypoint_names))
        known = thing.keypoints is not None
        record["keypoints"] = stored_keypoints(thing.keypoints, size) if known else blank
        record["num_keypoints"] = sum(v > 0 for v in record["keypoints"][2::3])
    return record


def _skeleton(spec: ShapesSpec) -> list[list[int]]:
    names = spec.keypoint_names
    pairs = [(names.index(left) + 1, names.index(right) + 1) for left, right in KEYPOINT_FLIP_MAP]
    return [[1, index] for pair in pairs for index in pair]


def dataset(spec: ShapesSpec, images: list[Record]) -> Record:
    """Assemble the COCO json of a data set.

    Args:
        spec: the data set.
        images: COCO image records in order, each with its ``annotations`` inside.

    Returns:
        The json's content; ids count from 1 for annotations and categories, 0 for images.
    """
    annotations = []
    for image in images:
        for record in image["annotations"]:
            place = {"id": len(annotations) + 1, "image_id": image["id"]}
            annotations.append({**place, **record})
    categories: list[Record] = [
        {"id": index + 1, "name": name, "supercategory": "shape"}
        for index, name in enumerate(spec.categories)
    ]
    if spec.has_keypoints:
        categories[0]["keypoints"] = list(spec.keypoint_names)
        categories[0]["skeleton"] = _skeleton(spec)
    return {
        "info": {"description": f"d2align {spec.name}", "version": str(VERSION)},
        "licenses": [],
        "images": [{k: v for k, v in im.items() if k != "annotations"} for im in images],
        "annotations": annotations,
        "categories": categories,
    }
