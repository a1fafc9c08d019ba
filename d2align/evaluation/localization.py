"""Signed errors of matched detections, in pixels: they see shifts that AP cannot resolve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

BOX_ERRORS = ("left", "top", "right", "bottom")
MASK_ERRORS = ("x", "y", "edge")
_MIN_IOU = 0.5


@dataclass(frozen=True)
class LocalizationErrors:
    """Signed errors of the detections that match an object, detection minus ground truth.

    Attributes:
        names: of the errors, ``BOX_ERRORS`` or ``MASK_ERRORS``.
        annotation_ids: (P,) the matched objects, rising.
        image_ids: (P,) their images.
        values: (P, E) errors in original pixels.
    """

    names: tuple[str, ...]
    annotation_ids: np.ndarray
    image_ids: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class _Object:
    """One side of a match: what IoU needs, and what errors are measured from."""

    key: int
    shape: Any
    measures: np.ndarray


class LocalizationTruth:
    """The objects of a data set, prepared once for many results."""

    def __init__(self, dataset: Mapping[str, Any], iou_type: str) -> None:
        """Prepare the objects.

        Args:
            dataset: a COCO dict; crowds are left out.
            iou_type: "bbox" or "segm".

        Raises:
            ValueError: another iou_type.
        """
        if iou_type not in ("bbox", "segm"):
            raise ValueError(f"iou_type: got {iou_type!r}, expected 'bbox' or 'segm'")
        self.iou_type = iou_type
        self.sizes = {i["id"]: (i["height"], i["width"]) for i in dataset["images"]}
        self.objects: dict[tuple[int, int], list[_Object]] = defaultdict(list)
        for annotation in dataset["annotations"]:
            if not annotation.get("iscrowd", 0):
                key = annotation["image_id"], annotation["category_id"]
                self.objects[key].append(self._object(annotation["id"], annotation))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the errors."""
        return BOX_ERRORS if self.iou_type == "bbox" else MASK_ERRORS

    def errors(self, results: Sequence[Mapping[str, Any]]) -> LocalizationErrors:
        """Match detections to objects of their class, best scores first, at IoU 0.5.

        Convention: boxes are float XYWH; mask errors are those of the centroid ("x", "y") and of
        the outline ("edge"): by how much a square of the same area grows on each side.

        Args:
            results: COCO result dicts.

        Returns:
            The errors of all matches.
        """
        groups: dict[tuple[int, int], list[Mapping[str, Any]]] = defaultdict(list)
        for result in results:
            groups[result["image_id"], result["category_id"]].append(result)
        rows = [
            (truth.key, image_id, found.measures - truth.measures)
            for (image_id, category_id), group in groups.items()
            if (image_id, category_id) in self.objects
            for truth, found in self._match(self.objects[image_id, category_id], group)
        ]
        rows.sort(key=lambda row: row[0])
        return LocalizationErrors(
            self.names,
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows]).reshape(len(rows), len(self.names)),
        )

    def _match(
        self, objects: list[_Object], results: list[Mapping[str, Any]]
    ) -> list[tuple[_Object, _Object]]:
        results = sorted(results, key=lambda r: -r["score"])
        shapes = [self._shape(result) for result in results]
        ious = coco_mask.iou(shapes, [o.shape for o in objects], [0] * len(objects))
        ious = np.asarray(ious).reshape(len(results), len(objects)).copy()
        pairs = []
        for row, result in enumerate(results):
            best = int(ious[row].argmax())
            if ious[row, best] >= _MIN_IOU:
                ious[:, best] = -1
                pairs.append((objects[best], self._object(0, result)))
        return pairs

    def _object(self, key: int, row: Mapping[str, Any]) -> _Object:
        shape = self._shape(row)
        measure: Callable[[Any], np.ndarray] = (
            _box_edges if self.iou_type == "bbox" else _mask_place
        )
        return _Object(key, shape, measure(shape))

    def _shape(self, row: Mapping[str, Any]) -> Any:
        if self.iou_type == "bbox":
            return [float(v) for v in row["bbox"]]
        segmentation = row["segmentation"]
        if isinstance(segmentation, list):
            parts = coco_mask.frPyObjects(segmentation, *self.sizes[row["image_id"]])
            return coco_mask.merge(parts)
        if isinstance(segmentation["counts"], list):
            return coco_mask.frPyObjects(segmentation, *segmentation["size"])
        return segmentation


def _box_edges(box: list[float]) -> np.ndarray:
    x, y, w, h = box
    return np.array([x, y, x + w, y + h])


def _mask_place(rle: Any) -> np.ndarray:
    """Centroid x, y and half the side of a square of the same area, in pixels."""
    x, y, w, h = (int(v) for v in coco_mask.toBbox(rle))
    inside = coco_mask.decode(rle)[y : y + h, x : x + w]
    area = inside.sum()
    if area == 0:
        return np.zeros(3)
    columns, rows = inside.sum(axis=0), inside.sum(axis=1)
    centre_x = x + (columns * (np.arange(w) + 0.5)).sum() / area
    centre_y = y + (rows * (np.arange(h) + 0.5)).sum() / area
    return np.array([centre_x, centre_y, np.sqrt(area) / 2])
