"""Checks of the files a user gives, before anything is measured or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def check_dataset(name: str, dataset: Any) -> None:
    """Refuse what is not the content of a COCO annotation file.

    Args:
        name: of the file, for the message.
        dataset: the content.

    Raises:
        ValueError: naming the entry that is wrong.
    """
    if not isinstance(dataset, Mapping) or not {"images", "categories"} <= dataset.keys():
        raise ValueError(
            f"{name}: got {_kind(dataset)}, expected a COCO json with 'images', 'categories' and "
            "'annotations'; results belong to --boxes"
        )
    for i, image in enumerate(dataset["images"]):
        _check_fields(f"{name}: images[{i}]", image, ("id", "width", "height"))
        if not (_is_whole(image["width"]) and _is_whole(image["height"])):
            size = (image["width"], image["height"])
            raise ValueError(f"{name}: images[{i}]: got size {size}, expected pixels, at least 1")
    if len(dataset["images"]) < 2:
        raise ValueError(f"{name}: got {len(dataset['images'])} images, expected at least 2")
    images = {image["id"] for image in dataset["images"]}
    categories = {one["id"] for one in dataset["categories"]}
    for i, one in enumerate(dataset.get("annotations", ())):
        where = f"{name}: annotations[{i}]"
        _check_fields(where, one, ("id", "image_id", "category_id", "bbox", "area"))
        check_ids(where, one, images, categories)
        check_bbox(where, one["bbox"])
    ids = [one["id"] for one in dataset.get("annotations", ())]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name}: got annotations that share an id, expected one id each")
    if all(one.get("iscrowd", 0) for one in dataset.get("annotations", ())):
        raise ValueError(f"{name}: got no annotated object, expected some to measure AP on")


def check_results(name: str, results: Any, dataset: Mapping[str, Any]) -> None:
    """Refuse what is not a list of COCO results on a data set.

    Args:
        name: of the file, for the message.
        results: the content.
        dataset: the COCO json they belong to.

    Raises:
        ValueError: naming the result that is wrong.
    """
    if not isinstance(results, list) or not results:
        raise ValueError(
            f"{name}: got {_kind(results)}, expected a list of COCO results, at least one"
        )
    images = {image["id"] for image in dataset["images"]}
    categories = {one["id"] for one in dataset["categories"]}
    for i, result in enumerate(results):
        where = f"{name}: results[{i}]"
        _check_fields(where, result, ("image_id", "category_id", "bbox", "score"))
        check_ids(where, result, images, categories)
        check_bbox(where, result["bbox"])
        if not _finite([result["score"]]):
            raise ValueError(f"{where}: got score {result['score']!r}, expected a finite number")
        if ("segmentation" in result) != ("segmentation" in results[0]):
            raise ValueError(f"{where}: expected a segmentation in every result, or in none")
        if not isinstance(result.get("segmentation", {}), Mapping):
            raise ValueError(f"{where}: got a segmentation that is no RLE, expected an RLE")


def check_ids(where: str, one: Mapping[str, Any], images: set[int], categories: set[int]) -> None:
    """Refuse an image or category that the data set does not have.

    Args:
        where: the place, for the message.
        one: an annotation or a result.
        images: known ids.
        categories: known ids.

    Raises:
        ValueError: naming the id.
    """
    for key, known in (("image_id", images), ("category_id", categories)):
        if one[key] not in known:
            raise ValueError(
                f"{where}: got {key} {one[key]!r}, expected one of the annotation file; are the "
                "two files of the same data set?"
            )


def check_bbox(where: str, bbox: Any) -> None:
    """Refuse what is not [x, y, w, h].

    Args:
        where: the place, for the message.
        bbox: the value.

    Raises:
        ValueError: naming the value.
    """
    if not (isinstance(bbox, Sequence) and len(bbox) == 4 and _finite(bbox) and min(bbox[2:]) >= 0):
        raise ValueError(
            f"{where}: got bbox {bbox!r}, expected finite [x, y, w, h] with w and h at least 0"
        )


def _check_fields(where: str, one: Any, fields: Sequence[str]) -> None:
    if not isinstance(one, Mapping):
        raise ValueError(f"{where}: got {_kind(one)}, expected a dict with {list(fields)}")
    missing = [field for field in fields if field not in one]
    if missing:
        raise ValueError(f"{where}: got no {missing}, expected {list(fields)}")


def _finite(values: Sequence[Any]) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return numbers and bool(np.isfinite(values).all())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _kind(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else repr(value)
