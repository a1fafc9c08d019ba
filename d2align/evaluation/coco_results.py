"""Detections of an image in the form of COCO's results, as columns until rows are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np
import torch
from detectron2.structures import BoxMode, Instances
from torch import Tensor

from d2align.evaluation.dense_masks import encode_masks
from d2align.evaluation.files import open_whole

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ImageResults(Sequence[Row]):
    """The detections of one image, a sequence of COCO result dicts.

    Columns take a fifth of the memory of their rows.

    Attributes:
        image_id: as in the annotations.
        boxes: (N, 4) XYWH, pixels.
        scores: (N,)
        categories: (N,) category ids.
        mask_size: [h, w], pixels, or None without masks.
        mask_counts: N compressed RLE counts, or None without masks.
        keypoints: (N, 3 K) x, y in COCO's pixel indices and score, or None.
    """

    image_id: Any
    boxes: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    mask_size: list[int] | None = None
    mask_counts: list[bytes] | None = None
    keypoints: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def __iter__(self) -> Iterator[Row]:
        rows: list[Row] = [
            {"image_id": self.image_id, "category_id": category, "bbox": box, "score": score}
            for category, box, score in zip(
                self.categories.tolist(), self.boxes.tolist(), self.scores.tolist(), strict=True
            )
        ]
        if self.mask_counts is not None:
            for row, counts in zip(rows, self.mask_counts, strict=True):
                row["segmentation"] = {"size": self.mask_size, "counts": counts.decode("ascii")}
        if self.keypoints is not None:
            for row, points in zip(rows, self.keypoints.tolist(), strict=True):
                row["keypoints"] = points
        return iter(rows)


def instances_to_results(instances: Instances, image_id: Any) -> ImageResults:
    """Return the COCO results of an image's detections.

    Convention: Detectron2's coordinates in; XYWH boxes and, 0.5 less, keypoint indices out.

    Args:
        instances: on the CPU, with pred_boxes, scores and pred_classes; optionally masks of the
            whole image, dense as pred_masks or encoded as pred_masks_rle, and pred_keypoints.
        image_id: of the image.

    Returns:
        The results, the classes as they are.

    Raises:
        ValueError: a score is NaN, or masks are not of the whole image.
    """
    if not len(instances):  # whatever its fields look like then
        return ImageResults(image_id, np.empty((0, 4)), np.empty(0), np.empty(0, np.int64))
    if instances.scores.isnan().any():
        raise ValueError(f"scores: got NaN in image {image_id!r}, expected numbers to sort by")
    boxes = BoxMode.convert(instances.pred_boxes.tensor, BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)
    size, counts = _masks(instances, image_id)
    keypoints = None
    if instances.has("pred_keypoints"):
        # A pixel's index is its centre less a half.
        keypoints = instances.pred_keypoints - torch.tensor([0.5, 0.5, 0.0])
        keypoints = keypoints.to(instances.pred_keypoints.dtype).flatten(1).numpy()
    return ImageResults(
        image_id=image_id,
        boxes=boxes.numpy(),
        scores=instances.scores.numpy().copy(),
        categories=instances.pred_classes.numpy().copy(),
        mask_size=size,
        mask_counts=counts,
        keypoints=keypoints,
    )


def write_results(path: str, results: Iterable[ImageResults]) -> None:
    """Write rows of results as one JSON list, an image at a time.

    Args:
        path: of the file, which appears whole.
        results: in the data set's categories.
    """
    with open_whole(path, "w") as file:
        file.write("[")
        separator = ""
        for one in results:
            if len(one):
                file.write(separator + json.dumps(list(one))[1:-1])
                separator = ", "
        file.write("]")


def _masks(instances: Instances, image_id: Any) -> tuple[list[int] | None, list[bytes] | None]:
    if instances.has("pred_masks_rle"):
        return _encoded(instances.pred_masks_rle, image_id)
    if not instances.has("pred_masks"):
        return None, None
    masks: Tensor = getattr(instances.pred_masks, "tensor", instances.pred_masks)
    if masks.dim() != 3 or 0 in masks.shape[1:]:
        raise ValueError(
            f"pred_masks: got shape {tuple(masks.shape)} in image {image_id!r}, expected "
            "(N, h, w), masks of the whole image: paste them, or give pred_masks_rle"
        )
    if masks.dtype != torch.bool:
        masks = masks.to(torch.uint8) != 0
    return list(masks.shape[1:]), encode_masks(masks)


def _encoded(rles: Sequence[Row], image_id: Any) -> tuple[list[int], list[bytes]]:
    sizes = [list(rle["size"]) for rle in rles]
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            f"pred_masks_rle: got sizes {sizes} in image {image_id!r}, expected the image's"
        )
    return sizes[0] if sizes else [0, 0], [_compressed(rle) for rle in rles]


def _compressed(rle: Row) -> bytes:
    counts = rle["counts"]
    if isinstance(counts, list):
        counts = hotcoco.mask.frPyObjects(rle, *rle["size"])["counts"]
    return counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
