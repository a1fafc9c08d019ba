"""Training records with points."""

from __future__ import annotations

from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.data.build import filter_images_with_only_crowd_annotations
from detectron2.data.datasets import load_coco_json


def load_points(json_file: str, dataset_name: str) -> list[dict[str, Any]]:
    """Return records in Detectron2's format, whose annotations have points.

    Args:
        json_file: of ``draw_points.py``.
        dataset_name: a registered data set with the same images and categories.

    Returns:
        Records of the images that have objects; each annotation but a crowd has "points".

    Raises:
        ValueError: an object without points, or objects with different numbers of them.
    """
    root = MetadataCatalog.get(dataset_name).image_root
    records = load_coco_json(json_file, root, dataset_name, extra_annotation_keys=["points"])
    objects = [a for r in records for a in r["annotations"] if not a.get("iscrowd", 0)]
    numbers = {len(a.get("points", ())) for a in objects}
    if len(numbers) != 1 or 0 in numbers:
        raise ValueError(
            f"{json_file}: got objects with {sorted(numbers)} points, expected one number, at "
            "least 1, for all: draw them by projects/PointSup/draw_points.py"
        )
    return filter_images_with_only_crowd_annotations(records)
