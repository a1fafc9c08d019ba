"""RoI masks as a network gives them, kept with their boxes, and pasted all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d2align.ablation.price.checks import check_bbox, check_ids

Rle = dict[str, Any]
Paste = Callable[[Tensor, Tensor, tuple[int, int], float], list[Rle]]


@dataclass(frozen=True)
class RoIMasks:
    """Detections with their masks before pasting.

    Attributes:
        image_ids: (N,) COCO image ids.
        category_ids: (N,) COCO category ids.
        scores: (N,).
        boxes: (N, 4) float32 XYXY, original pixels: where the masks were cropped.
        masks: (N, M, M) float32 probabilities.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    scores: np.ndarray
    boxes: Tensor
    masks: Tensor

    def by_image(self) -> Iterator[tuple[int, Tensor]]:
        """Image ids in order, each with the indices of its detections."""
        for image_id in np.unique(self.image_ids):
            yield int(image_id), torch.from_numpy(np.flatnonzero(self.image_ids == image_id))


def load_roi_masks(path: Path, dataset: Mapping[str, Any]) -> RoIMasks:
    """Read RoI masks and check that they fit a data set.

    Convention: boxes XYWH in original pixels, w = x2 - x1; mask cell (i, j) is sampled at its
    centre, (j + 0.5) / M of the box.

    Args:
        path: an npz of ``rows`` (N, 7) (image_id, category_id, score, x, y, w, h) and ``masks``
            (N, M, M), uint8 (probability x 255) or floating in 0..1.
        dataset: the COCO json they belong to.

    Returns:
        The masks, one after another as in the file.

    Raises:
        ValueError: the file is not of this form, or names other images or categories.
    """
    rows, masks = _read(path)
    if rows.ndim != 2 or rows.shape[1] != 7 or not len(rows) or not np.isfinite(rows).all():
        raise ValueError(
            f"{path.name}: got rows of shape {rows.shape}, expected (N, 7), finite: image_id, "
            "category_id, score, x, y, w, h"
        )
    if masks.ndim != 3 or len(masks) != len(rows) or masks.shape[1] != masks.shape[2]:
        raise ValueError(f"{path.name}: got masks of shape {masks.shape}, expected (N, M, M)")
    if (rows[:, :2] != np.floor(rows[:, :2])).any():
        raise ValueError(f"{path.name}: got fractions in rows[:, :2], expected whole ids")
    images = {image["id"] for image in dataset["images"]}
    categories = {one["id"] for one in dataset["categories"]}
    for i, row in enumerate(rows.tolist()):
        ids = {"image_id": int(row[0]), "category_id": int(row[1])}
        check_ids(f"{path.name}: rows[{i}]", ids, images, categories)
        check_bbox(f"{path.name}: rows[{i}]", row[3:])
    boxes = torch.from_numpy(rows[:, 3:].astype(np.float32))
    boxes[:, 2:] += boxes[:, :2]
    ids = rows[:, :2].astype(np.int64)
    return RoIMasks(ids[:, 0], ids[:, 1], rows[:, 2], boxes, _probabilities(path.name, masks))


def paste_all(
    roi_masks: RoIMasks,
    image_sizes: Mapping[int, tuple[int, int]],
    paste: Paste,
    threshold: float = 0.5,
) -> list[dict[str, Any]]:
    """Paste all masks into their images.

    Args:
        roi_masks: N detections.
        image_sizes: (h, w) by image id.
        paste: makes RLEs of masks, boxes, an image size and a threshold.
        threshold: in (0, 1].

    Returns:
        N COCO results in the order of the detections.
    """
    results: list[dict[str, Any]] = [{} for _ in roi_masks.scores]
    for image_id, indices in roi_masks.by_image():
        masks, boxes = roi_masks.masks[indices], roi_masks.boxes[indices]
        rles = paste(masks, boxes, image_sizes[image_id], threshold)
        for i, rle in zip(indices.tolist(), rles, strict=True):
            results[i] = {
                "image_id": image_id,
                "category_id": int(roi_masks.category_ids[i]),
                "score": float(roi_masks.scores[i]),
                "segmentation": rle,
            }
    return results


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays["rows"], dtype=np.float64), arrays["masks"]
    except Exception as error:  # whatever is wrong with the file, the way out is the same
        message = f"--roi-masks: got {path.name!r}, which cannot be read ({error})"
        raise ValueError(f"{message}; expected an npz of 'rows' and 'masks'") from None


def _probabilities(name: str, masks: np.ndarray) -> Tensor:
    if masks.dtype == np.uint8:
        return torch.from_numpy(masks.astype(np.float32) / 255)
    if masks.dtype.kind != "f" or not ((masks >= 0) & (masks <= 1)).all():
        raise ValueError(
            f"{name}: got masks of {masks.dtype}, expected uint8 (probability x 255) or floating "
            "in 0..1"
        )
    return torch.from_numpy(masks.astype(np.float32))
