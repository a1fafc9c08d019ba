"""What an evaluator must know of a data set, and whether predictions fit it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.coco import convert_to_coco_json

from d2align.evaluation.coco_results import ImageResults


def make_json(dataset_name: str, output_dir: str | None, allow_cached: bool) -> None:
    """Convert a data set that is registered without a COCO json, and note where that is.

    Args:
        dataset_name: a registered data set.
        output_dir: folder for the json; needed where there is none.
        allow_cached: take a json that is already there.

    Raises:
        ValueError: an unknown data set, or nowhere to write.
    """
    metadata = MetadataCatalog.get(dataset_name)
    if hasattr(metadata, "json_file"):
        return
    if dataset_name not in DatasetCatalog:
        raise ValueError(
            f"dataset_name: got {dataset_name!r}, expected a registered data set, for example by "
            "register_coco_instances"
        )
    if output_dir is None:
        raise ValueError(
            f"output_dir: got None for {dataset_name!r}, which is not in COCO's format, expected "
            "a folder for its conversion"
        )
    path = os.path.join(output_dir, f"{dataset_name}_coco_format.json")
    convert_to_coco_json(dataset_name, path, allow_cached=allow_cached)
    metadata.json_file = path


def dataset_categories(metadata: Any) -> np.ndarray | None:
    """Return the data set's category id of each class.

    Args:
        metadata: of the data set.

    Returns:
        (K,) ids, or None where classes are category ids.

    Raises:
        ValueError: the metadata's classes are not 0 to K - 1.
    """
    classes = metadata.get("thing_dataset_id_to_contiguous_id")
    if classes is None:
        return None
    if sorted(classes.values()) != list(range(len(classes))):
        raise ValueError(
            f"thing_dataset_id_to_contiguous_id: got classes {sorted(classes.values())}, expected "
            f"0 to {len(classes) - 1} once each, in the metadata of {metadata.name!r}"
        )
    return np.array(sorted(classes, key=classes.__getitem__), dtype=np.int64)


def check_classes(
    results: Sequence[ImageResults], ids: np.ndarray | None, dataset_name: str
) -> None:
    """Refuse classes that the data set does not have.

    Args:
        results: none of them empty, with the model's classes.
        ids: as from ``dataset_categories``.
        dataset_name: for the message.

    Raises:
        ValueError: a class is out of range.
    """
    for one in results if ids is not None else ():
        low, high = int(one.categories.min()), int(one.categories.max())
        if low < 0 or high >= len(ids):
            raise ValueError(
                f"pred_classes: got {high if low >= 0 else low} in image {one.image_id!r}, "
                f"expected 0 to {len(ids) - 1}, the classes of {dataset_name!r}: does the model "
                "have the data set's number of classes?"
            )


def check_annotations(results: Sequence[ImageResults], metadata: Any, coco: Any) -> None:
    """Refuse images that the annotations do not have, and names that do not fit them.

    Args:
        results: none of them empty.
        metadata: of the data set.
        coco: its annotations, a pycocotools COCO.

    Raises:
        ValueError: an unknown image, or another number of class names than of categories.
    """
    if not results:
        return
    unknown = [one.image_id for one in results if one.image_id not in coco.imgs]
    if unknown:
        raise ValueError(
            f"image_id: got {unknown[0]!r}, expected an image of {metadata.json_file!r}: is it the "
            "data set that the predictions were made on?"
        )
    names = metadata.get("thing_classes") or ()
    if len(names) > 1 and len(names) != len(coco.cats):
        raise ValueError(
            f"thing_classes: got {len(names)} names, expected {len(coco.cats)}, one for each "
            f"category of {metadata.json_file!r}"
        )
