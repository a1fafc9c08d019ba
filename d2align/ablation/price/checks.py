"""Checks of the files a user gives, before anything is measured or written."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from d2align.ablation.price.runs import are_runs

# A dense mask takes a byte for each, and COCO counts them in 32 bits.
_MOST_PIXELS = 2**31


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
    annotations = dataset.get("annotations", [])
    for key, entries in (*dataset.items(), ("annotations", annotations)):
        if key in ("images", "categories", "annotations") and not isinstance(entries, list):
            raise ValueError(f"{name}: got {key} {_kind(entries)}, expected a list")
    for i, one in enumerate(dataset["categories"]):
        _check_fields(f"{name}: categories[{i}]", one, ("id",))
    for i, image in enumerate(dataset["images"]):
        _check_fields(f"{name}: images[{i}]", image, ("id", "width", "height"))
        size = (image["width"], image["height"])
        if not all(map(_is_whole, size)) or size[0] * size[1] > _MOST_PIXELS:
            raise ValueError(
                f"{name}: images[{i}]: got size {size}, expected pixels, at least 1 and not more "
                f"than {_MOST_PIXELS} in all"
            )
    if len(dataset["images"]) < 2:
        raise ValueError(f"{name}: got {len(dataset['images'])} images, expected at least 2")
    sizes = _sizes(dataset)
    categories = {one["id"] for one in dataset["categories"]}
    for i, one in enumerate(annotations):
        where = f"{name}: annotations[{i}]"
        _check_fields(where, one, ("id", "image_id", "category_id", "bbox", "area"))
        check_ids(where, one, sizes, categories)
        check_bbox(where, one["bbox"])
        if not _finite([one["area"]]):
            raise ValueError(f"{where}: got area {one['area']!r}, expected a finite number")
        _check_segmentation(where, one.get("segmentation"), sizes[one["image_id"]])
    ids = [one["id"] for one in annotations]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name}: got annotations that share an id, expected one id each")
    if all(one.get("iscrowd", 0) for one in annotations):
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
    sizes = _sizes(dataset)
    categories = {one["id"] for one in dataset["categories"]}
    for i, result in enumerate(results):
        where = f"{name}: results[{i}]"
        _check_fields(where, result, ("image_id", "category_id", "bbox", "score"))
        check_ids(where, result, sizes, categories)
        check_bbox(where, result["bbox"])
        if not _finite([result["score"]]):
            raise ValueError(f"{where}: got score {result['score']!r}, expected a finite number")
        if ("segmentation" in result) != ("segmentation" in results[0]):
            raise ValueError(f"{where}: expected a segmentation in every result, or in none")
        if "segmentation" in result:
            segmentation = result["segmentation"]
            if not isinstance(segmentation, Mapping) or not segmentation:
                raise ValueError(f"{where}: got a segmentation that is no RLE, expected an RLE")
            _check_segmentation(where, segmentation, sizes[result["image_id"]])


def check_ids(
    where: str, one: Mapping[str, Any], images: Container[int], categories: Container[int]
) -> None:
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


def _sizes(dataset: Mapping[str, Any]) -> dict[int, list[int]]:
    """[h, w] by image id."""
    return {image["id"]: [image["height"], image["width"]] for image in dataset["images"]}


def _check_segmentation(where: str, segmentation: Any, size: Sequence[int]) -> None:
    """Refuse what is neither polygons nor runs of an image of this size; none is fine."""
    if not segmentation:
        return
    if isinstance(segmentation, list):
        if not all(map(_is_polygon, segmentation)):
            raise ValueError(
                f"{where}: got a segmentation with no polygon in it, expected flat lists of at "
                "least 3 points x, y"
            )
        return
    if not isinstance(segmentation, Mapping) or segmentation.get("size") != size:
        raise ValueError(f"{where}: got a segmentation that is no RLE of size {size}")
    counts = segmentation.get("counts")
    if isinstance(counts, list):
        fine = all(isinstance(run, int) and run >= 0 for run in counts)
        fine = fine and sum(counts) == size[0] * size[1]
    else:
        fine = isinstance(counts, str) and are_runs(counts, size[0] * size[1])
    if not fine:
        raise ValueError(f"{where}: got RLE counts {counts!r:.40}, expected those of {size} pixels")


def _is_polygon(polygon: Any) -> bool:
    flat = isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
    return flat and _finite(polygon)


def _check_fields(where: str, one: Any, fields: Sequence[str]) -> None:
    if not isinstance(one, Mapping):
        raise ValueError(f"{where}: got {_kind(one)}, expected a dict with {list(fields)}")
    missing = [field for field in fields if field not in one]
    if missing:
        raise ValueError(f"{where}: got no {missing}, expected {list(fields)}")
    for key in ("id", "image_id", "category_id"):
        if key in fields and not isinstance(one[key], int | str):
            raise ValueError(f"{where}: got {key} {one[key]!r}, expected a whole number or a text")


def _finite(values: Sequence[Any]) -> bool:
    """Whether all are numbers of a float's range."""
    try:
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        return numbers and all(map(math.isfinite, values))
    except OverflowError:
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _kind(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else repr(value)
